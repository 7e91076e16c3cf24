//! `man`: the manual page, the main command and all others on one page.
//!
//! Owns     what a page has beside the commands: variables, files, signals, exit codes.
//! Called   by `main`; packages keep what it prints.
//! Fails    never: the page is made of the flags' own definitions, in memory.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Arg, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{FAILED, say, tell};
use crate::cli::Cli;

const VARIABLES: [(&str, &str); 7] = [
    (
        "GATEWAY_CONFIG, GATEWAY_LISTEN, GATEWAY_DATA",
        "As --config, --listen and --data, which go before them.",
    ),
    (
        "GATEWAY_ADMIN_TOKEN",
        "What opens the admin routes. Without it a token is made at the first start, and kept in the data folder.",
    ),
    ("LOG_LEVEL, RUST_LOG", "As --log, which goes before them; the first of them before the second."),
    (
        "DEFAULT_PROVIDER, DEFAULT_MODEL",
        "Where a request goes that names neither a provider nor a model that tells, when its client has no default.",
    ),
    (
        "OPENAI_API_KEY, GROQ_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY",
        "Keys of providers, unless the configuration names other variables or files.",
    ),
    ("NO_COLOR", "Any value keeps colours out of logs and help; they are on terminals only in any case."),
    ("SSL_CERT_FILE, SSL_CERT_DIR", "Certificates to trust of providers, in the place of the system's."),
];

const FILES: [(&str, &str); 6] = [
    ("configs/gateway.toml", "The settings, with their defaults and what they mean."),
    ("configs/models.toml", "What models can do and what they charge; beside gateway.toml."),
    ("configs/clients/ID.json", "The clients, one a file."),
    (
        ".env",
        "Variables for this program alone, in the working folder; those of the environment go before them. An empty \
         value counts as unset.",
    ),
    ("data/ledger.db", "The accounts, an SQLite database; the files beside it belong to it."),
    ("data/admin-token", "The admin token that was made at the first start."),
];

const SIGNALS: [(&str, &str); 2] = [
    (
        "SIGTERM, SIGINT",
        "Stop in order: not ready for shutdown_delay, no new connections, shutdown_grace for running answers. A \
         second one ends the process at once.",
    ),
    ("SIGHUP", "Read the configuration again; one that has a fault changes nothing."),
];

const EXIT_CODES: [(&str, &str); 3] = [
    ("0", "Done; of serve, stopped in order."),
    ("1", "Something failed at run time; of health, the gateway takes no requests."),
    ("2", "The configuration, or what was asked for, cannot be used; every fault is named."),
];

/// Prints the page, in the form that man(1) reads.
pub fn man() -> ExitCode {
    match page() {
        Ok(page) => say(String::from_utf8_lossy(&page).trim_end()),
        Err(error) => {
            tell(format_args!("the manual page cannot be made: {error}"));
            ExitCode::from(FAILED)
        }
    }
}

fn page() -> io::Result<Vec<u8>> {
    let mut command = Cli::command().disable_help_subcommand(true).subcommand_value_name("COMMAND");
    command.build();
    let mut page = Vec::new();
    let main = Man::new(command.clone());
    // `Man::render_title` leaves out a date that is empty, and all behind it takes the wrong place.
    let version = command.render_version();
    writeln!(page, ".TH dsp-ai-gateway 1 \"\" \"{}\" \"User Commands\"", version.trim_end())?;
    main.render_name_section(&mut page)?;
    main.render_synopsis_section(&mut page)?;
    main.render_description_section(&mut page)?;
    main.render_options_section(&mut page)?;
    heading("COMMANDS").to_writer(&mut page)?;
    add_commands(&command, &mut page)?;
    for (title, entries) in [
        ("ENVIRONMENT", &VARIABLES[..]),
        ("FILES", &FILES),
        ("SIGNALS", &SIGNALS),
        ("EXIT STATUS", &EXIT_CODES),
    ] {
        let mut section = heading(title);
        for (name, meaning) in entries {
            section.control("TP", []).text([bold(*name)]).text([roman(*meaning)]);
        }
        section.to_writer(&mut page)?;
    }
    Ok(page)
}

fn heading(title: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [title]);
    roff
}

/// The commands below this one that do something themselves, each with its options.
fn add_commands(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        if inner.has_subcommands() {
            add_commands(inner, page)?;
        } else {
            add_command(inner, page)?;
        }
    }
    Ok(())
}

fn add_command(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    // Flags of every command are among the main one's.
    let is_general = |argument: &Arg| {
        argument.is_global_set() || argument.get_id() == "help" || argument.get_id() == "version"
    };
    let command = command.clone().mut_args(|argument| {
        let is_hidden = is_general(&argument);
        argument.hide(is_hidden)
    });
    let has_arguments = command.get_arguments().any(|argument| !argument.is_hide_set());
    let has_more = command.get_after_help().is_some();
    let title = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    let man = Man::new(command);
    let mut section = Vec::new();
    man.render_synopsis_section(&mut section)?;
    man.render_description_section(&mut section)?;
    if has_arguments {
        man.render_options_section(&mut section)?;
    }
    if has_more {
        man.render_extra_section(&mut section)?;
    }
    Roff::new().control("SS", [&*title]).to_writer(page)?;
    // What is a section of a page of its own is a paragraph here. The first is one anyhow, and so is each option.
    for line in String::from_utf8_lossy(&section).lines() {
        match line.strip_prefix(".SH ") {
            Some("DESCRIPTION" | "EXTRA") => writeln!(page, ".PP")?,
            Some(_) => {}
            None => writeln!(page, "{line}")?,
        }
    }
    Ok(())
}
