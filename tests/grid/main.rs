//! The fault grid: every fault of an upstream, in each shape, in each client's protocol, with one client and with
//! fifty, and what the clients make of it.
//!
//! A model goes from a `primary` provider, which has the fault, to a `fallback`, which has none; both answer the same
//! question with the same text, as an upstream does whose answers can be repeated. Texts are random in every run; the
//! seed is printed, and `GRID_SEED` sets it; `GRID_ONLY` runs only the faults that have this in their name. Clocks are a fortieth of the ones that the faults are named after
//! ([`faults::SCALE`]), so that the whole grid takes a minute or two.
//!
//! A client's verdict is *right* when it has the whole text exactly once and the accounts are what the answering
//! upstream billed; a *clean error* when it was told so in its own protocol, and what it had until then is the
//! beginning of the text; all else, a hang included, is *wrong*. What is right for a filter's refusal is that refusal,
//! delivered once and asked of nobody else.
//!
//! `GRID_TABLE=docs/reliability.md cargo test --test grid` writes the verdicts into that page.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

mod cell;
mod client;
mod faults;
mod table;

/// The readers of answers that `tests/it` has: as strict as SDKs are.
#[path = "../it/surfaces"]
mod surfaces {
    pub use crate::client::Api;

    #[allow(dead_code, reason = "the grid asks for texts and usage alone")]
    pub mod told;
}

use std::time::Duration;

use cell::{Cell, Midstream, Verdict};
use client::Api;
use faults::Fault;
use futures_util::{StreamExt, stream};

/// Cells that run at once: most of their time they wait for a clock.
const AT_ONCE: usize = 10;

/// Clients of a cell.
const LOADS: [usize; 2] = [1, 50];

/// The whole run may take so long on a machine that is busy with other things too; a cell that hangs ends sooner, as
/// wrong.
const WHOLE_RUN: Duration = Duration::from_secs(600);

fn cells() -> Vec<Cell> {
    let only = std::env::var("GRID_ONLY").unwrap_or_default();
    let mut cells = Vec::new();
    for fault in Fault::ALL.into_iter().filter(|fault| fault.name().contains(&only)) {
        for api in Api::ALL {
            for clients in LOADS {
                // Nothing of an answer that is not streamed is out before all of it is.
                let shapes = [
                    (false, Midstream::Error),
                    (true, Midstream::Error),
                    (true, Midstream::Restart),
                    (true, Midstream::Continue),
                ];
                // To go on with a stream takes one that has begun.
                let applies = |(stream, midstream): &(bool, Midstream)| {
                    fault.applies(api, *stream) && (*midstream != Midstream::Continue || fault.breaks_off())
                };
                for (stream, midstream) in shapes.into_iter().filter(applies) {
                    cells.push(Cell { fault, stream, api, clients, midstream });
                }
            }
        }
    }
    // Single clients first, so that their times are not those of fifty others.
    cells.sort_by_key(|cell| cell.clients);
    cells
}

/// The verdict that a cell must have. A better one is no fault: an upstream that was slow for another reason is not
/// asked, and the fallback has answered.
fn expected(cell: &Cell) -> Verdict {
    let is_mended = match cell.midstream {
        Midstream::Error => false,
        Midstream::Restart => true,
        Midstream::Continue => cell.fault != Fault::CutAndNoPrefill,
    };
    let is_lost = cell.stream && cell.fault.breaks_off() && !is_mended;
    if is_lost { Verdict::CleanError } else { Verdict::Right }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_of_an_upstream_gives_a_client_a_wrong_answer() {
    let seed = match std::env::var("GRID_SEED") {
        Ok(seed) => seed.parse().expect("GRID_SEED is a whole number"),
        Err(_) => rand::random::<u64>(),
    };
    println!("GRID_SEED={seed}");
    let began = std::time::Instant::now();
    let runs = cells().into_iter().enumerate().map(|(nth, cell)| async move {
        let outcome = cell.run(seed.wrapping_add(nth as u64)).await;
        (cell, outcome)
    });
    let run = stream::iter(runs).buffer_unordered(AT_ONCE).collect::<Vec<_>>();
    let results = tokio::time::timeout(WHOLE_RUN, run).await.expect("the grid ends in time");
    println!("{} cells in {:?}", results.len(), began.elapsed());
    if let Ok(page) = std::env::var("GRID_TABLE") {
        table::write(page.as_ref(), &results);
    }
    let unexpected: Vec<String> = results
        .iter()
        .filter(|(cell, outcome)| outcome.verdict > expected(cell))
        .map(|(cell, outcome)| format!("{cell}: {:?}, {}", outcome.verdict, outcome.detail))
        .collect();
    assert!(
        unexpected.is_empty(),
        "{} cells of {}:\n{}",
        unexpected.len(),
        results.len(),
        unexpected.join("\n")
    );
}
