//! Whether one provider's trouble reaches the clients of another.
//!
//! Owns     the two providers, what the second does in each phase, and the table.
//! Called   by `main` for `gateway-load isolation`.
//! Bounded  by the flags, with the time limit of [`time_limit`]; the second provider's clients by [`NEIGHBOURS`].
//! Fails    as [`LoadError`] before there is a table; with a table and exit code 1 when one of the first provider's
//!          answers was wrong. What the second provider's clients get is counted, and is no failure.
//!
//! One gateway has two providers, each an upstream in a process of its own. Clients of the first ask at a fixed rate
//! and are measured; clients of the second ask too, whatever they get. Phases are short and take turns. One of them,
//! a neighbour that does nothing, comes twice in each round: how far it is from itself is what the run cannot tell.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::cpu::{self, MachineWatch};
use crate::error::LoadError;
use crate::faults::Fault;
use crate::figures::{Rounds, short, text, text_with_middle};
use crate::gateway::{self, Setup, provider};
use crate::load::{Connection, Failure, Load, Pace, Target, TargetKind, run_phase, try_once};
use crate::report::Machine;
use crate::run_folder::RunFolder;
use crate::scenario::Scenario;
use crate::server_process::START_LIMIT;
use crate::servers::client_keys;
use crate::{say, seconds, upstream};

/// Connections of the measured clients, and the time between two requests of each: 400 a second.
const CONNECTIONS: u16 = 40;
const PERIOD: Duration = Duration::from_millis(100);

/// Clients of the second provider, the time between two requests of each, and how long they wait for an answer: a tenth
/// of what is measured, so that it is their answers that may matter and not that they ask. The times have no common
/// measure with [`PERIOD`], else the same requests would meet all the time.
const NEIGHBOURS: u16 = 8;
const NEIGHBOUR_PERIOD: Duration = Duration::from_millis(211);
const NEIGHBOUR_PATIENCE: Duration = Duration::from_secs(1);

/// From a change of the second provider until it counts: as long as its clients need for a request or two.
const SETTLE: Duration = Duration::from_millis(200);

/// The second provider's name.
const NEIGHBOUR: &str = "neighbour";

/// What the second provider and its clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    IdleAgain,
    Answering,
    Faulty(Fault),
}

impl Phase {
    const ALL: [Self; 6] = [
        Self::Idle,
        Self::Answering,
        Self::Faulty(Fault::Hang),
        Self::Faulty(Fault::Reset),
        Self::Faulty(Fault::Flood),
        Self::IdleAgain,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Idle => "is asked nothing",
            Self::IdleAgain => "is asked nothing, a second time",
            Self::Answering => "answers",
            Self::Faulty(Fault::Error) => "answers 500",
            Self::Faulty(Fault::Hang) => "hangs",
            Self::Faulty(Fault::Reset) => "resets every connection",
            Self::Faulty(Fault::Flood) => "sends headers without end",
        }
    }

    /// What its clients ask for, if they ask.
    fn model(self) -> Option<&'static str> {
        match self {
            Self::Idle | Self::IdleAgain => None,
            Self::Answering => Some(Scenario::Plain.model()),
            Self::Faulty(fault) => Some(fault.model()),
        }
    }
}

/// Measures whether one provider's trouble reaches the clients of another
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// How long one phase is measured, in seconds
    #[arg(long, default_value = "1", value_parser = seconds)]
    seconds: Duration,
    /// How often every phase is measured; rounds are interleaved
    #[arg(long, default_value_t = 22, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// A gateway binary to measure instead of building this project's
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
}

/// What was measured in one phase over all rounds.
#[derive(Debug, Default)]
struct Lane {
    latencies: Rounds,
    failed: u64,
    first_failure: Option<Failure>,
    cpu: Duration,
    time: Duration,
    neighbours: BTreeMap<&'static str, u64>,
}

