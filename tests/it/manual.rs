//! What the program tells of itself: help, the manual page, completions, colours, and whether it is ready.

#[cfg(target_os = "linux")]
use std::io::Read;
#[cfg(target_os = "linux")]
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;
use dsp_ai_gateway::cli::Cli;

use crate::program::{Program, command};

fn here() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn ran(arguments: &[&str]) -> String {
    said(&command(here().path(), arguments).output().unwrap())
}

/// The commands that do something themselves, each as its words.
fn commands(of: &clap::Command, before: &str) -> Vec<String> {
    let inner = of.get_subcommands().filter(|inner| inner.get_name() != "help");
    let words = inner.flat_map(|inner| {
        let words = format!("{before}{}", inner.get_name());
        if inner.has_subcommands() { commands(inner, &format!("{words} ")) } else { vec![words] }
    });
    words.collect()
}

/// A program that a machine may not have, with a text as its input; `None` where it is not there.
fn filtered(program: &str, arguments: &[&str], text: &str, folder: &Path) -> Option<Output> {
    let file = folder.join("text");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(program);
    command.args(arguments).arg(&file).env("LC_ALL", "C.UTF-8").env("MANWIDTH", "100").stdin(Stdio::null());
    command.output().ok()
}

#[test]
fn the_manual_page_has_every_command_and_flag() {
    let page = ran(&["man"]).replace("\\-", "-");
    for words in commands(&Cli::command(), "") {
        assert!(page.contains(&format!(".SS \"dsp-ai-gateway {words}\"")), "no {words}");
    }
    let mut all = vec![Cli::command()];
    while let Some(command) = all.pop() {
        for flag in command.get_arguments().filter_map(|argument| argument.get_long()) {
            assert!(page.contains(&format!("--{flag}")), "no --{flag}");
        }
        all.extend(command.get_subcommands().cloned());
    }
    for heading in
        ["NAME", "SYNOPSIS", "OPTIONS", "COMMANDS", "ENVIRONMENT", "FILES", "SIGNALS", "\"EXIT STATUS\""]
    {
        assert_eq!(page.matches(&format!(".SH {heading}\n")).count(), 1, "{heading}");
    }
}

#[test]
fn the_readers_of_manual_pages_accept_it() {
    let (page, folder) = (ran(&["man"]), here());
    if let Some(linted) = filtered("mandoc", &["-T", "lint", "-W", "error"], &page, folder.path()) {
        assert!(linted.status.success(), "{}", String::from_utf8_lossy(&linted.stdout));
    }
    if let Some(shown) = filtered("man", &["--warnings", "-l"], &page, folder.path()) {
        let warnings = String::from_utf8_lossy(&shown.stderr);
        assert!(said(&shown).contains("dsp-ai-gateway client new [--name]"), "{warnings}");
        assert_eq!(warnings, "");
    }
}

#[test]
fn every_shell_gets_completions_of_every_command() {
    for shell in Shell::value_variants() {
        let script = ran(&["completions", &shell.to_string()]);
        for words in commands(&Cli::command(), "") {
            let last = words.rsplit(' ').next().unwrap();
            assert!(script.contains(last), "{shell}: no {words}");
        }
    }
}

