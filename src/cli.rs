//! Commands, flags and their help.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use gateway_actors::client::ClientId;
use http::Uri;

use crate::config::{Problem, Value, values};
use crate::reload::Origins;
use crate::usage_report::{Columns, Day, Format, Question};

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
    /// Run the gateway (the default)
    Serve(ServeFlags),
    /// Read the whole configuration and name every fault and warning; exit 0 or 2
    Check {
        /// Ask every provider for its models too: is it there, does it take the key, does it have the models
        #[arg(long)]
        online: bool,
    },
    /// Make a client, give it new credentials, or take its access away
    #[command(subcommand, subcommand_required = true, arg_required_else_help = true)]
    Client(ClientCommand),
    /// Print the hash of a secret, for a client's file
    ///
    /// Reads the secret from standard input, without one line break at its end.
    /// The hash is SHA-256, which is for long random secrets and the only one for API keys.
    #[command(verbatim_doc_comment, after_help = "Example:\n  printf %s \"$SECRET\" | dsp-ai-gateway hash")]
    Hash {
        /// Use argon2id, for a secret that a person chose
        #[arg(long)]
        argon2id: bool,
    },
    /// Tell what was used, in tokens and money; works while a gateway runs, too
    ///
    /// Reads the ledger and changes nothing. Days are those of UTC.
    /// Money is what was charged, at the prices of configs/models.toml when each request was admitted.
    #[command(
        verbatim_doc_comment,
        after_help = "Examples:\n  dsp-ai-gateway usage --from yesterday --by client,day\n  \
                      dsp-ai-gateway usage --client ada --format csv > ada.csv"
    )]
    Usage(UsageFlags),
    /// Ask a running gateway whether it takes requests; exit 0 or 1
    ///
    /// For the probes of containers and service managers: asks GET /readyz once, and waits 3 seconds at most.
    #[command(verbatim_doc_comment)]
    Health {
        /// The gateway's address, such as http://127.0.0.1:8000 [default: where the configuration has it listen]
        #[arg(long, value_name = "URL")]
        url: Option<Uri>,
    },
    /// Print the OpenAPI document
    Openapi,
    /// Print what makes a shell complete this program's commands and flags
    #[command(after_help = "Examples:\n  \
        dsp-ai-gateway completions bash > ~/.local/share/bash-completion/completions/dsp-ai-gateway\n  \
        dsp-ai-gateway completions zsh > ~/.zfunc/_dsp-ai-gateway\n  \
        dsp-ai-gateway completions fish > ~/.config/fish/completions/dsp-ai-gateway.fish\n  \
        dsp-ai-gateway completions powershell >> $PROFILE")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    #[command(after_help = "Examples:\n  dsp-ai-gateway man | man -l -\n  \
                            dsp-ai-gateway man > /usr/local/share/man/man1/dsp-ai-gateway.1")]
    Man,
}

/// Changes of a client's file, `ID.json` in the clients folder.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Write the file of a new client; print its secret and API key, once
    ///
    /// The client may use all endpoints that call models, and has no limits until its file says some.
    /// Standard output gets three lines: client_id=…, client_secret=… and api_key=….
    #[command(verbatim_doc_comment)]
    New {
        /// The client's id: 1 to 64 of A-Z a-z 0-9 . _ -
        #[arg(value_parser = ClientId::parse)]
        id: ClientId,
        /// The name that people read [default: the id]
        #[arg(long)]
        name: Option<String>,
        /// Its default provider, and the only one it may use [default: it may use all that are configured]
        #[arg(long, value_name = "P")]
        provider: Option<String>,
        /// Its default model; without --provider the model's provider becomes its default one
        #[arg(long, value_name = "M")]
        model: Option<String>,
    },
    /// Give a client a new secret and API key; the old ones end after a grace
    ///
    /// A published secret, which is that of the example client, is taken out at once.
    /// Standard output gets three lines: client_id=…, client_secret=… and api_key=….
    #[command(verbatim_doc_comment)]
    Rotate {
        /// The client's id
        #[arg(value_parser = ClientId::parse)]
        id: ClientId,
        /// How long the old credentials are still accepted, such as 30m, 24h or 7d; 0 takes them out
        #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = grace)]
        grace: Duration,
    },
    /// Take a client's access away: its file stays, its requests get a 401
    Disable {
        /// The client's id
        #[arg(value_parser = ClientId::parse)]
        id: ClientId,
    },
    /// Give a client back the access that was taken away
    Enable {
        /// The client's id
        #[arg(value_parser = ClientId::parse)]
        id: ClientId,
    },
}

