//! The whole gateway over loopback HTTP, against an upstream that misbehaves on demand.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod admin;
mod auth;
mod broken_streams;
mod budgets;
mod cases;
mod client_file;
mod clocks;
mod commands;
mod crossed;
mod docs;
mod encoded_answers;
mod examples;
mod explain;
mod flow;
mod generate;
mod hang_ups;
mod hostile;
mod http;
mod ledger;
mod limit_headers;
mod limits;
mod metrics;
mod models;
mod nothing_leaks;
mod passthrough;
mod program;
mod races;
mod reload;
mod secrets;
mod shapes;
mod shutdown;
mod smoke;
mod supervision;
mod surfaces;
mod telemetry;
mod upstream_status;
mod upstream_trouble;
mod usage;
mod watch;
