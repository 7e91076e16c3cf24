//! `cargo +nightly fuzz run messages_request`

#![no_main]

#[path = "../bodies/messages_request.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|input: &[u8]| body::check(input));
