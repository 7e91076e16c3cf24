//! The gateway as a library: [`Gateway::start`] is the one door for the program, the tests and the examples.
//!
//! What it is made of, from the socket inwards: [`accept`] (connections), [`front`] (one filter, from head to
//! answer), [`credentials`] (who), [`resolve`] (what), `gateway_actors` (may it, and where), [`attempts`], [`call`] and
//! [`upstream`] (the call, and the next one when it fails), [`relay`] (the stream), [`respond`] (every error).

pub mod accept;
pub mod admin_guesses;
pub mod admin_token;
pub mod attempts;
pub mod audit;
pub mod background;
pub mod body;
pub mod call;
pub mod charge;
pub mod cli;
pub mod client_files;
pub mod client_members;
pub mod clients_dir;
pub mod commands;
pub mod config;
pub mod cors;
pub mod credentials;
pub mod cut_off;
pub mod decode;
pub mod echo;
pub mod env_file;
pub mod failover;
pub mod fault;
pub mod fault_facts;
pub mod fault_word;
pub mod front;
pub mod handlers;
pub mod limit_headers;
pub mod live;
pub mod log_level;
pub mod metrics;
pub mod model_list;
pub mod observer;
pub mod openapi;
pub mod quota;
pub mod relay;
pub mod reload;
pub mod request_id;
pub mod request_log;
pub mod resolve;
pub mod respond;
pub mod retirements;
pub mod routes;
pub mod running;
pub mod settings;
pub mod surface;
pub mod telemetry;
pub mod tls;
pub mod trace_context;
pub mod trail;
pub mod upstream;
pub mod usage_report;
pub mod watch;

pub use running::{Gateway, Running, StartFault};
