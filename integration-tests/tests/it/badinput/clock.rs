//! A wall clock that is set while messages wait for their time.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{CONFIG, Course, LIMIT};
use crate::harness::{Bed, Daemon, Peer, ids, until};

const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

/// A daemon whose wall clock is set by a file.
struct Clock {
    library: PathBuf,
    file: std::fs::File,
    path: PathBuf,
}

impl Clock {
    fn new(bed: &Bed) -> Self {
        let library = bed.path("clock.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("clock/clock.c");
        let mut compile = Command::new("cc");
        compile
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(&library)
            .arg(source);
        let compiled = compile.output().unwrap();
        assert!(compiled.status.success(), "cc: {}", String::from_utf8_lossy(&compiled.stderr));
        let path = bed.path("offset");
        std::fs::write(&path, 0_i64.to_ne_bytes()).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        Self { library, file, path }
    }

    fn start(&self, bed: &Bed) -> Daemon {
        let mut command = bed.command(&["run", "-c", "busway.toml"]);
        command.env("LD_PRELOAD", &self.library).env("CLOCK_OFFSET", &self.path);
        Daemon::start_command(bed, command)
    }

    /// Sets the clock to so many seconds from what it truly is.
    fn set(&self, seconds: i64) {
        self.file.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }
}

/// So many seconds from now, as the true clock has it.
fn moment(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
    let printed = Command::new("date")
        .args(["-u", "-d", &format!("@{}", now + seconds), "+%Y-%m-%dT%H:%M:%SZ"])
        .output();
    String::from_utf8(printed.unwrap().stdout).unwrap().trim().to_owned()
}

/// An endpoint that refuses while it is told to.
fn moody() -> (Peer, Arc<AtomicBool>) {
    let refuses = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&refuses);
    let peer = Peer::answering(move |_| Some(if told.load(Ordering::SeqCst) { 500 } else { 200 }));
    (peer, refuses)
}

/// Publishes a message that fails at first, and waits until it waits for its next try.
fn parked(course: &Course, peer: &Peer, id: &str) {
    course.daemon.publish(&format!(r#"{{"id":"{id}","type":"out.x","data":1}}"#));
    until(LIMIT, format!("{id} was tried"), || peer.arrived().iter().any(|arrived| arrived.id() == id));
}

fn is_there(course: &Course, id: &str) -> bool {
    ids(&course.bed.path("var/audit.jsonl")).iter().any(|there| there == id)
}

#[test]
fn a_clock_that_jumps_loses_nothing_and_makes_nothing_early_but_by_the_jump_itself() {
    let (peer, refuses) = moody();
    let bed = Bed::new(&format!(
        "{CONFIG}[endpoints.it]\nkind = \"http\"\nurl = \"{}\"\n\
         retry = {{ attempts = 1000, first = \"200ms\", max = \"500ms\" }}\n\
         [[routes]]\ntype = [\"out.*\"]\nto = [\"it\"]\n",
        peer.url()
    ));
    let clock = Clock::new(&bed);
    let daemon = clock.start(&bed);
    let mut course = Course { bed, daemon, good: Vec::new() };
    let wait = |course: &Course, id: &str, seconds| {
        let at = moment(seconds);
        course.daemon.publish(&format!(r#"{{"id":"{id}","type":"item.x","bwdeliverat":"{at}","data":1}}"#));
    };
    wait(&course, "in-an-hour", HOUR);
    wait(&course, "in-three-days", 3 * DAY);
    refuses.store(true, Ordering::SeqCst);
    parked(&course, &peer, "before-forward");

    // A day forward: the hour has passed, the three days have not, and tries go on.
    clock.set(DAY);
    course.good();
    until(LIMIT, "the hour has passed", || is_there(&course, "in-an-hour"));
    parked(&course, &peer, "while-forward");
    refuses.store(false, Ordering::SeqCst);
    until(LIMIT, "what was tried is delivered", || course.daemon.endpoint("it")["delivered"] == 2);
    assert!(!is_there(&course, "in-three-days"), "early");

    // And back to where it was: what was published meanwhile is not held by it.
    refuses.store(true, Ordering::SeqCst);
    parked(&course, &peer, "before-back");
    clock.set(0);
    course.good();
    parked(&course, &peer, "after-back");
    refuses.store(false, Ordering::SeqCst);
    until(LIMIT, "what was published after it is delivered", || {
        course.daemon.endpoint("it")["delivered"].as_u64() >= Some(3)
    });
    assert!(!is_there(&course, "in-three-days"), "early");
    // Its next try was reckoned by the clock that was a day ahead, and comes when that moment does.
    clock.set(DAY + HOUR);
    until(LIMIT, "all are delivered", || course.daemon.endpoint("it")["delivered"] == 4);
    course.good();

    // A process that dies and starts with a clock that is behind, then right, then far ahead.
    clock.set(-DAY);
    course.good();
    let Course { bed, daemon, good } = course;
    daemon.kill();
    let daemon = clock.start(&bed);
    course = Course { bed, daemon, good };
    course.good();
    assert!(!is_there(&course, "in-three-days"), "early");
    clock.set(3 * DAY + HOUR);
    until(LIMIT, "the three days have passed", || is_there(&course, "in-three-days"));
    assert_eq!(course.daemon.get("/v1/dead").as_array().unwrap().len(), 0);
    let mut arrived: Vec<_> = peer.arrived().iter().map(|arrived| arrived.id()).collect();
    arrived.sort();
    arrived.dedup();
    assert_eq!(arrived, ["after-back", "before-back", "before-forward", "while-forward"]);
    course.end(&["in-an-hour", "in-three-days"]);
}
