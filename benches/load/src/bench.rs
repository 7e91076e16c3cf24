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

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::HeaderValue;

use crate::cpu::MachineWatch;
use crate::error::LoadError;
use crate::gateway::Variant;
use crate::keys::{CLIENTS, UNKNOWN_KEY, UPSTREAM_KEY, api_key};
use crate::load::{Connection, Failure, Load, Target, TargetKind, run_phase, try_once};
use crate::report::{Cell, Machine, Report};
use crate::run_folder::RunFolder;
use crate::scenario::Scenario;
use crate::server_process::{START_LIMIT, ServerProcess};
use crate::{Flags, cpu, gateway, nginx, say, upstream};

/// Load before each cell that is not counted: it opens the connections on both sides of the target, and
/// plain requests, which come first, reach every key several times.
const WARM_UP: Duration = Duration::from_millis(300);

const NO_NGINX: &str = "nginx not found: install it with your package manager, e.g. apt-get install nginx-light; measuring without it";

/// Measures what the flags ask for.
pub async fn run(flags: &Flags) -> Result<Report, LoadError> {
    if !cpu::is_readable() {
        return Err(LoadError::NoProc);
    }
    let mut notes = Vec::new();
    let nginx = match (&flags.nginx, flags.targets.contains(&TargetKind::Nginx)) {
        (_, false) => None,
        (Some(given), true) => Some(given.clone()),
        (None, true) => nginx::find().or_else(|| {
            say(NO_NGINX);
            notes.push(NO_NGINX.to_owned());
            None
        }),
    };
    let wants_gateway = Variant::ALL.iter().any(|variant| flags.targets.contains(&variant.target()));
    let gateway = match (&flags.gateway, wants_gateway) {
        (_, false) => None,
        (Some(given), true) => Some(given.clone()),
        (None, true) => {
            say("building the gateway: cargo build --release");
            Some(gateway::build().await?)
        }
    };
    let limit = time_limit(flags);
    let programs = Programs { nginx, gateway };
    let (cells, share_of_others) = tokio::time::timeout(limit, measure(flags, &programs))
        .await
        .map_err(|_elapsed| LoadError::TimeLimit(limit))??;
    let nginx_version = programs.nginx.as_deref().and_then(nginx::version);
    Ok(Report {
        machine: Machine::read(nginx_version, share_of_others),
        seconds: flags.seconds,
        rounds: flags.rounds,
        notes,
        cells,
    })
}

/// Half as long again as the cells take, and a minute for starting and stopping the servers.
fn time_limit(flags: &Flags) -> Duration {
    let targets = u32::try_from(flags.targets.len()).unwrap_or(u32::MAX);
    let a_round: Duration = flags
        .scenarios
        .iter()
        .map(|scenario| (WARM_UP + flags.seconds + 2 * scenario.upstream_time()) * targets)
        .sum();
    a_round * flags.rounds * 3 / 2 + 2 * START_LIMIT
}

/// What is started besides the upstream.
struct Programs {
    nginx: Option<PathBuf>,
    gateway: Option<PathBuf>,
}

/// The running servers. Fields are dropped in order: those in front first, their folder last.
struct Servers {
    in_front: Vec<(TargetKind, ServerProcess, SocketAddr)>,
    upstream: (ServerProcess, SocketAddr),
    _folder: RunFolder,
}

impl Servers {
    /// The upstream, and those of the wanted targets whose program there is.
    async fn start(programs: &Programs, wanted: &[TargetKind]) -> Result<Self, LoadError> {
        let folder = RunFolder::create().map_err(LoadError::io("making a temporary folder"))?;
        let upstream = upstream::start().await?;
        let mut in_front = Vec::new();
        if let Some(program) = &programs.nginx {
            let (process, address) = nginx::start(program, &folder, upstream.1).await?;
            in_front.push((TargetKind::Nginx, process, address));
        }
        if let Some(program) = &programs.gateway {
            for variant in Variant::ALL.into_iter().filter(|variant| wanted.contains(&variant.target())) {
                let (process, address) = gateway::start(program, &folder, upstream.1, variant).await?;
                in_front.push((variant.target(), process, address));
            }
        }
        Ok(Self { in_front, upstream, _folder: folder })
    }

    /// Those of the wanted targets that run.
    fn targets(&self, wanted: &[TargetKind]) -> Vec<Target> {
        let client_keys: Arc<[HeaderValue]> =
            (0..CLIENTS).filter_map(|index| bearer(&api_key(index))).collect();
        let upstream_key: Arc<[HeaderValue]> = bearer(UPSTREAM_KEY).into_iter().collect();
        let in_front = self.in_front.iter().map(|(kind, process, address)| Target {
            kind: *kind,
            address: *address,
            pid: Some(process.pid()),
            authorizations: client_keys.clone(),
        });
        let direct = Target {
            kind: TargetKind::Direct,
            address: self.upstream.1,
            pid: None,
            authorizations: upstream_key,
        };
        std::iter::once(direct).chain(in_front).filter(|target| wanted.contains(&target.kind)).collect()
    }
}

/// The header value for a key; `None` for a key that no header can hold, which none of ours is.
fn bearer(key: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("Bearer {key}")).ok()
}

/// Starts the servers, tries each target, and measures all rounds; also how much of the machine others
/// used meanwhile. The servers end with this call.
async fn measure(flags: &Flags, programs: &Programs) -> Result<(Vec<Cell>, f64), LoadError> {
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

/// Is the target what it is said to be? It must answer every workload as it must be answered, and what stands
/// before the upstream must refuse a key that nobody has.
async fn try_target(target: &Target, scenarios: &[Scenario]) -> Result<(), LoadError> {
    for &scenario in scenarios {
        try_once(&Load::new(target.clone(), scenario)).await.map_err(|failure| LoadError::WrongAnswer {
            target: target.kind,
            scenario,
            failure,
        })?;
    }
    let stranger = Target { authorizations: bearer(UNKNOWN_KEY).into_iter().collect(), ..target.clone() };
    match try_once(&Load::new(stranger, Scenario::Plain)).await {
        Err(Failure::Status(StatusCode::UNAUTHORIZED, _)) => Ok(()),
        _ => Err(LoadError::UnknownKeyServed(target.kind)),
    }
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
