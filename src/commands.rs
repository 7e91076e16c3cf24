//! The commands that do their work and end: what they print, and with which exit code.
//!
//! Owns     the words. Results go to standard output, for programs; all else to standard error, for people.
//! Called   by `main`.
//! Bounded  by the configuration.
//! Fails    with [`UNUSABLE`] for what a person must mend first, with [`FAILED`] for what the system refused.

mod client;
mod completions;
mod hash;
mod health;
mod manual;
mod online;
mod progress;
mod usage;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::config::Faults;
use crate::log_level;
use crate::reload::Origins;

pub use client::client;
pub use completions::completions;
pub use hash::hash;
pub use health::{PATIENCE as HEALTH_PATIENCE, health};
pub use manual::man;
pub use usage::usage;

/// Exit code: the configuration or what was asked for cannot be used.
pub const UNUSABLE: u8 = 2;

/// Exit code: something failed at run time.
pub const FAILED: u8 = 1;

/// To standard output. A reader that has gone away (`| head`) is no failure.
pub fn say(text: &str) -> ExitCode {
    let _ = writeln!(io::stdout(), "{text}");
    ExitCode::SUCCESS
}

/// To standard output, where losing it would lose what cannot be had again.
fn hand_over(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// To standard error, where people and logs are.
pub fn tell(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Tells every fault of a configuration.
pub fn unusable(faults: &Faults) -> ExitCode {
    tell(faults);
    ExitCode::from(UNUSABLE)
}

/// `check`: whether the configuration can be used, and what is to be logged, of which `log` is the flag; `online` asks the
/// providers too.
pub fn check(origins: &Origins, log: Option<&str>, online: bool) -> ExitCode {
    let level = log_level::filter(log, origins);
    if let Err(faults) = &level {
        tell(faults);
    }
    match origins.load() {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                tell(format_args!("warning: {warning}"));
            }
            if online {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let found = match runtime {
                    Ok(runtime) => runtime.block_on(online::findings(&loaded.settings, &loaded.clients)),
                    Err(error) => {
                        tell(format_args!("the runtime did not start: {error}"));
                        return ExitCode::from(FAILED);
                    }
                };
                for finding in found {
                    tell(format_args!("warning: {finding}"));
                }
            }
            if level.is_err() {
                return ExitCode::from(UNUSABLE);
            }
            let (clients, providers) = (loaded.clients.len(), loaded.settings.providers.len());
            say(&format!("the configuration can be used: {clients} clients, {providers} providers"))
        }
        Err(faults) => unusable(&faults),
    }
}
