//! Every child process runs under a limit, in a process group of its own, and dies with the run.

use std::fmt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::signals;

/// How often a child is looked at.
const GLANCE: Duration = Duration::from_millis(20);
/// What a process group has between being asked to end and being killed.
const GRACE: Duration = Duration::from_secs(3);

/// Why the whole run ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Signal(&'static str),
    Time,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Signal(name) => write!(f, "stopped by {name}"),
            Stop::Time => f.write_str("stopped: the time for the whole run is over"),
        }
    }
}

/// How a child ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// By itself; `left` where processes of its group were still there and had to be killed.
    Exited { status: ExitStatus, left: bool },
    /// Over its own limit, and killed.
    TooLong,
    /// Killed because the run ends.
    Stopped(Stop),
    /// It could not be started.
    NotStarted(String),
}

impl Ended {
    pub(super) fn success(&self) -> bool {
        matches!(self, Ended::Exited { status, .. } if status.success())
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Exited { status, .. } => write!(f, "{status}"),
            Ended::TooLong => f.write_str("killed, for it took too long"),
            Ended::Stopped(stop) => write!(f, "{stop}"),
            Ended::NotStarted(error) => write!(f, "could not be started: {error}"),
        }
    }
}

/// Knows when the run must end.
#[derive(Debug)]
pub(super) struct Watchdog {
    deadline: Instant,
}

impl Watchdog {
    pub(super) fn until(deadline: Instant) -> Self {
        Self { deadline }
    }

    /// Why nothing more may be started, if so.
    pub(super) fn stopped(&self) -> Option<Stop> {
        if let Some(name) = signals::caught() {
            return Some(Stop::Signal(name));
        }
        (Instant::now() >= self.deadline).then_some(Stop::Time)
    }

    /// Runs the command to its end, for at most `limit`, without standard input.
    pub(super) fn run(&self, command: &mut Command, limit: Duration) -> Ended {
        if let Some(stop) = self.stopped() {
            return Ended::Stopped(stop);
        }
        let mut child = match command.stdin(Stdio::null()).process_group(0).spawn() {
            Ok(child) => child,
            Err(error) => return Ended::NotStarted(error.to_string()),
        };
        let deadline = Instant::now() + limit;
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Ended::Exited { status, left: signals::kill_group(child.id()) },
                Ok(None) => {}
                Err(error) => {
                    end(&mut child);
                    return Ended::NotStarted(error.to_string());
                }
            }
            let ended = match self.stopped() {
                Some(stop) => Some(Ended::Stopped(stop)),
                None => (Instant::now() >= deadline).then_some(Ended::TooLong),
            };
            if let Some(ended) = ended {
                end(&mut child);
                return ended;
            }
            sleep(GLANCE);
        }
    }
}

/// Ends the child and its group: asked first, killed after the grace.
fn end(child: &mut Child) {
    let group = child.id();
    signals::terminate_group(group);
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
        sleep(GLANCE);
    }
    signals::kill_group(group);
    // It is dead by now; this only takes its exit status away.
    drop(child.wait());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(Stdio::null());
        command
    }

    fn patient() -> Watchdog {
        Watchdog::until(Instant::now() + Duration::from_secs(60))
    }

    #[test]
    fn a_child_that_ends_is_told_by_its_status() {
        let limit = Duration::from_secs(20);
        assert!(patient().run(&mut shell("exit 0"), limit).success());
        assert!(!patient().run(&mut shell("exit 3"), limit).success());
        let missing = patient().run(&mut Command::new("no-such-program-anywhere"), limit);
        assert!(matches!(missing, Ended::NotStarted(_)));
    }

    #[test]
    fn a_child_over_its_limit_is_killed_with_its_children() {
        let folder = std::env::temp_dir().join(format!("xtask-watchdog-{}", std::process::id()));
        let script = format!("echo $$ > {}; trap '' TERM; sleep 300 & sleep 300; wait", folder.display());
        let ended = patient().run(&mut shell(&script), Duration::from_secs(5));
        assert!(matches!(ended, Ended::TooLong), "{ended}");
        let group = std::fs::read_to_string(&folder).ok().and_then(|text| text.trim().parse().ok());
        drop(std::fs::remove_file(&folder));
        assert_eq!(group.map(gone), Some(true), "the group lives on");
    }

    #[test]
    fn what_a_child_leaves_behind_is_killed_and_told() {
        let ended = patient().run(&mut shell("sleep 300 & exit 0"), Duration::from_secs(20));
        assert!(matches!(ended, Ended::Exited { left: true, .. }), "{ended:?}");
        let ended = patient().run(&mut shell("exit 0"), Duration::from_secs(20));
        assert!(matches!(ended, Ended::Exited { left: false, .. }), "{ended:?}");
    }

    #[test]
    fn nothing_outlives_the_run() {
        let soon = Watchdog::until(Instant::now() + Duration::from_millis(300));
        let ended = soon.run(&mut shell("sleep 300"), Duration::from_secs(200));
        assert!(matches!(ended, Ended::Stopped(Stop::Time)), "{ended}");
        assert!(matches!(soon.run(&mut shell("exit 0"), GRACE), Ended::Stopped(Stop::Time)));
    }

    /// A killed process is gone once its parent has taken its status, which may be init.
    fn gone(group: u32) -> bool {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if !signals::group_lives(group) {
                return true;
            }
            sleep(GLANCE);
        }
        false
    }
}
