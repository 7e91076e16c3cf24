//! `gateway-load`: what the gateway costs beside nginx, measured in one interleaved run.
//!
//! Owns     the flags, the runtime and the exit code; [`mod@bench`] is the run itself.
//! Called   as `cargo run --release -p gateway-load`; the README beside it says how to read the result.
//! Bounded  by a time limit worked out from the flags; it ends by itself.
//! Fails    with exit code 1 when it cannot measure, or when a single answer was not what it must be;
//!          with 130 when a signal stopped it. Its child processes end with it in every case.

mod bench;
mod cpu;
mod error;
mod expected;
mod gateway;
mod keys;
mod load;
mod nginx;
mod report;
mod run_folder;
mod scenario;
mod server_process;
mod upstream;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::error::LoadError;
use crate::load::TargetKind;
use crate::report::Report;
use crate::scenario::Scenario;

/// Measures this gateway (also without its ledger, and translating), nginx and the bare upstream in one interleaved run.
#[derive(Debug, Parser)]
#[command(name = "gateway-load", version)]
pub struct Flags {
    /// How long one cell (a target under a workload) is measured, in seconds
    #[arg(long, default_value = "3", value_parser = seconds)]
    seconds: Duration,
    /// How often every cell is measured; rounds are interleaved
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Client connections per cell [default: 32 plain, 16 stream, 100 paced]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=5000))]
    connections: Option<u16>,
    /// How the result is written to standard output
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// What is measured
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "direct,nginx,gateway,no-ledger,translated"
    )]
    targets: Vec<TargetKind>,
    /// Under which workloads
    #[arg(long, value_enum, value_delimiter = ',', default_value = "plain,stream,paced")]
    scenarios: Vec<Scenario>,
    /// An nginx to use instead of the one on the PATH
    #[arg(long, value_name = "FILE")]
    nginx: Option<PathBuf>,
    /// A gateway binary to measure instead of building this project's
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
    /// Be the fake upstream until standard input closes (the harness starts itself this way)
    #[arg(long, hide = true)]
    serve_upstream: bool,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table for people.
    Text,
    /// One JSON object with every round in it.
    Json,
}

/// A measured time per cell: below 0.1 s the kernel's 10 ms ticks drown the CPU figure, and an hour per
/// cell is surely a mistake.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("give a number of seconds from 0.1 to 3600".to_owned()),
    }
}

fn main() -> ExitCode {
    let mut flags = Flags::parse();
    // Named twice is meant once; and what comes first in a round does not depend on the command line.
    flags.targets.sort_unstable();
    flags.targets.dedup();
    flags.scenarios.sort_unstable();
    flags.scenarios.dedup();
    let outcome = if flags.serve_upstream { upstream::serve_until_stdin_closes() } else { measure(&flags) };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            say(&format!("gateway-load: {error}"));
            match error {
                LoadError::Interrupted => ExitCode::from(130),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Runs the benchmark and writes its report; a report with failed requests is written too, with exit code 1.
fn measure(flags: &Flags) -> Result<ExitCode, LoadError> {
    let runtime = load_runtime().map_err(LoadError::io("starting the load generator's threads"))?;
    let report = runtime.block_on(async {
        tokio::select! {
            biased;
            () = interrupted() => Err(LoadError::Interrupted),
            report = bench::run(flags) => report,
        }
    })?;
    write_report(&report, flags.format).map_err(LoadError::io("writing the report"))?;
    Ok(if report.failures() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Half the cores, at least one: the load generator and the fake upstream share the machine with what is
/// measured, and must not be able to take all of it.
fn helper_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

fn load_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(helper_threads()).enable_all().build()
}

/// Ends at the first signal that asks the process to stop, so that children are ended on the way out.
#[cfg(unix)]
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};

    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else {
        // Without handlers the default action ends the process: children that watch a pipe still end.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}

#[cfg(not(unix))]
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

fn write_report(report: &Report, format: Format) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match format {
        Format::Text => report.write_text(&mut out)?,
        Format::Json => writeln!(out, "{:#}", report.to_json())?,
    }
    out.flush()
}

/// Tells the person at the terminal; the report alone goes to standard output. A closed terminal is no
/// reason to stop measuring.
fn say(line: &str) {
    let _closed_terminal = writeln!(std::io::stderr(), "{line}");
}