/// Measures, and writes the table.
pub async fn run(flags: &Flags, out: &mut impl io::Write) -> Result<ExitCode, LoadError> {
    if !cpu::is_readable() {
        return Err(LoadError::NoProc);
    }
    let program = gateway::program(flags.gateway.as_deref()).await?;
    let limit = time_limit(flags);
    let measured = tokio::time::timeout(limit, measure(flags, &program)).await;
    let (lanes, share_of_others) = measured.map_err(|_elapsed| LoadError::TimeLimit(limit))??;
    let machine = Machine::read(None, share_of_others);
    write(out, flags, &machine, &lanes).map_err(LoadError::io("writing the report"))?;
    let failed = lanes.iter().any(|lane| lane.failed > 0);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Twice as long as the phases take, and a minute for starting and stopping the servers.
fn time_limit(flags: &Flags) -> Duration {
    (flags.seconds + SETTLE) * Phase::ALL.len() as u32 * flags.rounds * 2 + 2 * START_LIMIT
}

type Lanes = [Lane; Phase::ALL.len()];

async fn measure(flags: &Flags, program: &std::path::Path) -> Result<(Lanes, f64), LoadError> {
    let folder = RunFolder::create().map_err(LoadError::io("making a temporary folder"))?;
    let (first, second) = (upstream::start().await?, upstream::start().await?);
    let setup = Setup {
        name: "gateway",
        title: "the gateway",
        config: provider("openai", "openai", first.1)
            + &provider(NEIGHBOUR, "openai", second.1).replace("models = [\"*\"]\n", ""),
        has_ledger: true,
    };
    let (server, address) = gateway::start(program, &folder, &setup).await?;
    let target =
        Target { kind: TargetKind::Gateway, address, pid: Some(server.pid()), authorizations: client_keys() };
    let measured = Arc::new(Load::new(target.clone(), Scenario::Plain).paced(Pace::Every(PERIOD)));
    let not_usable = |asked| move |failure| LoadError::NotUsable { asked, failure };
    try_once(&measured).await.map_err(not_usable("its first provider's clients"))?;
    let asked = neighbours_ask(&target, Scenario::Plain.model());
    try_once(&asked).await.map_err(not_usable("its second provider's clients"))?;

    let mut lanes = Lanes::default();
    let mut connections = run_phase(Connection::several(CONNECTIONS), &measured, SETTLE).await.0;
    let reading = || LoadError::io("reading the CPU time of the gateway and the machine");
    let watch = MachineWatch::start().map_err(reading())?;
    for round in 0..flags.rounds {
        say(&format!("round {} of {}", round + 1, flags.rounds));
        for index in 0..Phase::ALL.len() {
            // The order turns by one from round to round.
            let index = (index + round as usize) % Phase::ALL.len();
            let neighbours = Neighbours::start(&target, Phase::ALL[index]);
            connections = run_phase(connections, &measured, SETTLE).await.0;
            let lane = &mut lanes[index];
            let (before, started) = (cpu::of_tree(server.pid()).map_err(reading())?, Instant::now());
            let (open, tally) = run_phase(connections, &measured, flags.seconds).await;
            lane.cpu += cpu::of_tree(server.pid()).map_err(reading())?.saturating_sub(before);
            lane.time += started.elapsed();
            connections = open;
            lane.failed += tally.failed;
            lane.first_failure = lane.first_failure.take().or(tally.first_failure);
            lane.latencies.push(tally.latencies);
            for (got, count) in neighbours.end() {
                *lane.neighbours.entry(got).or_default() += count;
            }
        }
    }
    Ok((lanes, watch.share_of_others().map_err(reading())?))
}

fn neighbours_ask(target: &Target, model: &str) -> Load {
    let body = Scenario::Plain.request_body_for(&format!("{NEIGHBOUR}/{model}"));
    Load::new(target.clone(), Scenario::Plain).asking(body).with_patience(NEIGHBOUR_PATIENCE)
}

/// The second provider's clients in one phase. They leave when this is dropped.
struct Neighbours {
    got: Arc<Mutex<BTreeMap<&'static str, u64>>>,
    _clients: JoinSet<()>,
}

impl Neighbours {
    fn start(target: &Target, phase: Phase) -> Self {
        let got = Arc::new(Mutex::new(BTreeMap::new()));
        let mut clients = JoinSet::new();
        if let Some(model) = phase.model() {
            let load = Arc::new(neighbours_ask(target, model));
            let spread = NEIGHBOUR_PERIOD / u32::from(NEIGHBOURS);
            let starts = std::iter::successors(Some(Instant::now()), |last| Some(*last + spread));
            for (start, connection) in starts.zip(Connection::several(NEIGHBOURS)) {
                clients.spawn(ask_on(connection, Arc::clone(&load), start, Arc::clone(&got)));
            }
        }
        Self { got, _clients: clients }
    }

    fn end(self) -> BTreeMap<&'static str, u64> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn ask_on(
    mut connection: Connection,
    load: Arc<Load>,
    start: Instant,
    got: Arc<Mutex<BTreeMap<&'static str, u64>>>,
) {
    let mut turn = interval_at(start, NEIGHBOUR_PERIOD);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        let word = match connection.ask(&load).await {
            Ok(_latency) => "200",
            Err(Failure::Status(StatusCode::BAD_GATEWAY, _)) => "502",
            Err(Failure::Status(StatusCode::SERVICE_UNAVAILABLE, _)) => "503",
            Err(Failure::Status(..)) => "another status",
            Err(Failure::TimedOut(_)) => "nothing in 1 s",
            Err(Failure::Connect(_) | Failure::Http(_) | Failure::Differs { .. } | Failure::Short { .. }) => {
                "a broken answer"
            }
        };
        *got.lock().unwrap_or_else(PoisonError::into_inner).entry(word).or_default() += 1;
    }
}

