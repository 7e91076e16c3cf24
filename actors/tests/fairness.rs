//! A simulation of the queue: one client floods, twenty others ask one question after the other. What do these notice?
//!
//! Times and sizes are made up from a seed, so a run can be repeated: `FAIRNESS_SEED=7 cargo test -p
//! gateway-actors --test fairness`.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use gateway_actors::fair_queue::FairQueue;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Clients that behave; the one that floods is the next.
const OTHERS: usize = 20;
const FLOOD: usize = OTHERS;

/// How many jobs the flood has open at once: a hundred times as many as any of the others, who have one.
const FLOOD_JOBS: usize = 100;

/// `max_concurrency`, and `queue.max`.
const PLACES: usize = 4;
const QUEUE_MAX: usize = 200;

/// Tokens of a job; it takes a place for as many ticks.
const TOKENS: std::ops::Range<u64> = 200..4_000;

/// How long a run lasts, in ticks: some hundred jobs of each of the others.
const TICKS: u64 = 4_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Job {
    ends: u64,
    asked: u64,
    client: usize,
    tokens: u64,
}

/// What the others got.
#[derive(Debug)]
struct Noticed {
    /// Tokens served to each.
    served: Vec<u64>,
    /// Ticks that each of their jobs waited, sorted.
    waits: Vec<u64>,
}

impl Noticed {
    fn p99(&self) -> u64 {
        self.waits[self.waits.len() * 99 / 100]
    }
}

/// Whoever has been served asks again at once.
fn simulate(seed: u64, has_flood: bool) -> Noticed {
    let mut random = StdRng::seed_from_u64(seed);
    let mut noticed = Noticed { served: vec![0; OTHERS], waits: Vec::new() };
    let mut queue = FairQueue::<usize, Job>::default();
    let flood = std::iter::repeat_n(FLOOD, if has_flood { FLOOD_JOBS } else { 0 });
    let mut asking: Vec<usize> = flood.chain(0..OTHERS).collect();
    // What is being served, the first to end first.
    let mut served = BinaryHeap::new();
    let mut now = 0;
    while now < TICKS {
        for client in asking.drain(..) {
            let tokens = random.random_range(TOKENS);
            let job = Job { ends: 0, asked: now, client, tokens };
            assert_eq!(queue.push(client, 1, tokens, job, QUEUE_MAX), None, "there is room for all");
        }
        while served.len() < PLACES
            && let Some(job) = queue.pop()
        {
            if job.client != FLOOD {
                noticed.waits.push(now - job.asked);
            }
            served.push(Reverse(Job { ends: now + job.tokens, ..job }));
        }
        if let Some(Reverse(job)) = served.pop() {
            now = job.ends;
            asking.push(job.client);
            if job.client != FLOOD {
                noticed.served[job.client] += job.tokens;
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
        assert!(index >= 0.99, "seed {seed}: {index}");
        assert!(ratio <= 1.5, "seed {seed}: the others' p99 wait grew by {ratio:.2}");
    }
}
