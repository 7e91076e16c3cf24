//! When the first token comes where nothing fails: is it later for a model that has somebody to fall back on?
//!
//! Owns     the loads, the order of the cells and the table.
//! Called   by `main` for `gateway-load first-token`.
//! Bounded  by the flags, with the time limit of [`time_limit`].
//! Fails    as [`LoadError`] before there is a table; with a table and exit code 1 when an answer was wrong.
//!
//! The load is the same for every target and far below what any of them can bear, so that no queue stands for the
//! target itself. Cells are short and many, and the targets take turns, since the tail of a short phase is the
//! machine's. One gateway is measured twice in each round: how far it is from itself is what the run cannot tell.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::cpu::MachineWatch;
use crate::error::LoadError;
use crate::figures::{Rounds, short, text, text_with_middle};
use crate::load::{Connection, Failure, Load, Pace, Target, TargetKind, run_phase};
use crate::report::Machine;
use crate::scenario::Scenario;
use crate::server_process::START_LIMIT;
use crate::servers::{Programs, Servers, try_target};
use crate::{say, seconds};

/// In the order of the table.
const TARGETS: [TargetKind; 5] =
    [TargetKind::Direct, TargetKind::Nginx, TargetKind::Gateway, TargetKind::NoFailover, TargetKind::Pool];

/// What stands for a target measured a second time.
const AGAIN: &str = "gateway, a second time";

/// A workload at a fixed rate.
#[derive(Debug, Clone, Copy)]
struct FixedLoad {
    scenario: Scenario,
    connections: u16,
    /// From one request of a connection to its next; longer than an answer takes.
    period: Duration,
}

/// 300 streams a second that come all at once, and 150 that take a third of a second each: a tenth to a quarter of
/// what two cores bear, the load generator and the upstream included.
const LOADS: [FixedLoad; 2] = [
    FixedLoad { scenario: Scenario::Stream, connections: 30, period: Duration::from_millis(100) },
    FixedLoad { scenario: Scenario::Paced, connections: 60, period: Duration::from_millis(400) },
];

impl FixedLoad {
    fn per_second(self) -> f64 {
        f64::from(self.connections) / self.period.as_secs_f64()
    }
}

/// Measures when the first token comes where nothing fails: one target, a pool, and no failover at all
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// How long one cell (a target under a workload) is measured, in seconds
    #[arg(long, default_value = "1", value_parser = seconds)]
    seconds: Duration,
    /// How often every cell is measured; rounds are interleaved
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// An nginx to use instead of the one on the PATH
    #[arg(long, value_name = "FILE")]
    nginx: Option<PathBuf>,
    /// A gateway binary to measure instead of building this project's
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
}

/// A target under a workload over all rounds, on connections that stay open.
#[derive(Debug)]
struct Lane {
    title: &'static str,
    kind: TargetKind,
    load: Arc<Load>,
    connections: Vec<Connection>,
    latencies: Rounds,
    failed: u64,
    first_failure: Option<Failure>,
}

impl Lane {
    fn new(target: &Target, title: &'static str, load: FixedLoad) -> Self {
        Self {
            title,
            kind: target.kind,
            load: Arc::new(Load::new(target.clone(), load.scenario).paced(Pace::Every(load.period))),
            connections: Connection::several(load.connections),
            latencies: Rounds::default(),
            failed: 0,
            first_failure: None,
        }
    }

    async fn measure(&mut self, duration: Duration) {
        let (connections, tally) =
            run_phase(std::mem::take(&mut self.connections), &self.load, duration).await;
        self.connections = connections;
        self.failed += tally.failed;
        self.first_failure = self.first_failure.take().or(tally.first_failure);
        self.latencies.push(tally.latencies);
    }
}

