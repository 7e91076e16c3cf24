//! Commands, flags and their help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::reload::Origins;

/// An LLM API gateway: knows its clients, holds them to their limits, and calls the right provider.
#[derive(Debug, Parser)]
#[command(name = "dsp-ai-gateway", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do; without a command it serves.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where the configuration and the data are.
    #[command(flatten)]
    pub places: Places,
    /// How it serves.
    #[command(flatten)]
    pub serve: ServeFlags,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway (the default).
    Serve,
    /// Read the whole configuration and name every fault and warning; exit 0 or 2.
    Check,
    /// Print the OpenAPI document.
    Openapi,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub struct Places {
    /// The configuration file [env: GATEWAY_CONFIG; default: configs/gateway.toml]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// The folder for accounts and the admin token [env: GATEWAY_DATA; default: data]
    #[arg(long, value_name = "DIR", global = true)]
    pub data: Option<PathBuf>,
}

/// Flags of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeFlags {
    /// The address to listen on; port 0 picks a free one [env: GATEWAY_LISTEN; default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDR", global = true)]
    pub listen: Option<String>,
    /// How log lines look
    #[arg(long, value_enum, default_value_t = LogFormat::Text, global = true)]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or a filter such as `info,hyper=debug`
    /// [env: LOG_LEVEL, RUST_LOG; default: info]
    #[arg(long, value_name = "LEVEL", global = true)]
    pub log: Option<String>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one object a line.
    Json,
}

impl Cli {
    /// Where the configuration comes from, by these flags.
    pub fn origins(&self) -> Origins {
        Origins {
            config: self.places.config.clone(),
            listen: self.serve.listen.clone(),
            data_dir: self.places.data.clone(),
            ..Origins::default()
        }
    }
}
