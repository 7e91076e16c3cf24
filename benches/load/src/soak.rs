//! Whether the gateway holds more and more: minutes of a steady, mixed load, with a look at the process each second.
//!
//! Owns     the servers of the run and the order of looking.
//! Called   by `main` for `gateway-load soak`; what is asked is in [`mix`], what is judged in [`minutes`].
//! Bounded  by `--minutes`, and a minute more for starting and stopping the servers.
//! Fails    as [`LoadError`] before there is a table; with a table and exit code 1 when the process holds more at the
//!          end than the rule allows, or an answer was not what it must be.

mod minutes;
mod mix;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval_at};

use crate::cpu::{self, MachineWatch};
use crate::error::LoadError;
use crate::gateway::{self, Setup, provider};
use crate::process_watch::Holding;
use crate::report::Machine;
use crate::run_folder::RunFolder;
use crate::server_process::START_LIMIT;
use crate::{say, upstream};
use minutes::{Minute, Verdict};
use mix::Mix;

const SECONDS_OF_A_MINUTE: u32 = 60;

/// Loads the gateway for minutes and fails when it holds more memory, descriptors or threads at the end
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// How long; the first two minutes are warm-up, the third is what the last is compared with
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(4..=1440))]
    minutes: u32,
    /// A gateway binary to load instead of building this project's
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
}

/// Loads, and writes the table.
pub async fn run(flags: &Flags, out: &mut impl io::Write) -> Result<ExitCode, LoadError> {
    if !cpu::is_readable() {
        return Err(LoadError::NoProc);
    }
    let program = gateway::program(flags.gateway.as_deref()).await?;
    let limit = Duration::from_secs(60) * flags.minutes + 2 * START_LIMIT;
    let loaded = tokio::time::timeout(limit, load(flags, &program)).await;
    let (minutes, mix, share_of_others) = loaded.map_err(|_elapsed| LoadError::TimeLimit(limit))??;
    let machine = Machine::read(None, share_of_others);
    let verdict = Verdict::of(&minutes);
    let wrong = mix.wrong();
    let write = |out: &mut dyn io::Write| {
        machine.write_text(out)?;
        mix.write_head(out)?;
        minutes::write(out, &minutes)?;
        mix.write_counts(out)?;
        verdict.write(out)
    };
    write(out).map_err(LoadError::io("writing the report"))?;
    Ok(if verdict.is_flat() && wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn load(flags: &Flags, program: &Path) -> Result<(Vec<Minute>, Mix, f64), LoadError> {
    let folder = RunFolder::create().map_err(LoadError::io("making a temporary folder"))?;
    let upstream = upstream::start().await?;
    let setup = Setup {
        name: "gateway",
        title: "the gateway",
        // Names with a slash, as the Messages API's have here, are nobody's but their provider's.
        config: provider("openai", "openai", upstream.1) + &provider("anthropic", "anthropic", upstream.1),
        has_ledger: true,
    };
    let (server, address) = gateway::start(program, &folder, &setup).await?;
    let reading = || LoadError::io("reading what the gateway's process holds");
    let watch = MachineWatch::start().map_err(reading())?;
    let mut mix = Mix::start(address, server.pid());
    let second = Duration::from_secs(1);
    let mut tick = interval_at(tokio::time::Instant::now() + second, second);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut minutes = Vec::new();
    for number in 1..=flags.minutes {
        let (asked, cpu) = (mix.asked(), cpu::of_tree(server.pid()).map_err(reading())?);
        let mut samples = Vec::new();
        for _ in 0..SECONDS_OF_A_MINUTE {
            tick.tick().await;
            samples.push(Holding::of(server.pid()).map_err(reading())?);
        }
        let cpu = cpu::of_tree(server.pid()).map_err(reading())?.saturating_sub(cpu);
        minutes.push(Minute::new(samples, mix.asked() - asked, cpu));
        say(&format!("minute {number} of {}", flags.minutes));
    }
    mix.end().await;
    Ok((minutes, mix, watch.share_of_others().map_err(reading())?))
}
