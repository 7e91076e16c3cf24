//! `completions`: what makes a shell complete the commands and flags of this program.
//!
//! Fails    never: the script is made of the flags' own definitions.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::say;
use crate::cli::Cli;

/// Prints the script for a shell.
pub fn completions(shell: Shell) -> ExitCode {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    say(String::from_utf8_lossy(&script).trim_end())
}
