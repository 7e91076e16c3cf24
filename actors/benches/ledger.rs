//! What a commit costs: CPU time and wall time per change, in batches of 40, on a file in a temporary folder.
//!
//! `cargo bench -p gateway-actors --bench ledger`
//!
//! Each batch admits 20 calls and settles 20 that were admitted so many calls before. The farther back, the more
//! pages of the table a commit touches. Every 2,000 batches the store does its own work, which is in the figures.
//! CPU time is what Linux counts for the thread; elsewhere only wall time is told.

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use gateway_actors::booking::Booking;
use gateway_actors::ledger::{Change, Durability, Reservation, Settlement, Store, StoreSettings};
use gateway_actors::{ClientId, Memo, Target};
use gateway_limits::{AdmissionId, Ask, Now, Outcome, Usage};

const BATCHES: u64 = 20_000;
const BATCHES_PER_MAINTAIN: u64 = 2_000;
const CALLS_PER_BATCH: u64 = 20;
const CLIENTS: u64 = 1_000;

/// 2026-01-01T00:00:00Z.
const START_MS: u64 = 1_767_225_600_000;
const DAY_MS: u64 = 86_400_000;

struct Calls {
    clients: Vec<ClientId>,
    targets: [Target; 2],
    lag: u64,
}

impl Calls {
    fn new(lag: u64) -> Result<Self, Box<dyn Error>> {
        let clients = (0..CLIENTS).map(|n| ClientId::parse(&format!("client-{n:05}")));
        let target = |model: &str| Target { provider: "openai".into(), model: model.into() };
        Ok(Self {
            clients: clients.collect::<Result<_, _>>()?,
            targets: [target("gpt-5.4-nano"), target("gpt-5.4-mini")],
            lag,
        })
    }

    fn batch(&self, number: u64) -> Vec<Change> {
        let first = number * CALLS_PER_BATCH;
        let reserved = (first..first + CALLS_PER_BATCH).map(|call| self.reserved(call, number));
        let settled = (first..first + CALLS_PER_BATCH)
            .filter_map(|call| call.checked_sub(self.lag))
            .map(|call| self.settled(call, number));
        reserved.chain(settled).collect()
    }

    fn reserved(&self, call: u64, batch: u64) -> Change {
        Change::Reserved(Reservation {
            id: AdmissionId(call + 1),
            client: self.client(call),
            at: at(batch),
            day: START_MS / DAY_MS,
            ask: Ask { tokens: 4_000, cost: 4_000_000_000 },
            memo: Memo { request_id: format!("req_{call:026}").into(), endpoint: "chat/completions" },
            cost_known: true,
            target: self.target(call),
        })
    }

    fn settled(&self, call: u64, batch: u64) -> Change {
        let usage = Usage { input: 900, cache_read: 300, output: 250, reasoning: 64, cache_write: 0 };
        Change::Settled(Settlement {
            id: AdmissionId(call + 1),
            client: self.client(call),
            at: at(batch),
            day: START_MS / DAY_MS,
            booking: Booking::reported(usage),
            outcome: Outcome::Spent { tokens: usage.total(), cost: 170_600_000 },
            cost_known: true,
            target: self.target(call),
            key: Some("default".into()),
        })
    }

    fn client(&self, call: u64) -> ClientId {
        // A prime far from a divisor of their number visits the clients in no order.
        self.clients[usize::try_from(call * 7_919 % CLIENTS).unwrap_or(0)].clone()
    }

    fn target(&self, call: u64) -> Target {
        self.targets[usize::from(call.is_multiple_of(3))].clone()
    }
}

fn at(batch: u64) -> Now {
    Now { mono: Duration::from_millis(batch), unix_ms: START_MS + batch }
}

/// CPU time of this thread; zero where the system does not tell.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = text.split_whitespace().next().and_then(|word| word.parse().ok());
    Duration::from_nanos(ns.unwrap_or(0))
}

fn measure(name: &str, lag: u64, durability: Durability, batches: u64) -> Result<String, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("ledger.db");
    let (mut store, _) = Store::open(StoreSettings { path, durability, keep_days: 90 }, START_MS)?;
    let calls = Calls::new(lag)?;
    let (mut cpu, mut wall, mut maintained) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut changes = 0;
    for number in 0..batches {
        let batch = calls.batch(number);
        let (cpu_before, begun) = (cpu_time(), Instant::now());
        store.commit(&batch)?;
        wall += begun.elapsed();
        if number % BATCHES_PER_MAINTAIN == 0 {
            let begun = Instant::now();
            store.maintain(START_MS + number)?;
            maintained += begun.elapsed();
        }
        cpu += cpu_time() - cpu_before;
        changes += batch.len();
    }
    let per = |time: Duration| time.as_secs_f64() * 1e6 / changes as f64;
    Ok(format!(
        "{name:42} CPU {:5.2} us per change, commit {:6.1} us per batch, own work {:5.1} ms per time",
        per(cpu),
        per(wall) * changes as f64 / batches as f64,
        maintained.as_secs_f64() * 1e3 / batches.div_ceil(BATCHES_PER_MAINTAIN) as f64
    ))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for (name, lag, durability, batches) in [
        ("admitted and settled in one batch", 0, Durability::Process, BATCHES),
        ("settled 1,000 calls later", 1_000, Durability::Process, BATCHES),
        ("settled 10,000 calls later", 10_000, Durability::Process, BATCHES),
        ("settled 1,000 calls later, durability disk", 1_000, Durability::Disk, BATCHES / 20),
    ] {
        writeln!(out, "{}", measure(name, lag, durability, batches)?)?;
    }
    Ok(())
}
