//! Why a run could not measure. One enum for the harness; [`crate::load::Failure`] is one request's fault.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::load::{Failure, TargetKind};
use crate::scenario::Scenario;

/// What ended a run before it had a report.
#[derive(Debug)]
pub enum LoadError {
    /// The operating system refused something the harness itself needs.
    Io {
        /// What was being done, as "writing X".
        doing: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
    /// There is no `/proc` to read CPU times from.
    NoProc,
    /// A program could not be run at all.
    NotRunnable {
        /// Which one.
        program: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// `sha256sum` ran and did not give one hash per key.
    NoHashes,
    /// `cargo build --release` failed; its own messages are on the terminal.
    BuildFailed(ExitStatus),
    /// `cargo build --release` succeeded and named no `dsp-ai-gateway` binary.
    NoExecutable,
    /// A server ended, or said nothing, before it served.
    NotServing {
        /// Which one.
        server: &'static str,
        /// The end of what it logged.
        log: String,
    },
    /// A target answered wrongly when it was tried once before the rounds.
    WrongAnswer {
        /// Which target.
        target: TargetKind,
        /// Under which workload.
        scenario: Scenario,
        /// What was wrong.
        failure: Failure,
    },
    /// A target served a request whose key it cannot know, so it looks nothing up.
    UnknownKeyServed(TargetKind),
    /// A gateway that must write its accounts has no ledger file, or one that must not has one.
    LedgerNotAsSaid {
        /// Which one.
        server: &'static str,
        /// Whether the file is there.
        found: bool,
    },
    /// A gateway that all depends on answered wrongly when it was tried once before the run.
    NotUsable {
        /// What was asked.
        asked: &'static str,
        /// What was wrong.
        failure: Failure,
    },
    /// Neither nginx, nor the gateway, nor the bare upstream was left to measure.
    NothingToMeasure,
    /// The build, or the run with its flags, took longer than it may.
    TimeLimit(Duration),
    /// A signal asked the harness to stop.
    Interrupted,
}

impl LoadError {
    /// Says what was being done when the operating system refused.
    pub fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { doing, source } => write!(out, "{doing}: {source}"),
            Self::NoProc => {
                write!(out, "CPU times come from /proc, which this system does not have; run it on Linux")
            }
            Self::NotRunnable { program, source } => {
                write!(out, "cannot run {}: {source}", program.display())
            }
            Self::NoHashes => {
                write!(out, "sha256sum did not hash every key; is the one on the PATH GNU's or busybox's?")
            }
            Self::BuildFailed(status) => write!(
                out,
                "`cargo build --release` failed ({status}); mend the build, or give --gateway FILE"
            ),
            Self::NoExecutable => {
                write!(out, "`cargo build --release` made no dsp-ai-gateway binary; give --gateway FILE")
            }
            Self::NotServing { server, log } => {
                write!(out, "{server} did not start to serve; its last words:\n{log}")
            }
            Self::WrongAnswer { target, scenario, failure } => {
                write!(
                    out,
                    "{} answers the {} workload wrongly, so it is not measured: {failure}",
                    target.title(),
                    scenario.name()
                )
            }
            Self::UnknownKeyServed(target) => {
                write!(
                    out,
                    "{} did not answer 401 to an unknown key, so it looks no key up and is not comparable",
                    target.title()
                )
            }
            Self::LedgerNotAsSaid { server, found } => {
                write!(
                    out,
                    "{} has {} ledger in its data folder, so it is not what it is called and is not measured; \
                     was another binary meant by --gateway?",
                    server,
                    if *found { "a" } else { "no" }
                )
            }
            Self::NotUsable { asked, failure } => {
                write!(out, "the gateway answers {asked} wrongly, so nothing is measured: {failure}")
            }
            Self::NothingToMeasure => write!(out, "nothing is left to measure; name more --targets"),
            Self::TimeLimit(limit) => {
                write!(out, "stopped after {} s, the limit for what it was doing", limit.as_secs())
            }
            Self::Interrupted => write!(out, "stopped by a signal; nothing is reported"),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } | Self::NotRunnable { source, .. } => Some(source),
            Self::WrongAnswer { failure, .. } | Self::NotUsable { failure, .. } => Some(failure),
            Self::NoProc
            | Self::NoHashes
            | Self::BuildFailed(_)
            | Self::NoExecutable
            | Self::NotServing { .. }
            | Self::UnknownKeyServed(_)
            | Self::LedgerNotAsSaid { .. }
            | Self::NothingToMeasure
            | Self::TimeLimit(_)
            | Self::Interrupted => None,
        }
    }
}
