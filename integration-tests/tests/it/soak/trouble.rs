//! What happens to the daemon while it works.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::Signal;

use super::load::Board;
use super::peers::Peers;
use crate::harness::{Bed, Daemon, until};

const LIMIT: Duration = Duration::from_secs(60);
/// Between two troubles, in milliseconds.
const LEAST_MS: u64 = 800;
const MOST_MS: u64 = 3_000;
const ENDPOINTS: [&str; 3] = ["flapping", "ordered", "forgotten"];
const ACCOUNTS: [&str; 3] = ["loud", "north", "east"];

/// The configuration, of which a reload changes what is left to chance.
pub(super) struct Settings {
    urls: [String; 3],
}

impl Settings {
    pub(super) fn new(peers: &Peers) -> Self {
        Self { urls: [&peers.flapping, &peers.ordered, &peers.forgotten].map(|peer| peer.url()) }
    }

    pub(super) fn text(&self, random: &mut Rng) -> String {
        const RETRY: &str = "retry = { attempts = 100000, first = \"50ms\", max = \"1s\" }";
        let [flapping, ordered, forgotten] = &self.urls;
        format!(
            "[flow]\nworkers = {}\nmax_share = 0.{}\n\
             [endpoints.audit]\nkind = \"file\"\npath = \"var/audit.jsonl\"\n\
             [endpoints.flapping]\nkind = \"http\"\nurl = \"{flapping}\"\ntimeout = \"{}s\"\n{RETRY}\n\
             [endpoints.ordered]\nkind = \"http\"\nurl = \"{ordered}\"\norder = \"partitionkey\"\n{RETRY}\n\
             [endpoints.forgotten]\nkind = \"http\"\nurl = \"{forgotten}\"\nmode = \"forget\"\nrate = \"{}/s\"\n{RETRY}\n\
             [[routes]]\ntype = [\"#\"]\nto = [\"audit\"]\n\
             [[routes]]\ntype = [\"item.*\"]\nto = [\"flapping\"]\n\
             [[routes]]\ntype = [\"order.*\"]\nto = [\"ordered\"]\n\
             [[routes]]\ntype = [\"note.*\"]\nto = [\"forgotten\"]\n",
            random.u32(16..64),
            random.u32(2..7),
            random.u32(2..9),
            random.u32(200..2000),
        )
    }
}

/// How often each was made.
#[derive(Default)]
pub(super) struct Made {
    reloads: u32,
    broken_reloads: u32,
    pauses: u32,
    restarts: u32,
    kills: u32,
    looks: u32,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reloads, broken_reloads, pauses, restarts, kills, looks } = self;
        write!(
            f,
            "{reloads} reloads, {broken_reloads} of a broken file, {pauses} pauses, {restarts} restarts, {kills} kills, \
             {looks} looks"
        )
    }
}

/// Makes trouble.
pub(super) struct Trouble<'a> {
    bed: &'a Bed,
    settings: Settings,
    board: Arc<Board>,
    daemon: Option<Daemon>,
    random: Rng,
    next: Instant,
    paused: Vec<(&'static str, &'static str)>,
    made: Made,
}

impl<'a> Trouble<'a> {
    pub(super) fn new(
        bed: &'a Bed,
        settings: Settings,
        board: Arc<Board>,
        daemon: Daemon,
        random: Rng,
    ) -> Self {
        let made = Made::default();
        Self {
            bed,
            settings,
            board,
            daemon: Some(daemon),
            random,
            next: Instant::now(),
            paused: Vec::new(),
            made,
        }
    }

    /// The daemon as it runs now.
    pub(super) fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("it runs between two troubles")
    }

    /// Makes one where it is time.
    pub(super) fn make_some(&mut self) {
        if Instant::now() < self.next {
            return;
        }
        match self.random.u8(0..20) {
            0..5 => self.reload(),
            5..7 => self.reload_broken(),
            7..11 => self.pause_or_resume(),
            11..13 => self.restart(),
            13..16 => self.kill(),
            _ => self.look(),
        }
        self.next = Instant::now() + Duration::from_millis(self.random.u64(LEAST_MS..MOST_MS));
    }

    /// Ends all trouble.
    pub(super) fn end(mut self) -> (Daemon, Made) {
        while !self.paused.is_empty() {
            self.resume();
        }
        (self.daemon.take().expect("it runs between two troubles"), self.made)
    }

    fn reload(&mut self) {
        let text = self.settings.text(&mut self.random);
        self.bed.configure(&text);
        self.hang_up();
        self.made.reloads += 1;
    }

    /// A broken file leaves the old one in force; the next start needs a good one.
    fn reload_broken(&mut self) {
        self.bed.configure("[endpoints.flapping]\nkind = \"htp\"\n");
        let answer = self.hang_up();
        let text = self.settings.text(&mut self.random);
        self.bed.configure(&text);
        assert!(answer.contains("not reloaded"), "{answer}");
        self.made.broken_reloads += 1;
    }

    /// Has it reload, and gives what it said of it.
    fn hang_up(&self) -> String {
        let before = self.daemon().log().len();
        self.daemon().signal(Signal::HUP);
        let said = || self.daemon().log().get(before..).unwrap_or_default().to_owned();
        let words = ["reloaded", "needs a restart"];
        until(LIMIT, "it says what it reloaded", || words.iter().any(|word| said().contains(word)));
        said()
    }

    fn pause_or_resume(&mut self) {
        if self.paused.len() == 2 {
            return self.resume();
        }
        let endpoint = self.random.bool();
        let name = self.random.choice(if endpoint { ENDPOINTS } else { ACCOUNTS }).expect("there are some");
        let verb = if endpoint { "endpoints" } else { "accounts" };
        self.bed.ask(&[verb, "pause", name]);
        self.paused.push((verb, name));
        self.made.pauses += 1;
    }

    fn resume(&mut self) {
        let (verb, name) = self.paused.remove(0);
        if !self.paused.contains(&(verb, name)) {
            self.bed.ask(&[verb, "resume", name]);
        }
    }

    fn restart(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            let log = daemon.log();
            assert!(!log.contains("panicked"), "{log}");
            assert_eq!(daemon.stop(), 0, "it did not finish what it had in hand: {log}");
        }
        self.start();
        self.made.restarts += 1;
    }

    fn kill(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.kill();
        }
        self.start();
        self.made.kills += 1;
    }

    fn start(&mut self) {
        let daemon = self.bed.start();
        self.board.open(daemon.address());
        self.daemon = Some(daemon);
    }

    fn look(&mut self) {
        let verbs: [&[&str]; 4] =
            [&["queues"], &["peek", "delayed", "-n", "5"], &["dead", "list"], &["endpoints", "list"]];
        self.bed.ask(self.random.choice(verbs).expect("there are some"));
        self.made.looks += 1;
    }
}