#[test]
fn the_shells_that_are_here_accept_their_completions() {
    let folder = here();
    for shell in ["bash", "zsh", "fish"] {
        let script = ran(&["completions", shell]);
        if let Some(read) = filtered(shell, &["-n"], &script, folder.path()) {
            assert!(read.status.success(), "{shell}: {}", String::from_utf8_lossy(&read.stderr));
        }
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    for arguments in [&["man"][..], &["completions", "bash"], &["--help"]] {
        let mut child = command(here().path(), arguments).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert!(child.wait().unwrap().success(), "{arguments:?}");
    }
}

/// The program on a terminal, with `NO_COLOR` as it is given. `script`, of util-linux, gives what it runs one.
#[cfg(target_os = "linux")]
fn on_a_terminal(folder: &Path, arguments: &[&str], no_color: &str) -> Command {
    let program = command(folder, arguments);
    let words = [program.get_program()].into_iter().chain(program.get_args());
    let words: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"]).current_dir(folder);
    script.env_clear().env("PATH", "/usr/bin:/bin").env("TERM", "xterm").env("NO_COLOR", no_color);
    script.stdin(Stdio::null());
    script
}

#[cfg(target_os = "linux")]
#[test]
fn colours_are_on_terminals_alone_and_only_if_they_are_wanted() {
    const COLOUR: &str = "\u{1b}[";
    let folder = here();
    // A ledger that cannot be there makes a start end soon, behind its first lines of log.
    std::fs::write(
        folder.path().join("gateway.toml"),
        "[ledger]\npath = \"gateway.toml\"\n[providers.echo]\n",
    )
    .unwrap();
    std::fs::create_dir(folder.path().join("clients")).unwrap();
    for (arguments, word) in [(&["--help"][..], "Usage"), (&["--listen", "127.0.0.1:0"], "WARN")] {
        let piped = command(folder.path(), arguments).output().unwrap();
        let piped = String::from_utf8_lossy(&[piped.stdout, piped.stderr].concat()).into_owned();
        assert!(piped.contains(word) && !piped.contains(COLOUR), "{piped}");
        let shown = |no_color| {
            let output = on_a_terminal(folder.path(), arguments, no_color).output().ok()?;
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let Some(coloured) = shown("") else { return };
        assert!(coloured.contains(word) && coloured.contains(COLOUR), "{coloured}");
        let plain = shown("1").unwrap();
        assert!(plain.contains(word), "{plain}");
        // What help makes bold or underlines is no colour.
        let colours = (30..38).chain(90..98).map(|colour| format!("{COLOUR}{colour}m"));
        assert!(!colours.into_iter().any(|colour| plain.contains(&colour)), "{plain}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_person_who_waits_for_providers_sees_how_many_have_answered() {
    let (folder, provider) = (here(), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = provider.local_addr().unwrap();
    let config = format!("[providers.silent]\nbase_url = \"http://{address}/v1\"\n");
    std::fs::write(folder.path().join("gateway.toml"), config).unwrap();
    std::fs::create_dir(folder.path().join("clients")).unwrap();
    let check = on_a_terminal(folder.path(), &["check", "--online"], "").stdout(Stdio::piped()).spawn();
    let Ok(mut check) = check else { return };
    let asked = provider.accept().unwrap();
    let (mut terminal, mut shown, mut piece) = (check.stdout.take().unwrap(), String::new(), [0; 256]);
    while !shown.contains("answers of providers: 0 of 1") {
        let read = terminal.read(&mut piece).unwrap();
        assert_ne!(read, 0, "it ended with {shown}");
        shown += &String::from_utf8_lossy(&piece[..read]);
    }
    // It waits for as long as the provider says nothing.
    drop((asked, provider));
    terminal.read_to_string(&mut shown).unwrap();
    assert!(check.wait().unwrap().success(), "{shown}");
    assert!(shown.contains("provider `silent` does not answer"), "{shown}");
}

#[tokio::test]
async fn health_tells_whether_a_gateway_takes_requests() {
    let folder = here();
    std::fs::create_dir(folder.path().join("clients")).unwrap();
    std::fs::write(
        folder.path().join("gateway.toml"),
        "[server]\nshutdown_delay = \"20s\"\n[providers.echo]\n",
    )
    .unwrap();
    let program = Program::start(folder.path()).await;
    let health = |address: String| {
        let mut command = command(folder.path(), &["health", "--url", &format!("http://{address}")]);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let asked = health(program.address().to_owned()).await.unwrap();
    assert_eq!(said(&asked), format!("the gateway at http://{} takes requests\n", program.address()));

    // As the settings say, where nobody names an address.
    let port = program.address().rsplit(':').next().unwrap();
    let mut by_settings = command(folder.path(), &["health"]);
    by_settings.env("GATEWAY_LISTEN", format!("0.0.0.0:{port}"));
    assert!(tokio::task::spawn_blocking(move || by_settings.status().unwrap()).await.unwrap().success());

    #[cfg(unix)]
    {
        let mut program = program;
        program.signal("TERM");
        program.until("the stop to be logged", |program| program.log().contains("stopping")).await;
        let mut asked = health(program.address().to_owned()).await.unwrap();
        // The log's line comes just before the state.
        while asked.status.success() {
            asked = health(program.address().to_owned()).await.unwrap();
        }
        assert_eq!(asked.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&asked.stderr).contains("takes no requests"), "{asked:?}");
    }
    let gone = health("127.0.0.1:9".to_owned()).await.unwrap();
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("is the gateway running"), "{gone:?}");
}

#[test]
fn health_cannot_be_asked_where_nobody_knows_the_address() {
    let folder = here();
    std::fs::write(folder.path().join("gateway.toml"), "[providers.echo]\n").unwrap();
    for (arguments, word) in [
        (&["health", "--url", "127.0.0.1:8000"][..], "http://127.0.0.1:8000"),
        (&["health", "--url", "a b"], "invalid value"),
    ] {
        let ran = command(folder.path(), arguments).output().unwrap();
        assert_eq!(ran.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&ran.stderr).contains(word), "{ran:?}");
    }
    let ran = command(folder.path(), &["health"]).env("GATEWAY_LISTEN", "127.0.0.1:0").output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("--url"), "{ran:?}");
}

/// Docker gives a probe five seconds.
#[test]
fn health_is_told_before_a_probe_gives_up() {
    assert!(dsp_ai_gateway::commands::HEALTH_PATIENCE < Duration::from_secs(5));
}
