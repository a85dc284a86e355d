//! The daemon, as a process.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Bed, Client, Reply, Request, Usage, until, within};

/// How long a start or a stop may take, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(60);

static STARTED: AtomicU32 = AtomicU32::new(0);

/// A daemon that runs; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
    address: SocketAddr,
}

impl Daemon {
    /// Starts `busway run` and waits until it says that it is ready, and is.
    ///
    /// # Panics
    /// Where it does not become ready, with what it said.
    #[track_caller]
    pub(super) fn start(bed: &Bed, arguments: &[&str]) -> Self {
        let mut command = bed.command(&["run", "-c", "busway.toml"]);
        command.args(arguments);
        Self::start_command(bed, command)
    }

    /// The same with a command that becomes the daemon.
    #[track_caller]
    pub(crate) fn start_command(bed: &Bed, mut command: Command) -> Self {
        let log = bed.path(&format!("daemon-{}.log", STARTED.fetch_add(1, Ordering::Relaxed)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut daemon = Self { child: command.spawn().unwrap(), log, address: unknown };
        daemon.address = within(LIMIT, "the daemon says where it is", || daemon.said_address());
        until(LIMIT, "the daemon is ready", || daemon.is_ready());
        daemon
    }

    fn said_address(&mut self) -> Option<SocketAddr> {
        let log = self.log();
        let ready = log.lines().find_map(|line| line.split_once("reachable at http://"));
        if let Some(address) = ready.and_then(|(_, rest)| rest.split_whitespace().next()) {
            return Some(address.parse().unwrap());
        }
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "the daemon ended: {ended:?}: {log}");
        None
    }

    fn is_ready(&self) -> bool {
        self.client().send(&Request::get("/readyz")).is_ok_and(|reply| reply.status == 200)
    }

    /// Where its HTTP interface is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new client.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Sends a request by a connection of its own.
    ///
    /// # Panics
    /// Where there is no answer.
    #[track_caller]
    pub(crate) fn send(&self, request: &Request) -> Reply {
        self.client().send(request).unwrap_or_else(|error| panic!("{error}: {}", self.log()))
    }

    /// What a path shows, as JSON.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        let reply = self.send(&Request::get(path));
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        reply.json()
    }

    /// Publishes events given as JSON lines, all of which must be stored.
    #[track_caller]
    pub(crate) fn publish(&self, lines: &str) {
        let reply = self.send(&Request::lines(lines));
        assert_eq!(reply.status, 202, "{reply:?}");
    }

    /// The messages in the queues `priority` and `delayed`.
    #[track_caller]
    pub(crate) fn waiting(&self) -> u64 {
        let report = self.get("/v1/queues");
        let rows = report["queues"].as_array().unwrap().iter();
        let rows = rows.filter(|row| row["queue"] == "priority" || row["queue"] == "delayed");
        rows.map(|row| ["ready", "in_flight", "delayed"].map(|key| row[key].as_u64().unwrap()))
            .map(|figures| figures.iter().sum::<u64>())
            .sum()
    }

    /// Waits until nothing is left to deliver.
    #[track_caller]
    pub(crate) fn drain(&self, limit: Duration) {
        until(limit, "everything is delivered", || self.waiting() == 0);
    }

    /// The row of an endpoint.
    #[track_caller]
    pub(crate) fn endpoint(&self, name: &str) -> Value {
        let rows = self.get("/v1/endpoints");
        let row = rows.as_array().unwrap().iter().find(|row| row["endpoint"] == name);
        row.unwrap_or_else(|| panic!("{name} is not in {rows}")).clone()
    }

    /// What it said on standard error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it takes.
    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.id())
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Kills it with -9, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::KILL);
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "it had ended before: {status}: {}", self.log());
    }

    /// Stops it by SIGTERM, and gives its exit code.
    #[track_caller]
    pub(crate) fn stop(self) -> i32 {
        self.signal(Signal::TERM);
        self.end().code().expect("ended by itself")
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub(crate) fn end(mut self) -> ExitStatus {
        within(LIMIT, "the daemon ends", || self.child.try_wait().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(60).collect();
            eprintln!("--- the daemon's log, its end ---");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}
