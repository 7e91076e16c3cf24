//! `gateway-load`: what the gateway costs beside nginx, measured in one interleaved run; and by name, how soon the
//! first token comes, how far a provider's trouble reaches, and whether the gateway holds more and more.
//!
//! Owns     the flags, the runtime and the exit code; each run has a file of its own, [`mod@bench`] that without a name.
//! Called   as `cargo run --release -p gateway-load`; the README beside it says how to read the result.
//! Bounded  by a time limit worked out from the flags; it ends by itself.
//! Fails    with exit code 1 when it cannot measure, when a single answer was not what it must be, or when a soak was
//!          not flat; with 130 when a signal stopped it. Its child processes end with it in every case.

mod bench;
mod cpu;
mod error;
mod expected;
mod faults;
mod figures;
mod first_token;
mod gateway;
mod isolation;
mod keys;
mod load;
mod nginx;
mod process_watch;
mod report;
mod run_folder;
mod scenario;
mod server_process;
mod servers;
mod soak;
mod upstream;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::error::LoadError;
use crate::load::TargetKind;
use crate::report::Report;
use crate::scenario::Scenario;

/// Measures this gateway (also without its ledger, and translating), nginx and the bare upstream in one interleaved
/// run; or what a command names.
#[derive(Debug, Parser)]
#[command(name = "gateway-load", version, args_conflicts_with_subcommands = true)]
struct Flags {
    #[command(subcommand)]
    run: Option<Run>,
    #[command(flatten)]
    compare: CompareFlags,
    /// Be the fake upstream until standard input closes (the harness starts itself this way)
    #[arg(long, hide = true)]
    serve_upstream: bool,
}

/// What is measured beside the price of a request.
#[derive(Debug, Subcommand)]
enum Run {
    FirstToken(first_token::Flags),
    Isolation(isolation::Flags),
    Soak(soak::Flags),
}

/// The flags of the run that has no name.
#[derive(Debug, Args)]
pub struct CompareFlags {
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
    flags.compare.targets.sort_unstable();
    flags.compare.targets.dedup();
    flags.compare.scenarios.sort_unstable();
    flags.compare.scenarios.dedup();
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

/// Runs what the flags name and writes its report; a report with failures is written too, with exit code 1.
fn measure(flags: &Flags) -> Result<ExitCode, LoadError> {
    let runtime = load_runtime().map_err(LoadError::io("starting the load generator's threads"))?;
    runtime.block_on(async {
        tokio::select! {
            biased;
            () = interrupted() => Err(LoadError::Interrupted),
            code = run(flags) => code,
        }
    })
}

async fn run(flags: &Flags) -> Result<ExitCode, LoadError> {
    let mut out = std::io::stdout();
    match &flags.run {
        Some(Run::FirstToken(flags)) => first_token::run(flags, &mut out).await,
        Some(Run::Isolation(flags)) => isolation::run(flags, &mut out).await,
        Some(Run::Soak(flags)) => soak::run(flags, &mut out).await,
        None => {
            let report = bench::run(&flags.compare).await?;
            write_report(&report, flags.compare.format).map_err(LoadError::io("writing the report"))?;
            Ok(if report.failures() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
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
