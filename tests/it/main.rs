//! The whole gateway over loopback HTTP, against an upstream that misbehaves on demand.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod admin;
mod admin_changes;
mod audit;
mod auth;
mod broken_streams;
mod budgets;
mod cases;
mod check;
mod client_file;
mod clocks;
mod commands;
mod crossed;
mod docs;
mod encoded_answers;
mod examples;
mod failover;
mod flow;
mod generate;
mod hang_ups;
mod hostile;
mod http;
mod ledger;
mod limit_headers;
mod limits;
mod manual;
mod midstream;
mod models;
mod packaging;
mod passthrough;
mod program;
mod races;
mod reload;
mod secrets;
mod shadow;
mod shapes;
mod shutdown;
mod smoke;
mod supervision;
mod supply_chain;
mod surfaces;
mod upstream_status;
mod upstream_trouble;
mod usage;
mod watch;
