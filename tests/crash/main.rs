//! Kill -9 at random moments under load, and a Ledger that dies again and again: what clients saw, against what
//! their accounts say afterwards.
//!
//! `CRASH_KILLS=500 CRASH_SEED=7 cargo test --test crash` kills more often, and chooses what is asked and when it is
//! killed as the run with that seed did; where exactly that meets the gateway is up to the machine. A failure shows
//! the seed.
//!
//! | file | holds |
//! | --- | --- |
//! | `load` | what clients ask and what the upstream answers |
//! | `trace` | what one request came to, as its client saw it |
//! | `books` | what the ledger's file says, and that it is right |

#![cfg(unix)]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

mod books;
mod load;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../it/program.rs"]
mod program;
mod trace;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use gateway_testkit::raw_client::Request;
use gateway_testkit::{Billed, FakeUpstream, TestGateway};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::books::{Books, Came};
use crate::load::{CLIENTS, Load};
use crate::program::{Program, command};
use crate::trace::Trace;

/// How long the load may run before the kill, in milliseconds.
const LIFE_MS: std::ops::Range<u64> = 50..800;

/// How long the trouble before a kill takes, in milliseconds: less than the 2 s for which a commit waits for a lock.
const TROUBLE_MS: std::ops::Range<u64> = 20..150;

/// A batch that could not be written is tried again each half second.
#[cfg(target_os = "linux")]
const RECOVERS_WITHIN: Duration = Duration::from_millis(800);

/// Below so many kills a run is too short for every limit to be met.
const WHOLE_RUN: u64 = 30;

/// Gateways whose Ledgers die, and how often each does: five failures in ten seconds are what the root bears.
const GATEWAYS: u64 = 6;
const DEATHS: u32 = 5;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// What the upstream charges for each request that has reached it, by the request's turn.
#[derive(Default)]
struct Bills {
    taken: usize,
    by_turn: HashMap<u64, Billed>,
}

impl Bills {
    /// Takes what has come since the last time. Nothing more is being answered.
    async fn take(&mut self, upstream: &FakeUpstream) {
        upstream.idle().await;
        for number in self.taken..upstream.requests() {
            let seen = upstream.request(number);
            self.by_turn.insert(load::turn_of(&seen), seen.billed());
        }
        self.taken = upstream.requests();
    }
}

/// What was seen, over all lives.
#[derive(Default)]
struct Seen {
    answers: usize,
    broken: usize,
    limited_by: HashMap<String, usize>,
}

impl Seen {
    fn note(&mut self, hands: &[Vec<Trace>]) {
        for trace in hands.iter().flatten() {
            self.answers += usize::from(trace.is_answered());
            self.broken += usize::from(trace.is_broken());
            if let Some(limit) = &trace.limited_by {
                *self.limited_by.entry(limit.clone()).or_default() += 1;
            }
        }
    }
}

