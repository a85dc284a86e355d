//! A disk that is full, and files that were damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use busway_conformance::Ledger;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::harness::{Bed, Daemon, Request, program, read_lines, until};

const LIMIT: Duration = Duration::from_secs(60);
/// What a file may grow to on the disk that is full.
const ROOM: u64 = 300_000;

const CONFIG: &str = r#"
[endpoints.audit]
kind = "file"
path = "var/audit.jsonl"
retry = { attempts = 100, first = "100ms", max = "500ms" }
[[routes]]
type = ["item.*"]
to = ["audit"]
"#;

/// A daemon to which a limit on files is an error like that of a full disk, and no signal that ends it.
pub(crate) fn start(bed: &Bed) -> Daemon {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' 25; exec \"$0\" run -c busway.toml"]).arg(program());
    command.current_dir(bed.path(""));
    Daemon::start_command(bed, command)
}

/// Limits the files of a running daemon; `None` takes the limit away.
pub(crate) fn limit_files(daemon: &Daemon, bytes: Option<u64>) {
    let process = Pid::from_raw(i32::try_from(daemon.id()).unwrap()).unwrap();
    let maximum = getrlimit(Resource::Fsize).maximum;
    prlimit(Some(process), Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
}

/// Publishes batches one after the other while `goes_on` says so of the last status.
fn publish(daemon: &Daemon, ledger: &Ledger, name: &str, goes_on: impl Fn(usize, u16) -> bool) {
    let mut client = daemon.client();
    for batch in 0.. {
        let ids: Vec<_> = (0..20).map(|number| format!("{name}-{batch}-{number}")).collect();
        ids.iter().for_each(|id| ledger.attempted(id));
        let text = "x".repeat(500);
        let line = |id| format!("{{\"id\":\"{id}\",\"type\":\"item.new\",\"data\":\"{text}\"}}\n");
        let reply = client.send(&Request::lines(ids.iter().map(line).collect::<String>())).unwrap();
        for result in reply.results().iter().filter(|result| result["outcome"] == "stored") {
            ledger.acknowledged(result["id"].as_str().unwrap());
        }
        match reply.status {
            202 => {}
            429 | 503 => assert!(reply.header("retry-after").is_some(), "{reply:?}"),
            _ => panic!("{reply:?}"),
        }
        if !goes_on(batch, reply.status) {
            return;
        }
    }
}

fn judge(bed: &Bed, ledger: &Ledger) {
    for line in read_lines(&bed.path("var/audit.jsonl")) {
        ledger.delivered(line.id());
    }
    let verdict = ledger.verdict();
    println!("{verdict}");
    verdict.assert_valid();
}

#[test]
fn a_full_disk_refuses_and_nothing_confirmed_is_lost_over_a_kill() {
    let bed = Bed::new(CONFIG);
    let ledger = Ledger::new();
    let daemon = start(&bed);
    publish(&daemon, &ledger, "before", |batch, _| batch < 3);
    limit_files(&daemon, Some(ROOM));
    publish(&daemon, &ledger, "filling", |batch, status| {
        assert!(batch < 2_000, "the disk does not become full");
        status == 202
    });
    publish(&daemon, &ledger, "full", |batch, _| batch < 5);
    assert!(ledger.verdict().acked >= 60, "{}", ledger.verdict());
    daemon.kill();
    let daemon = bed.start();
    daemon.drain(LIMIT);
    assert_eq!(daemon.stop(), 0);
    judge(&bed, &ledger);
}

#[test]
fn a_disk_that_has_room_again_is_used_again_without_a_restart() {
    let bed = Bed::new(CONFIG);
    let ledger = Ledger::new();
    let daemon = start(&bed);
    publish(&daemon, &ledger, "before", |batch, _| batch < 3);
    limit_files(&daemon, Some(0));
    publish(&daemon, &ledger, "full", |batch, status| {
        assert_ne!(status, 202, "stored where nothing can be written");
        batch < 5
    });
    assert_eq!(daemon.send(&Request::get("/livez")).status, 200);
    limit_files(&daemon, None);
    until(LIMIT, "it takes messages again", || {
        let reply = daemon.send(&Request::lines("{\"id\":\"again\",\"type\":\"item.new\",\"data\":1}"));
        ledger.attempted("again");
        if reply.status == 202 {
            ledger.acknowledged("again");
        }
        reply.status == 202
    });
    publish(&daemon, &ledger, "after", |batch, status| {
        assert_eq!(status, 202);
        batch < 3
    });
    until(LIMIT, "it is ready again", || daemon.send(&Request::get("/readyz")).status == 200);
    daemon.drain(LIMIT);
    assert_eq!(daemon.stop(), 0);
    judge(&bed, &ledger);
}

/// A bus with messages that wait, and nothing that runs.
fn filled() -> Bed {
    let bed = Bed::new(CONFIG);
    bed.ask(&["endpoints", "pause", "audit"]);
    let line =
        |number| format!("{{\"id\":\"{number}\",\"type\":\"item.new\",\"data\":\"{}\"}}\n", "x".repeat(100));
    let lines: String = (0..500).map(line).collect();
    let answer = bed.verb_reading(&["publish", "--jsonl", "-"], &lines);
    assert_eq!(answer.code, 0, "{answer:?}");
    bed
}

fn first_segment(bed: &Bed) -> PathBuf {
    let folder = bed.path("var/queues/segments");
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names.remove(0)
}

/// Asserts that nothing starts, that the place is named, and that the file is left as it is.
#[track_caller]
fn refuses(bed: &Bed, place: &Path) {
    let before = fs::read(place).unwrap();
    let name = place.file_name().unwrap().to_str().unwrap();
    for verb in [&["run"][..], &["queues"], &["publish", "--type", "item.new"], &["run", "--once"]] {
        let answer = bed.verb(verb);
        answer.fails(1, &[name]);
        assert!(!answer.errors.contains("panicked"), "{answer:?}");
    }
    assert_eq!(fs::read(place).unwrap(), before, "a refused start changed the file");
}

#[test]
fn a_damaged_log_is_refused_with_its_place_and_left_alone() {
    let bed = filled();
    let segment = first_segment(&bed);
    let whole = fs::read(&segment).unwrap();
    // In the middle of what was confirmed, far from a tail that a crash may leave.
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x40;
    fs::write(&segment, &damaged).unwrap();
    refuses(&bed, &segment);
    fs::write(&segment, &whole).unwrap();
    let report = bed.ask(&["queues"]);
    assert_eq!(report["queues"][0]["ready"], 500, "{report}");
}

#[test]
fn a_log_of_another_version_is_refused() {
    let bed = filled();
    let version = bed.path("var/queues/VERSION");
    let text = fs::read_to_string(&version).unwrap();
    let (program, _) = text.trim_end().split_once(' ').unwrap();
    fs::write(&version, format!("{program} 99\n")).unwrap();
    refuses(&bed, &version);
}
