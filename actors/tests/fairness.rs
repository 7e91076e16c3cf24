//! A simulation of the queue: one client floods, twenty others ask one question after the other. What do these notice?
//! Once the others alone keep the provider busy, and once they leave it half idle.
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

/// The mean of it.
const MEAN: u64 = 2_100;

/// How long one of the others thinks between two questions, at most, where they use half of the provider: each then
/// comes again after 21,000 ticks, of which one question takes 2,100.
const THINKS: u64 = 37_800;

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
    /// Tokens served to the flood.
    flood: u64,
}

impl Noticed {
    fn p99(&self) -> u64 {
        self.waits[self.waits.len() * 99 / 100]
    }
}

/// Whoever of the others has been served thinks no longer than `thinks` before he asks again; the flood asks at once.
fn simulate(seed: u64, has_flood: bool, thinks: u64) -> Noticed {
    let mut random = StdRng::seed_from_u64(seed);
    let mut noticed = Noticed { served: vec![0; OTHERS], waits: Vec::new(), flood: 0 };
    let mut queue = FairQueue::<usize, Job>::default();
    let flood = std::iter::repeat_n(FLOOD, if has_flood { FLOOD_JOBS } else { 0 });
    // Who asks when, and what is being served: the first comes first.
    let mut asking: BinaryHeap<Reverse<(u64, usize)>> =
        flood.chain(0..OTHERS).map(|client| Reverse((0, client))).collect();
    let mut served: BinaryHeap<Reverse<Job>> = BinaryHeap::new();
    let mut now = 0;
    while now < TICKS {
        while let Some(Reverse((at, client))) = asking.peek().copied()
            && at <= now
        {
            asking.pop();
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
        let ends = served.peek().map(|Reverse(job)| job.ends);
        let asks = asking.peek().map(|Reverse((at, _))| *at);
        now = ends.into_iter().chain(asks).min().unwrap();
        if ends == Some(now)
            && let Some(Reverse(job)) = served.pop()
        {
            let is_flood = job.client == FLOOD;
            *if is_flood { &mut noticed.flood } else { &mut noticed.served[job.client] } += job.tokens;
            let pause = if is_flood { 0 } else { random.random_range(0..=thinks) };
            asking.push(Reverse((now + pause, job.client)));
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

fn seeds() -> Vec<u64> {
    match std::env::var("FAIRNESS_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (1..=5).collect(),
    }
}

#[test]
fn a_flood_changes_neither_the_shares_of_the_others_nor_much_of_their_waits() {
    for seed in seeds() {
        let (calm, flooded) = (simulate(seed, false, 0), simulate(seed, true, 0));
        let index = jains_index(&flooded.served);
        let ratio = flooded.p99() as f64 / calm.p99() as f64;
        println!("seed {seed}: index {index:.4}, p99 {} and {} ticks, {ratio:.2}", calm.p99(), flooded.p99());
        assert!(index >= 0.99, "seed {seed}: {index}");
        assert!(ratio <= 1.5, "seed {seed}: the others' p99 wait grew by {ratio:.2}");
        // The flood is served as each of the others is, however much more it asks.
        let share = flooded.flood as f64 * OTHERS as f64 / flooded.served.iter().sum::<u64>() as f64;
        assert!((0.9..=1.1).contains(&share), "seed {seed}: the flood has {share:.2} times another's share");
    }
}

#[test]
fn where_others_leave_places_idle_a_flood_takes_them_and_they_wait_for_one_to_become_free() {
    for seed in seeds() {
        let (calm, flooded) = (simulate(seed, false, THINKS), simulate(seed, true, THINKS));
        let index = jains_index(&flooded.served);
        let used =
            |noticed: &Noticed| noticed.served.iter().sum::<u64>() as f64 / (TICKS * PLACES as u64) as f64;
        let (before, after) = (used(&calm), used(&flooded));
        println!(
            "seed {seed}: index {index:.4}, p99 {} and {} ticks, median {} and {}, used {before:.2} and {after:.2}",
            calm.p99(),
            flooded.p99(),
            calm.waits[calm.waits.len() / 2],
            flooded.waits[flooded.waits.len() / 2],
        );
        assert!(index >= 0.99, "seed {seed}: {index}");
        assert!(after >= before * 0.9, "seed {seed}: the others get {after:.2} where they had {before:.2}");
        // No queue gives back a place that is taken: what is added is less than a job takes on average.
        assert!(flooded.p99() <= calm.p99() + MEAN, "seed {seed}: p99 {} from {}", flooded.p99(), calm.p99());
    }
}
