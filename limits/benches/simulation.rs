//! The simulation of the tests with many more seeds, on all cores.
//!
//! `cargo bench -p gateway-limits --bench simulation` runs 100,000 seeds; `-- --seeds 500000` so
//! many; `-- --seed 7` one alone. A seed that fails is printed, and the exit code is then 1.

#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

#[path = "../tests/simulation/mod.rs"]
mod simulation;

const SEEDS: u64 = 100_000;

fn main() -> ExitCode {
    let Ok(seeds) = seeds_asked_for(std::env::args().skip(1)) else {
        println!("usage: cargo bench -p gateway-limits --bench simulation -- [--seeds N | --seed SEED]");
        return ExitCode::from(2);
    };
    let (begin, end) = (Instant::now(), seeds.end);
    let count = end - seeds.start;
    let (next, failed) = (AtomicU64::new(seeds.start), AtomicU64::new(0));
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let seed = next.fetch_add(1, Ordering::Relaxed)
                    && seed < end
                {
                    if std::panic::catch_unwind(|| simulation::run(seed)).is_err() {
                        println!("seed {seed} failed; -- --seed {seed} runs it alone");
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    println!("{count} seeds, {failed} failed, {:.1} s", begin.elapsed().as_secs_f64());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The seeds to run; `Err` when the arguments make no sense.
fn seeds_asked_for(mut arguments: impl Iterator<Item = String>) -> Result<std::ops::Range<u64>, ()> {
    let mut seeds = 0..SEEDS;
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|number| number.parse::<u64>().ok()).ok_or(());
        match argument.as_str() {
            // Cargo says so to every bench.
            "--bench" => {}
            "--seeds" => seeds = 0..number()?,
            "--seed" => {
                let seed = number()?;
                seeds = seed..seed.saturating_add(1);
            }
            _ => return Err(()),
        }
    }
    Ok(seeds)
}