/// A duration as configuration files write it; 0 needs no unit.
fn grace(written: &str) -> Result<Duration, Problem> {
    match written {
        "0" => Ok(Duration::ZERO),
        written => values::duration(&Value::Text(written.to_owned())),
    }
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
    /// A file with more of the environment, NAME=VALUE a line, such as a service's [default: .env, if it is there]
    #[arg(long, value_name = "FILE", global = true)]
    pub env_file: Option<PathBuf>,
}

/// Flags of `serve`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of serve")]
pub struct ServeFlags {
    /// The address to listen on; port 0 picks a free one [env: GATEWAY_LISTEN; default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// How log lines look [default: text]
    #[arg(long, value_enum)]
    pub log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug, trace, or a filter such as `info,hyper=debug`
    /// [env: LOG_LEVEL, RUST_LOG; default: info]
    #[arg(long, value_name = "LEVEL")]
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

/// Flags of `usage`.
#[derive(Debug, Clone, Args)]
pub struct UsageFlags {
    /// Of this client alone [default: of all]
    #[arg(long, value_name = "ID", value_parser = ClientId::parse)]
    pub client: Option<ClientId>,
    /// The first day: YYYY-MM-DD, today or yesterday [default: the first that is kept]
    #[arg(long, value_name = "DAY")]
    pub from: Option<Day>,
    /// The last day, itself included [default: the last that is kept]
    #[arg(long, value_name = "DAY")]
    pub to: Option<Day>,
    /// What rows are told apart by: any of client, provider, model and day, in the order of their columns
    #[arg(long, value_name = "COLUMNS", default_value = "client,model")]
    pub by: Columns,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

impl UsageFlags {
    /// What is asked.
    pub fn question(&self) -> Question {
        Question { client: self.client.clone(), from: self.from, to: self.to, by: self.by.clone() }
    }
}

impl Cli {
    /// The flags of `serve`, which may stand before the command or behind it; what stands behind it holds.
    pub fn serve_flags(&self) -> ServeFlags {
        let before = self.serve.clone();
        match &self.command {
            Some(Command::Serve(behind)) => ServeFlags {
                listen: behind.listen.clone().or(before.listen),
                log_format: behind.log_format.or(before.log_format),
                log: behind.log.clone().or(before.log),
            },
            _ => before,
        }
    }

    /// Where the configuration comes from, by these flags.
    pub fn origins(&self) -> Origins {
        Origins {
            config: self.places.config.clone(),
            listen: self.serve_flags().listen,
            data_dir: self.places.data.clone(),
            env_file: self.places.env_file.clone(),
            ignore_environment: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn listen(arguments: &[&str]) -> Option<String> {
        Cli::try_parse_from(arguments).unwrap().origins().listen
    }

    #[test]
    fn the_flags_of_serve_may_stand_before_the_command_or_behind_it() {
        assert_eq!(listen(&["dsp-ai-gateway"]), None);
        for arguments in [
            &["dsp-ai-gateway", "--listen", "[::]:1"][..],
            &["dsp-ai-gateway", "--listen", "[::]:1", "serve"],
            &["dsp-ai-gateway", "serve", "--listen", "[::]:1"],
            &["dsp-ai-gateway", "--listen", "[::]:2", "serve", "--listen", "[::]:1"],
        ] {
            assert_eq!(listen(arguments).as_deref(), Some("[::]:1"), "{arguments:?}");
        }
        assert!(Cli::try_parse_from(["dsp-ai-gateway", "check", "--listen", "[::]:1"]).is_err());
    }

    #[test]
    fn a_grace_is_a_duration_and_0_needs_no_unit() {
        assert_eq!(grace("0").unwrap(), Duration::ZERO);
        assert_eq!(grace("0s").unwrap(), Duration::ZERO);
        assert_eq!(grace("7d").unwrap(), Duration::from_secs(7 * 24 * 60 * 60));
        for written in ["", "7", "-1h", "1h30m", "400d"] {
            assert!(grace(written).is_err(), "{written}");
        }
    }

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }
}
