//! What a process holds: memory, descriptors, threads.
//!
//! Called   by [`crate::soak`] once a second.
//! Fails    as [`std::io::Error`] when the process is gone.
//!
//! The format of `/proc/PID/status` is that of proc_pid_status(5).

use std::fs;
use std::io;

/// What a process holds at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// Resident memory in KiB, pages of the program's file included.
    pub resident_kib: u64,
    /// Open file descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
}

impl Holding {
    /// Looks.
    pub fn of(pid: u32) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let number = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_ascii_whitespace().next()?.parse().ok()
        };
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
        match (number("VmRSS:"), number("Threads:"), u64::try_from(descriptors)) {
            (Some(resident_kib), Some(threads), Ok(descriptors)) => {
                Ok(Self { resident_kib, descriptors, threads })
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn an_open_file_is_one_descriptor_more() {
        // Other tests open files at the same time, so these are many.
        let before = Holding::of(std::process::id()).unwrap();
        let files: Vec<_> = (0..200).map(|_| fs::File::open("/proc/self/status").unwrap()).collect();
        let after = Holding::of(std::process::id()).unwrap();
        assert!(after.descriptors >= before.descriptors + 100, "{before:?} {after:?}");
        assert!(after.resident_kib > 0 && after.threads > 0);
        drop(files);
    }
}
