//! What `packaging/` says of the program agrees with the program: its commands, variables, paths, ports and clocks.
//!
//! The files are read as what installs them reads them. Only the units are looked at by their own program too, where
//! there is systemd.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{CommandFactory, Parser};
use dsp_ai_gateway::cli::{Cli, Command as Asked};
use dsp_ai_gateway::reload::Origins;
use dsp_ai_gateway::settings::{KeySource, ServerSettings, Settings};

#[path = "packaging/container.rs"]
mod container;
#[path = "packaging/kubernetes.rs"]
mod kubernetes;
#[path = "packaging/systemd.rs"]
mod systemd;

/// After the grace the gateway sends last words, ends its tree and writes the ledger, which takes a second or two.
const TIME_TO_END: Duration = Duration::from_secs(5);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// A command line of a package, as the program would take it.
fn parsed(words: &[String]) -> Cli {
    assert!(words[0].ends_with("dsp-ai-gateway"), "{words:?} is another program");
    Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

fn is_variable_of_the_program(name: &str) -> bool {
    let help = Cli::command().render_long_help().to_string();
    help.contains(&format!("env: {name};"))
}

/// The settings of a file, with nothing from this machine's environment.
fn settings(config: &Path) -> Settings {
    let origins = Origins {
        config: Some(config.to_path_buf()),
        env_file: Some(root().join(".env.example")),
        ignore_environment: true,
        ..Origins::default()
    };
    origins.settings().unwrap_or_else(|faults| panic!("{}:\n{faults}", config.display()))
}

fn shipped() -> Settings {
    settings(&root().join("configs/gateway.toml"))
}

/// Whether a service manager waits long enough before it kills.
fn assert_outlasts(patience: Duration, server: &ServerSettings) {
    let needed = server.shutdown_delay + server.shutdown_grace + TIME_TO_END;
    assert!(patience >= needed, "{patience:?} is not enough for a stop that may take {needed:?}");
}

#[test]
fn the_packages_are_of_this_version() {
    let image = format!("image: dsp-ai-gateway:{}", env!("CARGO_PKG_VERSION"));
    assert!(read("packaging/kubernetes.yaml").contains(&image), "packaging/kubernetes.yaml: no `{image}`");
    let toolchain = format!("FROM rust:{}-", env!("CARGO_PKG_RUST_VERSION"));
    assert!(read("packaging/Dockerfile").contains(&toolchain), "packaging/Dockerfile: no `{toolchain}`");
}
