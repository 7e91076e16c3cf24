//! What was measured, summed up over rounds, as a table and as JSON.
//!
//! Owns     the figures of every cell and the arithmetic on them.
//! Called   by [`crate::bench`] (cells) and `main` (writing).
//!
//! Every summary is the median with the smallest and the largest over the rounds. What compares two
//! targets (a ratio, an added latency, the ledger's cost, the translation's) is taken within each round first.

use std::io;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::figures::{Spread, percentile_ms, rounded};
use crate::load::{Tally, TargetKind};
use crate::scenario::Scenario;

/// One target under one workload in one round.
#[derive(Debug)]
pub struct Cell {
    target: TargetKind,
    scenario: Scenario,
    connections: u16,
    round: u32,
    answered: usize,
    failed: u64,
    first_failure: Option<String>,
    per_second: f64,
    /// CPU milliseconds per 1000 answers; `None` for the bare upstream.
    cpu_ms_per_1000: Option<f64>,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
}

impl Cell {
    /// Sums a measured phase up. Failures of the warm-up count as failures too.
    pub fn new(
        target: TargetKind,
        scenario: Scenario,
        connections: u16,
        round: u32,
        cpu: Option<Duration>,
        warm_up: Tally,
        measured: Tally,
    ) -> Self {
        let answered = measured.answered();
        let mut latencies = measured.latencies;
        latencies.sort_unstable();
        Self {
            target,
            scenario,
            connections,
            round,
            answered,
            failed: warm_up.failed + measured.failed,
            first_failure: warm_up
                .first_failure
                .or(measured.first_failure)
                .map(|failure| failure.to_string()),
            per_second: measured.per_second,
            // Milliseconds per 1000 answers are microseconds per answer.
            cpu_ms_per_1000: cpu
                .filter(|_| answered > 0)
                .map(|cpu| cpu.as_secs_f64() * 1e6 / answered as f64),
            p50_ms: percentile_ms(&latencies, 50),
            p99_ms: percentile_ms(&latencies, 99),
        }
    }
}

/// One line of a table.
#[derive(Debug, Clone, Copy)]
struct Measure {
    /// Its key in JSON.
    key: &'static str,
    /// One target's figure in one round, given that round's direct cell.
    figure: fn(&Cell, Option<&Cell>) -> Option<f64>,
    /// Whether a ratio of two targets says something.
    has_ratio: bool,
}

/// What the ledger's cost is a difference of, and the translation's a ratio.
const CPU: Measure =
    Measure { key: "cpu_ms_per_1000", figure: |cell, _| cell.cpu_ms_per_1000, has_ratio: true };

const MEASURES: [Measure; 6] = [
    CPU,
    Measure { key: "per_second", figure: |cell, _| Some(cell.per_second), has_ratio: true },
    Measure { key: "p50_ms", figure: |cell, _| cell.p50_ms, has_ratio: false },
    Measure { key: "p99_ms", figure: |cell, _| cell.p99_ms, has_ratio: false },
    Measure {
        key: "added_p50_ms",
        figure: |cell, direct| added(cell, direct?, |cell| cell.p50_ms),
        has_ratio: false,
    },
    Measure {
        key: "added_p99_ms",
        figure: |cell, direct| added(cell, direct?, |cell| cell.p99_ms),
        has_ratio: false,
    },
];

impl Measure {
    fn title(self, scenario: Scenario) -> String {
        let latency = scenario.latency_name();
        match self.key {
            "cpu_ms_per_1000" => format!("CPU ms per 1000 {}", scenario.unit()),
            "per_second" => format!("{} per second", scenario.unit()),
            "p50_ms" => format!("{latency} p50, ms"),
            "p99_ms" => format!("{latency} p99, ms"),
            "added_p50_ms" => "  added to direct, p50, ms".to_owned(),
            _ => "  added to direct, p99, ms".to_owned(),
        }
    }
}

/// How much later than the bare upstream; nothing for the bare upstream itself.
fn added(cell: &Cell, direct: &Cell, latency: fn(&Cell) -> Option<f64>) -> Option<f64> {
    (cell.target != TargetKind::Direct).then(|| Some(latency(cell)? - latency(direct)?))?
}

/// Where the figures come from.
#[derive(Debug)]
pub struct Machine {
    cores: usize,
    processor: String,
    nginx: Option<String>,
    /// The share of CPU time that went to programs which are not this run's, from 0 to 1.
    share_of_others: f64,
}

