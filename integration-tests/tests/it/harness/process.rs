//! What a process takes, from /proc.

use std::fs;
use std::time::Duration;

/// Ticks a second of the times in `/proc/PID/stat`; the same on every Linux that Rust runs on.
const TICKS: u64 = 100;

/// What a process holds and has used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Resident memory in bytes.
    pub(crate) resident: u64,
    /// Processor time, user and system together.
    pub(crate) busy: Duration,
    /// Open files, sockets included.
    pub(crate) files: u64,
}

impl Usage {
    /// Of the process as it stands.
    pub(crate) fn of(process: u32) -> Self {
        Self::if_there(process).unwrap_or_else(|| panic!("there is no process {process}"))
    }

    /// Of the process as it stands; `None` once it has ended.
    pub(crate) fn if_there(process: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        // One that has ended and was not waited for has none.
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name stands in parentheses and may hold anything.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks: u64 =
            fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
        let files = fs::read_dir(format!("/proc/{process}/fd")).ok()?.count() as u64;
        let busy = Duration::from_millis(ticks * 1000 / TICKS);
        Some(Self { resident: kibibytes * 1024, busy, files })
    }
}
