//! CPU time of a process and all its descendants, from `/proc/PID/stat`, and of the machine, from
//! `/proc/stat`.
//!
//! Called   by [`crate::bench`] before and after each measured phase, and around all of them.
//! Bounded  by the kernel's ticks: a figure may be short by 10 ms for each process of the tree.
//! Fails    as [`std::io::Error`] when the process is gone.
//!
//! The formats are those of proc_pid_stat(5) and proc_stat(5).

use std::collections::HashMap;
use std::fs;
use std::io;
use std::time::Duration;

/// Milliseconds of one tick, the unit of every time here. USER_HZ is 100 in the kernel's interface to programs on every
/// Linux that Rust has a standard library for.
const TICK_MS: u64 = 10;

/// What is read of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// User and system time, that of children it has waited for included.
    ticks: u64,
}

/// Whether this system can say what a process used.
pub fn is_readable() -> bool {
    read_stat(std::process::id()).is_ok()
}

/// User and system time that `root` and its descendants have used so far. Children that ended and were
/// waited for count through their parents.
pub fn of_tree(root: u32) -> io::Result<Duration> {
    let mut ticks = read_stat(root)?.ticks;
    let mut children = HashMap::<u32, Vec<(u32, u64)>>::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process may end between the listing and the reading.
        let Ok(stat) = read_stat(pid) else { continue };
        children.entry(stat.parent).or_default().push((pid, stat.ticks));
    }
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        for (child, used) in children.remove(&pid).unwrap_or_default() {
            ticks += used;
            open.push(child);
        }
    }
    Ok(Duration::from_millis(ticks * TICK_MS))
}

/// How busy the machine was with what is not this run.
#[derive(Debug)]
pub struct MachineWatch {
    own: Duration,
    machine: MachineTime,
}

/// CPU time of all cores since the machine started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct MachineTime {
    /// Spent in programs of this machine, or taken by its hypervisor for others.
    busy: Duration,
    /// Idle time included.
    total: Duration,
}

impl MachineWatch {
    /// Begins to watch.
    pub fn start() -> io::Result<Self> {
        Ok(Self { own: of_tree(std::process::id())?, machine: read_machine_time()? })
    }

    /// Which share of all CPU time since the start went to programs that are not this process or below it,
    /// from 0 to 1. They take from what is measured, so figures from a run with more than a few per cent
    /// are worth little.
    pub fn share_of_others(&self) -> io::Result<f64> {
        let now = Self::start()?;
        let own = now.own.saturating_sub(self.own);
        let others = now.machine.busy.saturating_sub(self.machine.busy).saturating_sub(own);
        let total = now.machine.total.saturating_sub(self.machine.total);
        Ok(if total.is_zero() { 0.0 } else { others.as_secs_f64() / total.as_secs_f64() })
    }
}

fn read_machine_time() -> io::Result<MachineTime> {
    let text = fs::read_to_string("/proc/stat")?;
    parse_machine_time(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// The first line sums all cores up: user, nice, system, idle, iowait, irq, softirq, steal, and then guest
/// times that user and nice hold already. Interrupts are left out of `busy`: the packets of this very run
/// cause most of them, and no process is charged for them.
fn parse_machine_time(text: &str) -> Option<MachineTime> {
    let fields = text.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace().take(8);
    let ticks: Vec<u64> = fields.map(str::parse).collect::<Result<_, _>>().ok()?;
    let &[user, nice, system, _idle, _iowait, _irq, _softirq, steal] = ticks.as_slice() else { return None };
    let time = |ticks| Duration::from_millis(ticks * TICK_MS);
    Some(MachineTime { busy: time(user + nice + system + steal), total: time(ticks.iter().sum()) })
}

fn read_stat(pid: u32) -> io::Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// Field 2 is the program's name in brackets and may itself hold spaces and brackets, so fields are
/// counted from the last bracket: there stands field 3.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, after_name) = text.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    let mut ticks = 0;
    // utime, stime, cutime, cstime
    for number in 14..=17 {
        ticks += u64::try_from(field(number)?.parse::<i64>().ok()?).unwrap_or(0);
    }
    Some(Stat { parent: field(4)?.parse().ok()?, ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let line = "77 (odd) name) S 12 77 77 0 -1 4194560 1 2 3 4 500 60 7 8 20 0 9 0 1 2 3";
        assert_eq!(parse_stat(line), Some(Stat { parent: 12, ticks: 575 }));
    }

    #[test]
    fn a_line_cut_short_is_no_stat() {
        assert_eq!(parse_stat("77 (name) S 12 77 77 0 -1 4194560 1 2 3 4 500"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn interrupts_are_time_of_the_machine_and_of_no_program() {
        let text = "cpu  10 20 30 400 50 6 7 8 1 2\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        let expected = MachineTime { busy: Duration::from_millis(680), total: Duration::from_millis(5_310) };
        assert_eq!(parse_machine_time(text), Some(expected));
        assert_eq!(parse_machine_time("cpu 1 2 3"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_and_this_machine_can_be_read() {
        assert!(is_readable());
        assert!(of_tree(std::process::id()).is_ok());
        let share = MachineWatch::start().unwrap().share_of_others().unwrap();
        assert!((0.0..=1.0).contains(&share));
    }
}