impl Machine {
    /// Reads what `/proc` says of this machine; `nginx` is its version, `share_of_others` was watched
    /// during the run.
    pub fn read(nginx: Option<String>, share_of_others: f64) -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("unknown processor", |(_, name)| name);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { cores, processor: model.to_owned(), nginx, share_of_others }
    }

    /// What stands above a table.
    pub fn write_text(&self, out: &mut (impl io::Write + ?Sized)) -> io::Result<()> {
        let Self { cores, processor, nginx, share_of_others } = self;
        writeln!(out, "{cores} cores, {processor}; {}", nginx.as_deref().unwrap_or("no nginx"))?;
        writeln!(out, "other programs used {:.1} % of the machine meanwhile", share_of_others * 100.0)
    }
}

/// A whole run.
#[derive(Debug)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// How long each cell was measured.
    pub seconds: Duration,
    /// How often.
    pub rounds: u32,
    /// What a reader must know, as a missing nginx.
    pub notes: Vec<String>,
    /// In the order they were measured.
    pub cells: Vec<Cell>,
}

impl Report {
    /// Requests of the whole run that did not get the answer they must get.
    pub fn failures(&self) -> u64 {
        self.cells.iter().map(|cell| cell.failed).sum()
    }

    /// The table for people.
    pub fn write_text(&self, out: &mut impl io::Write) -> io::Result<()> {
        self.machine.write_text(out)?;
        writeln!(
            out,
            "rounds: {} of {} s per cell, interleaved; median (smallest to largest) over the rounds",
            self.rounds,
            self.seconds.as_secs_f64(),
        )?;
        for note in &self.notes {
            writeln!(out, "note: {note}")?;
        }
        for scenario in self.scenarios() {
            self.write_table(out, scenario)?;
        }
        for cell in self.cells.iter().filter(|cell| cell.failed > 0) {
            let example = cell.first_failure.as_deref().unwrap_or_default();
            let (target, scenario, round) = (cell.target.title(), cell.scenario.name(), cell.round + 1);
            writeln!(
                out,
                "FAILED: {} requests to {target}, {scenario}, round {round}; the first: {example}",
                cell.failed
            )?;
        }
        Ok(())
    }

    fn write_table(&self, out: &mut impl io::Write, scenario: Scenario) -> io::Result<()> {
        let connections = self.of(scenario).map(|cell| cell.connections).max().unwrap_or_default();
        writeln!(out, "\n{}; {connections} connections", scenario.title())?;
        let targets = self.targets();
        let names = targets.iter().map(|target| target.title()).chain(["gateway / nginx"]);
        write_row(out, "", &names.map(str::to_owned).collect::<Vec<_>>())?;
        for measure in MEASURES {
            let figures = targets.iter().map(|&target| self.spread(scenario, target, measure));
            let ratio = self.ratio(scenario, measure);
            let row: Vec<String> =
                figures.chain([ratio]).map(|spread| spread.map_or("-".to_owned(), Spread::to_text)).collect();
            write_row(out, &measure.title(scenario), &row)?;
        }
        if let Some(cost) = self.ledger_cost(scenario) {
            writeln!(out, "the ledger costs {} ms of CPU per 1000 {}", cost.to_text(), scenario.unit())?;
        }
        if let Some(cost) = self.translation_cost(scenario) {
            writeln!(out, "translation costs {} times the CPU of passing", cost.to_text())?;
        }
        Ok(())
    }

    /// Everything, each round included.
    pub fn to_json(&self) -> Value {
        let Machine { cores, processor, nginx, share_of_others } = &self.machine;
        let scenarios: Vec<Value> =
            self.scenarios().into_iter().map(|scenario| self.scenario_json(scenario)).collect();
        json!({
            "machine": {"cores": cores, "processor": processor, "nginx": nginx, "share_of_others": rounded(*share_of_others)},
            "seconds": self.seconds.as_secs_f64(),
            "rounds": self.rounds,
            "notes": self.notes,
            "failures": self.failures(),
            "scenarios": scenarios,
        })
    }

    fn scenario_json(&self, scenario: Scenario) -> Value {
        let summary = |target| -> Map<String, Value> {
            let spread = |measure: Measure| self.spread(scenario, target, measure).map(Spread::to_json);
            MEASURES
                .into_iter()
                .map(|measure| (measure.key.to_owned(), spread(measure).unwrap_or_default()))
                .collect()
        };
        let targets: Map<String, Value> = self
            .targets()
            .into_iter()
            .map(|target| {
                let rounds: Vec<Value> = self
                    .of(scenario)
                    .filter(|cell| cell.target == target)
                    .map(|cell| self.cell_json(cell))
                    .collect();
                (target.name().to_owned(), json!({"summary": summary(target), "rounds": rounds}))
            })
            .collect();
        let ratios: Map<String, Value> = MEASURES
            .into_iter()
            .filter_map(|measure| Some((measure.key.to_owned(), self.ratio(scenario, measure)?.to_json())))
            .collect();
        let ledger_cost = self.ledger_cost(scenario).map(|cost| json!({CPU.key: cost.to_json()}));
        let translation_cost = self.translation_cost(scenario).map(|cost| json!({CPU.key: cost.to_json()}));
        json!({
            "name": scenario.name(),
            "title": scenario.title(),
            "targets": targets,
            "gateway_to_nginx": ratios,
            "ledger_cost": ledger_cost.unwrap_or_else(|| json!({})),
            "translated_to_gateway": translation_cost.unwrap_or_else(|| json!({})),
        })
    }