fn write(out: &mut impl io::Write, flags: &Flags, machine: &Machine, lanes: &Lanes) -> io::Result<()> {
    machine.write_text(out)?;
    let (rounds, seconds) = (flags.rounds, flags.seconds.as_secs_f64());
    writeln!(
        out,
        "{rounds} rounds of {seconds} s per phase, interleaved; each figure is the median over the rounds"
    )?;
    writeln!(
        out,
        "one provider's clients ask {} plain completions a second; {NEIGHBOURS} clients ask another provider, at most {} a \
         second\n",
        short(f64::from(CONNECTIONS) / PERIOD.as_secs_f64()),
        short(f64::from(NEIGHBOURS) / NEIGHBOUR_PERIOD.as_secs_f64()),
    )?;
    writeln!(
        out,
        "| the other provider … | answers measured | p50, ms | p99, ms | p50, ratio to asked nothing (middle half of \
         the rounds) | p99, ratio | p99, ratio to answers | gateway's CPU, % of a core | its own clients got |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    )?;
    let [idle, answers, ..] = lanes;
    for (phase, lane) in Phase::ALL.into_iter().zip(lanes) {
        let ratio = |other: &Lane, percent| {
            let ratio = lane.latencies.beside(&other.latencies, percent, |own, other| own / other);
            text_with_middle(ratio.filter(|_| !std::ptr::eq(lane, other)))
        };
        let got: Vec<String> = lane.neighbours.iter().map(|(got, count)| format!("{got}: {count}")).collect();
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            phase.title(),
            lane.latencies.count(),
            text(lane.latencies.percentile(50)),
            text(lane.latencies.percentile(99)),
            ratio(idle, 50),
            ratio(idle, 99),
            ratio(answers, 99),
            short(lane.cpu.as_secs_f64() / lane.time.as_secs_f64() * 100.0),
            if got.is_empty() { "-".to_owned() } else { got.join(", ") },
        )?;
    }
    for (phase, lane) in Phase::ALL.into_iter().zip(lanes).filter(|(_, lane)| lane.failed > 0) {
        let example = lane.first_failure.as_ref().map(Failure::to_string).unwrap_or_default();
        writeln!(
            out,
            "FAILED: {} requests while the other provider {}; the first: {example}",
            lane.failed,
            phase.title()
        )?;
    }
    Ok(())
}
