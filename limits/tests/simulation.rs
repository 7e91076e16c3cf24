//! Seeded histories of one client: see `simulation/mod.rs` for what happens in them.
//!
//! A seed that fails is printed; `SIMULATION_SEED=7 cargo test -p gateway-limits --test simulation`
//! runs it alone. The bench of the same name runs 100,000.

#[path = "simulation/mod.rs"]
mod simulation;

const SEEDS: u64 = 2_000;

#[test]
fn every_seed_keeps_every_limit() {
    let only = std::env::var("SIMULATION_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let seeds = only.map_or(0..SEEDS, |seed| seed..seed + 1);
    for seed in seeds {
        let run = std::panic::catch_unwind(|| simulation::run(seed));
        assert!(run.is_ok(), "seed {seed} failed; SIMULATION_SEED={seed} runs it alone");
    }
}
