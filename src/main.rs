//! The program: flags, logs, runtime, exit code.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use dsp_ai_gateway::audit::Author;
use dsp_ai_gateway::cli::{Cli, Command, LogFormat, ServeFlags};
use dsp_ai_gateway::commands::{self, FAILED, UNUSABLE, say, tell};
use dsp_ai_gateway::config::Faults;
use dsp_ai_gateway::front::Front;
use dsp_ai_gateway::reload::Origins;
use dsp_ai_gateway::{Gateway, log_level, openapi};
use gateway_actors::Ended;
use tracing_subscriber::EnvFilter;

/// A request makes some hundred small allocations, and threads free what others allocated.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match &cli.command {
        None | Some(Command::Serve(_)) => serve(&cli),
        Some(Command::Check { online }) => {
            commands::check(&cli.origins(), cli.serve_flags().log.as_deref(), *online)
        }
        Some(Command::Client(command)) => commands::client(&cli.origins(), command),
        Some(Command::Hash { argon2id }) => commands::hash(*argon2id),
        Some(Command::Usage(question)) => commands::usage(&cli.origins(), question),
        Some(Command::Health { url }) => commands::health(&cli.origins(), url.as_ref()),
        Some(Command::Openapi) => say(openapi::document()),
        Some(Command::Completions { shell }) => commands::completions(*shell),
        Some(Command::Man) => commands::man(),
    }
}

fn serve(cli: &Cli) -> ExitCode {
    let origins = cli.origins();
    let flags = cli.serve_flags();
    let format = flags.log_format.unwrap_or(LogFormat::Text);
    let unusable = |faults: Faults| {
        faults.iter().for_each(|fault| tell_end(format, fault));
        ExitCode::from(UNUSABLE)
    };
    match log_level::filter(flags.log.as_deref(), &origins) {
        Ok(filter) => start_logging(filter, &flags),
        Err(faults) => return unusable(faults),
    }
    let loaded = match origins.load() {
        Ok(loaded) => loaded,
        Err(faults) => return unusable(faults),
    };
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(loaded.settings.server.worker_threads())
        .enable_all()
        .build();
    let served = match runtime {
        Ok(runtime) => runtime.block_on(run(loaded, origins)),
        Err(error) => {
            tell_end(format, format_args!("the runtime did not start: {error}"));
            return ExitCode::from(FAILED);
        }
    };
    match served {
        Ok(Ended::Stopped) => ExitCode::SUCCESS,
        Ok(Ended::Escalated) => {
            tell_end(format, "the supervision tree gave up; see the log");
            ExitCode::from(FAILED)
        }
        Err(error) => {
            tell_end(format, error);
            ExitCode::from(FAILED)
        }
    }
}

/// Tells why the gateway ends: people in a line as it is, and a program that reads JSON in JSON, unless nothing is to be
/// logged.
fn tell_end(format: LogFormat, fault: impl std::fmt::Display) {
    match format {
        LogFormat::Json if tracing::enabled!(tracing::Level::ERROR) => tracing::error!("{fault}"),
        LogFormat::Json | LogFormat::Text => tell(fault),
    }
}

async fn run(
    loaded: dsp_ai_gateway::settings::Loaded,
    origins: Origins,
) -> Result<Ended, dsp_ai_gateway::StartFault> {
    let config = loaded.settings.config_path.display().to_string();
    let running = Gateway::start(loaded, origins).await?;
    // Handled from before the line is out: whoever reads it may signal at once.
    let stop = stop_signal(Arc::clone(running.front()));
    let url = running.url();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), url, config, "started");
    say(&format!("listening on {url}"));
    let ended = running.serve_until(stop).await;
    if matches!(ended, Ended::Stopped) {
        tracing::info!("stopped");
    }
    Ok(ended)
}

/// Resolves at the first SIGTERM or SIGINT; a second one ends the process at once. SIGHUP reloads meanwhile.
#[cfg(unix)]
fn stop_signal(front: Arc<Front>) -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    async move {
        let [Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)] = signals else {
            tracing::error!("signals cannot be handled; stop the process by a kill");
            return std::future::pending().await;
        };
        let signal = loop {
            tokio::select! {
                _ = terminate.recv() => break "SIGTERM",
                _ = interrupt.recv() => break "SIGINT",
                _ = hangup.recv() => {
                    let front = Arc::clone(&front);
                    // What a reload says is in the log.
                    tokio::spawn(async move { front.reloader.reload(&front, Author::Signal).await });
                }
            }
        };
        tracing::info!(signal, "stopping; a second signal ends at once");
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            std::process::exit(i32::from(FAILED));
        });
    }
}

/// Resolves at the first Ctrl+C; a second one ends the process at once.
#[cfg(not(unix))]
async fn stop_signal(_front: Arc<Front>) {
    if tokio::signal::ctrl_c().await.is_err() {
        return std::future::pending().await;
    }
    tracing::info!(signal = "Ctrl+C", "stopping; a second one ends at once");
    tokio::spawn(async {
        let _ = tokio::signal::ctrl_c().await;
        std::process::exit(i32::from(FAILED));
    });
}

/// Logs go to standard error; colours only on a terminal, and not where `NO_COLOR` (no-color.org) asks for none.
fn start_logging(filter: EnvFilter, flags: &ServeFlags) {
    let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && !wants_none);
    match flags.log_format.unwrap_or(LogFormat::Text) {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
}
