//! The run: servers up, every target tried once, rounds of cells, servers down.
//!
//! Owns     the order of measuring and the servers' lives.
//! Called   by `main` with the flags.
//! Bounded  by [`time_limit`], worked out from the flags; the build of the gateway has its own bound.
//! Fails    as [`LoadError`] when a server does not start or a target answers wrongly before the rounds.
//!          A missing nginx is a note in the report, and what fails within a round is counted there.
//!
//! A cell is one target under one workload. Within a round the targets follow each other under the same
//! workload, in an order that turns from round to round, so that what the machine does besides (other
//! load, heat, clock speed) meets all of them alike, and ratios are taken within a round.

use std::sync::Arc;
use std::time::Duration;

use crate::cpu::MachineWatch;
use crate::error::LoadError;
use crate::load::{Connection, Load, Target, run_phase};
use crate::report::{Cell, Machine, Report};
use crate::scenario::Scenario;
use crate::server_process::START_LIMIT;
use crate::servers::{Programs, Servers, try_target};
use crate::{CompareFlags, cpu, say};

/// Load before each cell that is not counted: it opens the connections on both sides of the target, and
/// plain requests, which come first, reach every key several times.
const WARM_UP: Duration = Duration::from_millis(300);

/// Measures what the flags ask for.
pub async fn run(flags: &CompareFlags) -> Result<Report, LoadError> {
    if !cpu::is_readable() {
        return Err(LoadError::NoProc);
    }
    let (programs, notes) =
        Programs::find(flags.gateway.as_deref(), flags.nginx.as_deref(), &flags.targets).await?;
    let limit = time_limit(flags);
    let (cells, share_of_others) = tokio::time::timeout(limit, measure(flags, &programs))
        .await
        .map_err(|_elapsed| LoadError::TimeLimit(limit))??;
    Ok(Report {
        machine: Machine::read(programs.nginx_version(), share_of_others),
        seconds: flags.seconds,
        rounds: flags.rounds,
        notes,
        cells,
    })
}

/// Half as long again as the cells take, and a minute for starting and stopping the servers.
fn time_limit(flags: &CompareFlags) -> Duration {
    let targets = u32::try_from(flags.targets.len()).unwrap_or(u32::MAX);
    let a_round: Duration = flags
        .scenarios
        .iter()
        .map(|scenario| (WARM_UP + flags.seconds + 2 * scenario.upstream_time()) * targets)
        .sum();
    a_round * flags.rounds * 3 / 2 + 2 * START_LIMIT
}

/// Starts the servers, tries each target, and measures all rounds; also how much of the machine others
/// used meanwhile. The servers end with this call.
async fn measure(flags: &CompareFlags, programs: &Programs) -> Result<(Vec<Cell>, f64), LoadError> {
    let servers = Servers::start(programs, &flags.targets).await?;
    let targets = servers.targets(&flags.targets);
    if targets.is_empty() {
        return Err(LoadError::NothingToMeasure);
    }
    for target in &targets {
        try_target(target, &flags.scenarios).await?;
    }
    let reading = || LoadError::io("reading the CPU time of the machine");
    let watch = MachineWatch::start().map_err(reading())?;
    let mut cells = Vec::new();
    for round in 0..flags.rounds {
        say(&format!("round {} of {}", round + 1, flags.rounds));
        for &scenario in &flags.scenarios {
            let connections = flags.connections.unwrap_or(scenario.default_connections());
            // The order turns by one from round to round.
            let turn = round as usize % targets.len();
            for target in targets[turn..].iter().chain(&targets[..turn]) {
                cells.push(measure_cell(target, scenario, connections, round, flags.seconds).await?);
            }
        }
    }
    let share_of_others = watch.share_of_others().map_err(reading())?;
    Ok((cells, share_of_others))
}

/// One cell: warm up, then measure on the same connections.
async fn measure_cell(
    target: &Target,
    scenario: Scenario,
    connections: u16,
    round: u32,
    duration: Duration,
) -> Result<Cell, LoadError> {
    let load = Arc::new(Load::new(target.clone(), scenario));
    let read_cpu = || {
        let used = target.pid.map(cpu::of_tree).transpose();
        used.map_err(LoadError::io("reading the CPU time of a server that is measured"))
    };
    let (warm, warm_up) = run_phase(Connection::several(connections), &load, WARM_UP).await;
    let before = read_cpu()?;
    let (_, tally) = run_phase(warm, &load, duration).await;
    let after = read_cpu()?;
    let cpu = before.zip(after).map(|(before, after)| after.saturating_sub(before));
    Ok(Cell::new(target.kind, scenario, connections, round, cpu, warm_up, tally))
}
