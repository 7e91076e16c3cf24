//! The load of a soak: who asks what, how often, and what each must get.
//!
//! Owns     the clients of the run and the counts of their answers.
//! Called   by [`super`], which starts it, reads how much was asked and ends it.
//! Bounded  by its parts, each with so many connections at a fixed rate; 600 requests a second in all.
//! Fails    never: an answer that is not what it must be is counted, and the first of each part is kept in words.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::faults::Fault;
use crate::keys::UNKNOWN_KEY;
use crate::load::{Connection, Failure, Load, Target, TargetKind};
use crate::scenario::Scenario;
use crate::servers::{bearer, client_keys};

/// What a part's clients must get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The answer, byte for byte.
    Answer,
    /// The beginning of the answer; then they leave.
    FirstToken,
    /// A status from here to there.
    Status(u16, u16),
}

/// Clients that all ask the same.
#[derive(Debug, Clone, Copy)]
struct Part {
    title: &'static str,
    scenario: Scenario,
    /// Another model than the workload's.
    model: Option<&'static str>,
    kind: TargetKind,
    knows_a_key: bool,
    wanted: Wanted,
    connections: u16,
    per_second: u16,
}

/// A client's plain request, which the others differ from.
const PLAIN: Part = Part {
    title: "whole answers",
    scenario: Scenario::Plain,
    model: None,
    kind: TargetKind::Gateway,
    knows_a_key: true,
    wanted: Wanted::Answer,
    connections: 20,
    per_second: 270,
};

/// A tenth of what two cores bear, the load generator and the upstream included, and yet so much that what fills once
/// is full within two minutes: see [`super::minutes`].
const PARTS: [Part; 8] = [
    PLAIN,
    Part { title: "streams, all at once", scenario: Scenario::Stream, per_second: 120, ..PLAIN },
    Part { title: "streams, 5 ms a chunk", scenario: Scenario::Paced, per_second: 30, ..PLAIN },
    Part {
        title: "whole answers, translated",
        model: Some("anthropic/load-plain"),
        kind: TargetKind::Translated,
        per_second: 30,
        ..PLAIN
    },
    Part {
        title: "streams, translated",
        scenario: Scenario::Stream,
        model: Some("anthropic/load-stream"),
        kind: TargetKind::Translated,
        per_second: 60,
        ..PLAIN
    },
    Part {
        title: "answered 500 by the provider, 5xx",
        model: Some(Fault::Error.model()),
        wanted: Wanted::Status(500, 504),
        connections: 20,
        per_second: 30,
        ..PLAIN
    },
    Part {
        title: "with an unknown key, 401",
        knows_a_key: false,
        wanted: Wanted::Status(401, 401),
        connections: 20,
        per_second: 30,
        ..PLAIN
    },
    Part {
        title: "who leave in the middle of a stream",
        scenario: Scenario::Paced,
        wanted: Wanted::FirstToken,
        connections: 20,
        per_second: 30,
        ..PLAIN
    },
];

/// How a part's requests went.
#[derive(Debug, Default)]
struct Counts {
    right: AtomicU64,
    wrong: AtomicU64,
    first_wrong: OnceLock<String>,
}

/// The running load. Its clients end with it.
#[derive(Debug)]
pub struct Mix {
    counts: [Arc<Counts>; PARTS.len()],
    ending: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

impl Mix {
    /// Every part's clients begin to ask the gateway there.
    pub fn start(address: SocketAddr, pid: u32) -> Self {
        let counts: [Arc<Counts>; PARTS.len()] = Default::default();
        let ending = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for (part, counts) in PARTS.iter().zip(&counts) {
            let keys = match part.knows_a_key {
                true => client_keys(),
                false => bearer(UNKNOWN_KEY).into_iter().collect(),
            };
            let target = Target { kind: part.kind, address, pid: Some(pid), authorizations: keys };
            let load = Load::new(target, part.scenario);
            let load = Arc::new(match part.model {
                Some(model) => load.asking(part.scenario.request_body_for(model)),
                None => load,
            });
            let period = Duration::from_secs(1) * u32::from(part.connections) / u32::from(part.per_second);
            let spread = period / u32::from(part.connections);
            let starts = std::iter::successors(Some(Instant::now()), |last| Some(*last + spread));
            for (start, connection) in starts.zip(Connection::several(part.connections)) {
                let client = Client {
                    connection,
                    load: Arc::clone(&load),
                    wanted: part.wanted,
                    counts: Arc::clone(counts),
                    ending: Arc::clone(&ending),
                };
                clients.spawn(client.ask_every(start, period));
            }
        }
        Self { counts, ending, clients }
    }

