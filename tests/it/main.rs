//! The whole gateway over loopback HTTP, against an upstream that misbehaves on demand.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod smoke;
