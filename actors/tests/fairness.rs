//! A simulation of the queue: one client floods, twenty others ask as they always do. What do these notice?
//!
//! Time, arrivals and sizes are made up from a seed, so a run can be repeated: `FAIRNESS_SEED=7 cargo test -p
//! gateway-actors --test fairness`.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

use std::collections::BinaryHeap;

use gateway_actors::fair_queue::FairQueue;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Clients that behave; the one that floods is the next.
const OTHERS: usize = 20;
const FLOOD: usize = OTHERS;

/// How much more the flood asks than any of the others.
const FLOOD_TIMES: f64 = 100.0;

/// `max_concurrency`, and `queue.max`.
const PLACES: usize = 4;
const QUEUE_MAX: usize = 100;

/// Jobs of each of the others.
const JOBS: usize = 1_000;

/// Tokens of a job; it takes a place for as many ticks.
const TOKENS: std::ops::Range<u64> = 200..4_000;

/// The share of all places that the others alone keep busy.
const UTILIZATION: f64 = 0.8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Job {
    arrives: u64,
    client: usize,
    tokens: u64,
}

/// What the others got.
#[derive(Debug)]
struct Noticed {
    /// Tokens served to each until the last arrival.
    served: Vec<u64>,
    /// Ticks that each of their jobs waited, sorted.
    waits: Vec<u64>,
    turned_away: usize,
}

impl Noticed {
    fn p99(&self) -> u64 {
        self.waits[self.waits.len() * 99 / 100]
    }
}

/// Exponential gaps: everybody asks at random.
fn arrivals(random: &mut StdRng, has_flood: bool) -> Vec<Job> {
    let mean_tokens = (TOKENS.start + TOKENS.end) as f64 / 2.0;
    let gap = mean_tokens * OTHERS as f64 / (PLACES as f64 * UTILIZATION);
    let mut jobs = Vec::new();
    for client in 0..OTHERS + usize::from(has_flood) {
        let (gap, count) = match client {
            FLOOD => (gap / FLOOD_TIMES, JOBS * FLOOD_TIMES as usize),
            _ => (gap, JOBS),
        };
        let mut now = 0.0;
        for _ in 0..count {
            now -= gap * random.random_range(f64::EPSILON..1.0).ln();
            jobs.push(Job { arrives: now as u64, client, tokens: random.random_range(TOKENS) });
        }
    }
    jobs.sort();
    jobs
}

fn simulate(seed: u64, has_flood: bool) -> Noticed {
    let jobs = arrivals(&mut StdRng::seed_from_u64(seed), has_flood);
    let last = jobs.iter().filter(|job| job.client != FLOOD).map(|job| job.arrives).max().unwrap();
    let mut noticed = Noticed { served: vec![0; OTHERS], waits: Vec::new(), turned_away: 0 };
    let mut queue = FairQueue::<usize, Job>::default();
    // When places get free, the soonest first.
    let mut busy = BinaryHeap::new();
    let mut coming = jobs.into_iter().peekable();
    loop {
        let arrives = coming.peek().map(|job| job.arrives);
        let frees = busy.peek().map(|std::cmp::Reverse(frees)| *frees);
        let now = match (arrives, frees) {
            (None, None) => break,
            (Some(arrives), Some(frees)) if arrives < frees => arrives,
            (Some(arrives), None) => arrives,
            (_, Some(frees)) => frees,
        };
        while busy.peek().is_some_and(|std::cmp::Reverse(frees)| *frees <= now) {
            busy.pop();
        }
        if let Some(job) = coming.next_if(|job| job.arrives == now)
            && let Some(turned_away) = queue.push(job.client, 1, job.tokens, job, QUEUE_MAX)
        {
            noticed.turned_away += usize::from(turned_away.client != FLOOD);
        }
        while busy.len() < PLACES
            && let Some(job) = queue.pop()
        {
            busy.push(std::cmp::Reverse(now + job.tokens));
            if job.client != FLOOD {
                noticed.waits.push(now - job.arrives);
                noticed.served[job.client] += if now <= last { job.tokens } else { 0 };
            }
        }
    }
    noticed.waits.sort_unstable();
    noticed
}

/// One when all have the same, one over their number when one has all. (Jain, Chiu and Hawe, "A quantitative measure of
/// fairness", 1984.)
fn jains_index(shares: &[u64]) -> f64 {
    let sum: f64 = shares.iter().map(|share| *share as f64).sum();
    let squares: f64 = shares.iter().map(|share| (*share as f64).powi(2)).sum();
    sum * sum / (shares.len() as f64 * squares)
}

#[test]
fn a_flood_changes_neither_the_shares_of_the_others_nor_much_of_their_waits() {
    let seeds: Vec<u64> = match std::env::var("FAIRNESS_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (1..=5).collect(),
    };
    for seed in seeds {
        let (calm, flooded) = (simulate(seed, false), simulate(seed, true));
        let index = jains_index(&flooded.served);
        let ratio = flooded.p99() as f64 / calm.p99() as f64;
        println!("seed {seed}: index {index:.4}, p99 {} and {} ticks, {ratio:.2}", calm.p99(), flooded.p99());
        assert_eq!(flooded.turned_away, 0, "seed {seed}: the flood fills its own share of the queue");
        assert!(index >= 0.99, "seed {seed}: {index}");
        assert!(ratio <= 1.5, "seed {seed}: the others' p99 wait grew by {ratio:.2}");
    }
}