    fn cell_json(&self, cell: &Cell) -> Value {
        let direct = self.at(cell.scenario, TargetKind::Direct, cell.round);
        let mut figures: Map<String, Value> = MEASURES
            .into_iter()
            .map(|measure| (measure.key.to_owned(), json!((measure.figure)(cell, direct).map(rounded))))
            .collect();
        figures.insert("round".to_owned(), json!(cell.round + 1));
        figures.insert("connections".to_owned(), json!(cell.connections));
        figures.insert("answered".to_owned(), json!(cell.answered));
        figures.insert("failed".to_owned(), json!(cell.failed));
        figures.insert("first_failure".to_owned(), json!(cell.first_failure));
        Value::Object(figures)
    }

    fn of(&self, scenario: Scenario) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(move |cell| cell.scenario == scenario)
    }

    fn at(&self, scenario: Scenario, target: TargetKind, round: u32) -> Option<&Cell> {
        self.of(scenario).find(|cell| cell.target == target && cell.round == round)
    }

    fn scenarios(&self) -> Vec<Scenario> {
        let mut seen: Vec<Scenario> = self.cells.iter().map(|cell| cell.scenario).collect();
        seen.sort_unstable();
        seen.dedup();
        seen
    }

    fn targets(&self) -> Vec<TargetKind> {
        let mut seen: Vec<TargetKind> = self.cells.iter().map(|cell| cell.target).collect();
        seen.sort_unstable();
        seen.dedup();
        seen
    }

    fn figure(&self, scenario: Scenario, target: TargetKind, round: u32, measure: Measure) -> Option<f64> {
        let cell = self.at(scenario, target, round)?;
        (measure.figure)(cell, self.at(scenario, TargetKind::Direct, round))
    }

    fn spread(&self, scenario: Scenario, target: TargetKind, measure: Measure) -> Option<Spread> {
        Spread::of(
            (0..self.rounds).filter_map(|round| self.figure(scenario, target, round, measure)).collect(),
        )
    }

    /// The gateway's figure and another target's, of each round that has both.
    fn gateway_and(
        &self,
        other: TargetKind,
        scenario: Scenario,
        measure: Measure,
    ) -> impl Iterator<Item = (f64, f64)> {
        (0..self.rounds).filter_map(move |round| {
            let of = |target| self.figure(scenario, target, round, measure);
            Some((of(TargetKind::Gateway)?, of(other)?))
        })
    }

    /// The gateway's figure by nginx's, round by round. A round in which nginx's is zero has none.
    fn ratio(&self, scenario: Scenario, measure: Measure) -> Option<Spread> {
        let pairs = self.gateway_and(TargetKind::Nginx, scenario, measure).filter(|_| measure.has_ratio);
        Spread::of(pairs.filter(|&(_, nginx)| nginx > 0.0).map(|(gateway, nginx)| gateway / nginx).collect())
    }

    /// What the gateway uses more of the CPU than without its ledger, round by round, in milliseconds per
    /// 1000 answers. Below zero where chance outweighs it.
    fn ledger_cost(&self, scenario: Scenario) -> Option<Spread> {
        let pairs = self.gateway_and(TargetKind::NoLedger, scenario, CPU);
        Spread::of(pairs.map(|(with, without)| with - without).collect())
    }

    /// The CPU time of the gateway that translates by that of the one that passes, round by round. A round in
    /// which the latter is zero has none.
    fn translation_cost(&self, scenario: Scenario) -> Option<Spread> {
        let pairs = self.gateway_and(TargetKind::Translated, scenario, CPU);
        let ratios = pairs.filter(|&(passing, _)| passing > 0.0);
        Spread::of(ratios.map(|(passing, translating)| translating / passing).collect())
    }
}

/// A title and one right-aligned column per figure, wide enough for `gateway without its ledger`.
fn write_row(out: &mut impl io::Write, title: &str, columns: &[String]) -> io::Result<()> {
    write!(out, "{title:<27}")?;
    for column in columns {
        write!(out, "{column:>28}")?;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests;