async fn all_clients(program: &Program, folder: &Path) -> Value {
    let token = std::fs::read_to_string(folder.join("data/admin-token")).unwrap();
    let request = Request::get("/admin/clients").header("authorization", &format!("Bearer {}", token.trim()));
    let answer = program.ask(&request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// What happens to the ledger's file before the kill. A commit takes a millisecond, and seldom would a kill meet one.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    None,
    /// Somebody else has it locked.
    Locked,
    /// The disk is full.
    #[cfg(target_os = "linux")]
    Full,
    /// The disk is full, and then has room again.
    #[cfg(target_os = "linux")]
    FullForAWhile,
}

impl Trouble {
    const ALL: &[Self] = &[
        Self::None,
        Self::None,
        Self::Locked,
        #[cfg(target_os = "linux")]
        Self::Full,
        #[cfg(target_os = "linux")]
        Self::FullForAWhile,
    ];

    fn is_a_full_disk(self) -> bool {
        !matches!(self, Self::None | Self::Locked)
    }

    /// Makes it, for so long. What keeps it up must be dropped with the gateway.
    async fn come(self, program: &Program, folder: &Path, time: Duration) -> Option<rusqlite::Connection> {
        let lock = match self {
            Self::None => return None,
            Self::Locked => Some(books::lock(folder)),
            #[cfg(target_os = "linux")]
            Self::Full | Self::FullForAWhile => {
                program.limit_files(Some(4_096));
                None
            }
        };
        tokio::time::sleep(time).await;
        #[cfg(target_os = "linux")]
        if matches!(self, Self::FullForAWhile) {
            program.limit_files(None);
            tokio::time::sleep(RECOVERS_WITHIN).await;
        }
        lock
    }
}

/// Runs the load, and kills the gateway in the middle of it. Gives what each connection saw.
async fn one_life(
    program: Program,
    folder: &Path,
    load: &Load,
    trouble: Trouble,
    random: &mut StdRng,
) -> Vec<Vec<Trace>> {
    let lives_for = Duration::from_millis(random.random_range(LIFE_MS));
    let time = Duration::from_millis(random.random_range(TROUBLE_MS));
    let looks = random.random_bool(0.3);
    println!("lives for {lives_for:?}, then {trouble:?} for {time:?}");
    let hands = load.run(random);
    let kill = async {
        tokio::time::sleep(lives_for).await;
        if looks {
            books::check_within_limits(&all_clients(&program, folder).await);
        }
        let lock = trouble.come(&program, folder, time).await;
        load.over.cancel();
        assert!(!program.log().contains("panicked"), "{}", program.log());
        // This is the kill -9.
        drop(program);
        drop(lock);
    };
    tokio::join!(hands, kill).0
}

async fn start(folder: &Path) -> Program {
    #[cfg(target_os = "linux")]
    return Program::started(program::with_files_to_limit(folder)).await;
    #[cfg(not(target_os = "linux"))]
    return Program::start(folder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_killed_at_any_moment_forgets_nothing_that_reached_a_client_and_lets_nothing_pass() {
    let (kills, seed) = (setting("CRASH_KILLS", 50), setting("CRASH_SEED", rand::random::<u32>().into()));
    println!("CRASH_KILLS={kills} CRASH_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let upstream = FakeUpstream::start().await;
    upstream.decide(load::reply_to);
    let folder = load::gateway(&upstream).write();
    let folder = folder.path();

    let (mut bills, mut books, mut seen) = (Bills::default(), Books::of(folder), Seen::default());
    let mut turns = 0;
    let mut program = start(folder).await;
    for life in 0..kills {
        let load = Load::new(program.address(), turns);
        let trouble = *Trouble::ALL.choose(&mut random).expect("there is some");
        let hands = one_life(program, folder, &load, trouble, &mut random).await;
        turns = load.turns();
        bills.take(&upstream).await;
        seen.note(&hands);
        program = start(folder).await;
        println!("life {life}: {turns} turns");
        books.take_over(&hands, &bills.by_turn, Came { killed: true, disk_full: trouble.is_a_full_disk() });
        books.check_views(|| all_clients(&program, folder)).await;
    }
    program.signal("TERM");
    assert_eq!(program.ended().await, 0, "{}", program.log());
    books.check_usage(&usage(folder));
    books.check_limits();
    println!("{} answers, {} broken, {books:?}, refused by {:?}", seen.answers, seen.broken, seen.limited_by);
    assert!(seen.answers as u64 > 20 * kills && seen.broken as u64 > kills, "there was a load to kill");
    if kills >= WHOLE_RUN {
        assert_eq!(seen.limited_by.len(), 4, "every limit was met: {:?}", seen.limited_by);
    }
}

/// What the command `usage` says of each client.
fn usage(folder: &Path) -> Value {
    let output = command(folder, &["usage", "--format", "json", "--by", "client"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_dies_again_and_again_under_load_is_not_noticed_and_every_account_is_exact() {
    let seed = setting("CRASH_SEED", rand::random::<u32>().into());
    println!("CRASH_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..GATEWAYS {
        let upstream = FakeUpstream::start().await;
        upstream.decide(load::reply_to);
        let gateway = load::gateway(&upstream).start().await;
        let load = Load::new(gateway.address(), 0);
        let deaths = random.random();
        let (hands, ()) = tokio::join!(load.run(&mut random), ledger_dies(&gateway, &load, deaths));

        gateway.is_quiet().await;
        let shared = gateway.front().gateway.shared();
        gateway.until("the ledger to have written all", || shared.ledger_behind() == 0).await;
        let mut bills = Bills::default();
        bills.take(&upstream).await;
        let mut books = Books::of(&gateway.folder());
        books.take_over(&hands, &bills.by_turn, Came::default());
        books.check_views(|| gateway.admin("/admin/clients")).await;
        books.check_limits();
        let answers = hands.iter().flatten().filter(|trace| trace.is_answered()).count();
        assert!(answers > CLIENTS, "only {answers} answers");
        gateway.ends_quiet().await;
    }
}

/// Has the Ledger die, in both ways, and the load end when it is back from its last death.
async fn ledger_dies(gateway: &TestGateway, load: &Load, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let ledger = gateway.actor("Ledger");
    for death in 1..=DEATHS {
        tokio::time::sleep(Duration::from_millis(random.random_range(50..250))).await;
        match random.random_bool(0.5) {
            true => ledger.panic_on_next_message(),
            false => ledger.cell().expect("it runs").kill(),
        }
        let is_back = || ledger.restarts() == death && ledger.cell().is_some();
        gateway.until("the Ledger to come back", is_back).await;
    }
    load.over.cancel();
}
