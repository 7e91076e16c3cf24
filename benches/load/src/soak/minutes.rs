//! What the gateway's process held in each minute, and whether that is flat.
//!
//! Called   by [`super`] with what it saw each second.
//!
//! The rule compares the last minute with the third: memory and threads by their medians, descriptors by the smallest of
//! the minute, since a burst opens connections that stay for half a minute and a leak raises the smallest as well. The
//! two minutes before are warm-up, in which what fills once fills: pools, the list of the last requests, SQLite's cache,
//! and the allocator's pages, which need some 80,000 requests until entries of all ages lie in them as they always will.
//! What may be more is said by request, since that is what a leak goes by: see [`BYTES_PER_REQUEST`],
//! [`REQUESTS_PER_DESCRIPTOR`] and [`THREADS`].

use std::io;
use std::time::Duration;

use crate::figures::{Spread, short};
use crate::process_watch::Holding;

/// A request that leaves anything behind leaves an entry in a map or a list with its allocation, which is more than
/// this. What the allocator keeps or gives back by chance is one or two MiB, which in two minutes is less.
const BYTES_PER_REQUEST: f64 = 64.0;

/// One request in so many may leave a descriptor. Connections come and go, so that a few are chance; where every
/// thousandth request left one there would be four times as many.
const REQUESTS_PER_DESCRIPTOR: f64 = 4_000.0;

/// Minutes that are not compared.
const WARM_UP: usize = 2;

/// The runtime starts threads for what may block, as the files of clients, and ends them after ten seconds.
const THREADS: f64 = 2.0;

/// One minute of the run.
#[derive(Debug)]
pub struct Minute {
    resident_kib: Option<Spread>,
    descriptors: Option<Spread>,
    threads: Option<Spread>,
    asked: u64,
    cpu: Duration,
}

impl Minute {
    /// What was seen each second, how many requests ended, and the CPU time that the process used.
    pub fn new(samples: Vec<Holding>, asked: u64, cpu: Duration) -> Self {
        let spread = |figure: fn(&Holding) -> u64| {
            Spread::of(samples.iter().map(|sample| figure(sample) as f64).collect())
        };
        Self {
            resident_kib: spread(|sample| sample.resident_kib),
            descriptors: spread(|sample| sample.descriptors),
            threads: spread(|sample| sample.threads),
            asked,
            cpu,
        }
    }
}

/// The table.
pub fn write(out: &mut dyn io::Write, minutes: &[Minute]) -> io::Result<()> {
    writeln!(
        out,
        "| minute | requests | CPU ms per 1000 | resident, MiB | descriptors | threads |\n\
         | --- | --- | --- | --- | --- | --- |"
    )?;
    for (number, minute) in (1..).zip(minutes) {
        let whole = |spread: Option<Spread>| match spread {
            Some(Spread { median, min, max, .. }) => format!("{median:.0} ({min:.0} to {max:.0})"),
            None => "-".to_owned(),
        };
        let mib = minute.resident_kib.map(|Spread { median, min, max, .. }| {
            format!("{:.1} ({:.1} to {:.1})", median / 1024.0, min / 1024.0, max / 1024.0)
        });
        writeln!(
            out,
            "| {number} | {} | {} | {} | {} | {} |",
            minute.asked,
            short(minute.cpu.as_secs_f64() * 1e6 / (minute.asked.max(1)) as f64),
            mib.unwrap_or_default(),
            whole(minute.descriptors),
            whole(minute.threads),
        )?;
    }
    Ok(())
}

/// How much more the process holds in the last minute than in the second, and how much that may be.
#[derive(Debug)]
pub struct Verdict {
    lines: Vec<Compared>,
}

/// One figure of the verdict.
#[derive(Debug)]
struct Compared {
    what: &'static str,
    more: f64,
    allowed: f64,
}

impl Verdict {
    /// Judges. Nothing can be said of less than four minutes, and then nothing is flat.
    pub fn of(minutes: &[Minute]) -> Self {
        let Some([first, between @ .., last]) = minutes.get(WARM_UP..) else {
            return Self { lines: Vec::new() };
        };
        // From the middle of the one minute to that of the other.
        let between: u64 = between.iter().map(|minute| minute.asked).sum();
        let asked = (first.asked + last.asked) as f64 / 2.0 + between as f64;
        let compared = |what, figure: fn(&Minute) -> Option<f64>, allowed| {
            Some(Compared { what, more: figure(last)? - figure(first)?, allowed })
        };
        let memory = |minute: &Minute| Some(minute.resident_kib?.median);
        let descriptors = |minute: &Minute| Some(minute.descriptors?.min);
        let threads = |minute: &Minute| Some(minute.threads?.median);
        let lines = [
            compared("KiB of memory", memory, asked * BYTES_PER_REQUEST / 1024.0),
            compared("descriptors", descriptors, asked / REQUESTS_PER_DESCRIPTOR),
            compared("threads", threads, THREADS),
        ];
        Self { lines: lines.into_iter().flatten().collect() }
    }

    /// Whether all of it is within what is allowed.
    pub fn is_flat(&self) -> bool {
        self.lines.len() == 3 && self.lines.iter().all(|line| line.more <= line.allowed)
    }

    /// What was compared, and the word.
    pub fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "\nthe last minute less the third:")?;
        for Compared { what, more, allowed } in &self.lines {
            writeln!(out, "- {more:+.0} {what}; {allowed:.0} more are allowed")?;
        }
        writeln!(out, "{}", if self.is_flat() { "flat" } else { "NOT FLAT" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(resident_kib: [u64; 5], descriptors: [u64; 5], threads: [u64; 5]) -> Vec<Minute> {
        (0..5)
            .map(|minute| {
                let held = Holding {
                    resident_kib: resident_kib[minute],
                    descriptors: descriptors[minute],
                    threads: threads[minute],
                };
                Minute::new(vec![held; 60], 36_000, Duration::from_secs(1))
            })
            .collect()
    }

    const FLAT: [u64; 5] = [50_000; 5];

    #[test]
    fn what_is_more_in_the_first_minutes_only_is_flat() {
        let held = [1, 60_000, 70_000, 70_500, 71_000];
        assert!(Verdict::of(&minutes(held, [9, 90, 95, 99, 92], [3, 9, 9, 9, 11])).is_flat());
    }

    #[test]
    fn a_leak_of_a_hundred_bytes_a_request_is_not_flat() {
        let leak = 36_000 * 100 / 1024;
        let held = [1, 1, 50_000, 50_000 + leak, 50_000 + 2 * leak];
        assert!(!Verdict::of(&minutes(held, FLAT, FLAT)).is_flat());
    }

    #[test]
    fn a_descriptor_in_a_thousand_requests_is_not_flat_and_neither_are_threads_that_stay() {
        assert!(!Verdict::of(&minutes(FLAT, [90, 90, 90, 126, 162], FLAT)).is_flat());
        assert!(!Verdict::of(&minutes(FLAT, FLAT, [9, 9, 9, 10, 12])).is_flat());
    }

    #[test]
    fn nothing_is_flat_before_there_are_four_minutes() {
        let mut all = minutes(FLAT, FLAT, FLAT);
        assert!(Verdict::of(&all).is_flat());
        all.truncate(3);
        assert!(!Verdict::of(&all).is_flat());
    }
}