/// Measures, and writes the tables.
pub async fn run(flags: &Flags, out: &mut impl io::Write) -> Result<ExitCode, LoadError> {
    let (programs, notes) =
        Programs::find(flags.gateway.as_deref(), flags.nginx.as_deref(), &TARGETS).await?;
    let limit = time_limit(flags);
    let measured = tokio::time::timeout(limit, measure(flags, &programs)).await;
    let (tables, share_of_others) = measured.map_err(|_elapsed| LoadError::TimeLimit(limit))??;
    let machine = Machine::read(programs.nginx_version(), share_of_others);
    write(out, flags, &machine, &notes, &tables).map_err(LoadError::io("writing the report"))?;
    let failed = tables.iter().flat_map(|(_, lanes)| lanes).any(|lane| lane.failed > 0);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Three times as long as the cells take, and a minute for starting and stopping the servers.
fn time_limit(flags: &Flags) -> Duration {
    // Every target, and one of them twice.
    let cells = TARGETS.len() as u32 + 1;
    let a_round: Duration =
        LOADS.iter().map(|load| (flags.seconds + load.scenario.upstream_time()) * cells).sum();
    a_round * flags.rounds * 3 + 2 * START_LIMIT
}

type Table = (FixedLoad, Vec<Lane>);

async fn measure(flags: &Flags, programs: &Programs) -> Result<(Vec<Table>, f64), LoadError> {
    let servers = Servers::start(programs, &TARGETS).await?;
    let targets = servers.targets(&TARGETS);
    for target in &targets {
        try_target(target, &LOADS.map(|load| load.scenario)).await?;
    }
    let mut tables = LOADS.map(|load| {
        let lanes = targets.iter().map(|target| Lane::new(target, target.kind.title(), load));
        let again = targets.iter().filter(|target| target.kind == TargetKind::Gateway);
        (load, lanes.chain(again.map(|target| Lane::new(target, AGAIN, load))).collect::<Vec<_>>())
    });
    let reading = || LoadError::io("reading the CPU time of the machine");
    // What comes first opens the connections, on both sides of the targets, and is not counted.
    for (_, lanes) in &mut tables {
        for lane in lanes {
            lane.measure(Duration::ZERO).await;
            lane.latencies = Rounds::default();
        }
    }
    let watch = MachineWatch::start().map_err(reading())?;
    for round in 0..flags.rounds {
        say(&format!("round {} of {}", round + 1, flags.rounds));
        for (_, lanes) in &mut tables {
            // The order turns by one from round to round.
            let (count, turn) = (lanes.len(), round as usize);
            for index in 0..count {
                lanes[(index + turn) % count].measure(flags.seconds).await;
            }
        }
    }
    Ok((tables.into(), watch.share_of_others().map_err(reading())?))
}

fn write(
    out: &mut impl io::Write,
    flags: &Flags,
    machine: &Machine,
    notes: &[String],
    tables: &[Table],
) -> io::Result<()> {
    machine.write_text(out)?;
    let (rounds, seconds) = (flags.rounds, flags.seconds.as_secs_f64());
    writeln!(
        out,
        "{rounds} rounds of {seconds} s per cell, interleaved; each figure is the median over the rounds"
    )?;
    notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))?;
    for (load, lanes) in tables {
        writeln!(out, "\n{}, {} a second\n", load.scenario.title(), short(load.per_second()))?;
        writeln!(
            out,
            "| target | first token p50, ms | p99, ms | added to direct p50, ms | p99, ms | beside `gateway` p50, ms \
             (middle half of the rounds) | p99, ms |\n| --- | --- | --- | --- | --- | --- | --- |"
        )?;
        let of = |kind| lanes.iter().find(|lane| lane.kind == kind);
        for lane in lanes {
            let more = |other: Option<&Lane>, percent| {
                let other = other.filter(|other| other.title != lane.title)?;
                lane.latencies.beside(&other.latencies, percent, |own, other| own - other)
            };
            let (direct, gateway) = (of(TargetKind::Direct), of(TargetKind::Gateway));
            writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} | {} |",
                lane.title,
                text(lane.latencies.percentile(50)),
                text(lane.latencies.percentile(99)),
                text(more(direct, 50)),
                text(more(direct, 99)),
                text_with_middle(more(gateway, 50)),
                text_with_middle(more(gateway, 99)),
            )?;
        }
    }
    for lane in tables.iter().flat_map(|(_, lanes)| lanes).filter(|lane| lane.failed > 0) {
        let example = lane.first_failure.as_ref().map(Failure::to_string).unwrap_or_default();
        writeln!(out, "FAILED: {} requests to {}; the first: {example}", lane.failed, lane.title)?;
    }
    Ok(())
}