    /// How many requests have ended.
    pub fn asked(&self) -> u64 {
        let ended =
            |counts: &Arc<Counts>| [&counts.right, &counts.wrong].map(|count| count.load(Ordering::Relaxed));
        self.counts.iter().flat_map(ended).sum()
    }

    /// How many of them did not get what they must.
    pub fn wrong(&self) -> u64 {
        self.counts.iter().map(|counts| counts.wrong.load(Ordering::Relaxed)).sum()
    }

    /// Lets every client finish what it is at.
    pub async fn end(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        while self.clients.join_next().await.is_some() {}
    }

    /// What was asked, above the table.
    pub fn write_head(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let per_second: u16 = PARTS.iter().map(|part| part.per_second).sum();
        let connections: u16 = PARTS.iter().map(|part| part.connections).sum();
        writeln!(out, "{per_second} requests a second on {connections} connections of 1000 clients\n")
    }

    /// How each part went, below the table.
    pub fn write_counts(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "\n| requests | a second | as they must be | otherwise |\n| --- | --- | --- | --- |")?;
        for (part, counts) in PARTS.iter().zip(&self.counts) {
            let [right, wrong] = [&counts.right, &counts.wrong].map(|count| count.load(Ordering::Relaxed));
            writeln!(out, "| {} | {} | {right} | {wrong} |", part.title, part.per_second)?;
        }
        for (part, counts) in PARTS.iter().zip(&self.counts) {
            if let Some(wrong) = counts.first_wrong.get() {
                writeln!(out, "FAILED: {}; the first: {wrong}", part.title)?;
            }
        }
        Ok(())
    }
}

/// One client on its connection.
struct Client {
    connection: Connection,
    load: Arc<Load>,
    wanted: Wanted,
    counts: Arc<Counts>,
    ending: Arc<AtomicBool>,
}

impl Client {
    async fn ask_every(mut self, start: Instant, period: Duration) {
        let mut turn = interval_at(start, period);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.ending.load(Ordering::Relaxed) {
            turn.tick().await;
            let outcome = match self.wanted {
                Wanted::FirstToken => self.connection.ask_and_leave(&self.load).await,
                Wanted::Answer | Wanted::Status(..) => self.connection.ask(&self.load).await,
            };
            match wrong(self.wanted, outcome.map(|_latency| ())) {
                None => _ = self.counts.right.fetch_add(1, Ordering::Relaxed),
                Some(wrong) => {
                    self.counts.wrong.fetch_add(1, Ordering::Relaxed);
                    self.counts.first_wrong.get_or_init(|| wrong);
                }
            }
        }
    }
}

/// What is wrong with an outcome, if it is not what is wanted.
fn wrong(wanted: Wanted, outcome: Result<(), Failure>) -> Option<String> {
    match (wanted, outcome) {
        (Wanted::Answer | Wanted::FirstToken, Ok(())) => None,
        (Wanted::Status(from, to), Err(Failure::Status(status, _)))
            if (from..=to).contains(&status.as_u16()) =>
        {
            None
        }
        (Wanted::Status(..), Ok(())) => Some("an answer where there must be none".to_owned()),
        (_, Err(failure)) => Some(failure.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;

    #[test]
    fn the_parts_are_six_hundred_requests_a_second_and_no_part_asks_before_its_answer() {
        assert_eq!(PARTS.iter().map(|part| part.per_second).sum::<u16>(), 600);
        for part in PARTS {
            let period = f64::from(part.connections) / f64::from(part.per_second);
            assert!(period > 2.0 * part.scenario.upstream_time().as_secs_f64(), "{}", part.title);
        }
    }

    #[test]
    fn an_answer_is_wrong_where_a_refusal_must_be_and_the_reverse() {
        let refused = |status| Err(Failure::Status(status, String::new()));
        let wanted = Wanted::Status(500, 504);
        assert_eq!(wrong(wanted, refused(StatusCode::SERVICE_UNAVAILABLE)), None);
        assert!(wrong(wanted, refused(StatusCode::UNAUTHORIZED)).is_some());
        assert!(wrong(wanted, Ok(())).is_some());
        assert!(wrong(Wanted::Answer, refused(StatusCode::BAD_GATEWAY)).is_some());
        assert_eq!(wrong(Wanted::FirstToken, Ok(())), None);
    }
}
