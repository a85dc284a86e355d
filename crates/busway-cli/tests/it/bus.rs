//! The verbs on a real bus, with and without a process that holds it.

use std::io::Write;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Place, Ran};

const CONFIG: &str = r#"
[bus]
name = "shop"
[endpoints.audit]
kind = "file"
path = "audit.jsonl"
[endpoints.script]
kind = "exec"
command = ["sh", "-c", "exit 3"]
retry = { attempts = 1 }
[[routes]]
type = ["item.*"]
to = ["audit"]
[[routes]]
type = ["bad.#"]
to = ["script"]
"#;

pub(crate) fn place() -> Place {
    Place::new().file("busway.toml", CONFIG).env("PATH", "/usr/bin:/bin")
}

/// A bus that runs in a process of its own; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
}

impl Daemon {
    pub(crate) fn start(place: &Place) -> Self {
        let daemon = Self::begin(place, "run");
        until("the daemon is ready", || log_of(place).contains("ready"));
        daemon
    }

    /// Starts it by these words, ready or not.
    pub(crate) fn begin(place: &Place, words: &str) -> Self {
        let log = std::fs::File::create(place.path("run.log")).unwrap();
        Self { child: place.command(words).stderr(log).stdout(Stdio::null()).spawn().unwrap() }
    }

    /// Another program of the bus that runs until it is told to stop.
    pub(crate) fn of(child: Child) -> Self {
        Self { child }
    }

    pub(crate) fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        assert!(std::process::Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }

    /// Waits for its end and gives its exit code.
    pub(crate) fn ended(mut self) -> Option<i32> {
        let mut status = None;
        until("the daemon has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(crate) fn log_of(place: &Place) -> String {
    std::fs::read_to_string(place.path("run.log")).unwrap_or_default()
}

#[track_caller]
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn fed(place: &Place, words: &str, input: &str) -> Ran {
    let mut command = place.command(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Ran::of(child.wait_with_output().unwrap())
}

pub(crate) fn json(place: &Place, words: &str) -> Value {
    let ran = place.run(words);
    assert_eq!(ran.code, Some(0), "{words}: {}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{words}: {error}: {}", ran.stdout))
}

pub(crate) fn audit(place: &Place) -> Vec<String> {
    let text = std::fs::read_to_string(place.path("audit.jsonl")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// What an operator sees of one bad and two good messages, whichever way it is asked.
fn tour(place: &Place) -> Vec<(Option<i32>, String)> {
    let words = [
        "dead list --json",
        "dead show bad-1 --json",
        "dead show nothing",
        "dead list --json --account nobody",
        "peek dead --json",
        "peek nowhere",
        "endpoints pause nothing",
        "endpoints pause audit --json",
        "endpoints resume audit --json",
        "endpoints test audit --json",
        "accounts weight acme 5 --json",
        "accounts pause acme --json",
        "accounts resume acme",
        "dead replay --id nothing --json",
        "dead delete --account nobody --json",
    ];
    let ran = words.map(|words| place.run(words));
    ran.into_iter().map(|ran| (ran.code, ran.stdout)).collect()
}

#[test]
fn what_is_published_is_looked_at_and_delivered_once() {
    let place = place();
    let published = json(&place, "publish --type item.new --account acme --data {\"b\":1.0,\"a\":[]} --json");
    assert_eq!(published["published"], 1);
    assert_eq!(json(&place, "queues --json")["queues"][0]["ready"], 1);
    let seen = json(&place, "peek priority -n 5 --json");
    assert_eq!((&seen[0]["type"], &seen[0]["account"]), (&"item.new".into(), &"acme".into()));
    let once = json(&place, "run --once --json");
    assert_eq!((&once["received"], &once["delivered"]), (&1.into(), &1.into()));
    assert_eq!(json(&place, "run --once --json")["received"], 0);
    let lines = audit(&place);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains(r#""data":{"b":1.0,"a":[]}"#), "{}", lines[0]);
}

#[test]
fn lines_that_are_no_messages_are_named_and_the_others_published() {
    let place = place();
    let input = "{\"type\":\"item.a\",\"data\":{\"z\":1e2, \"a\":1}}\nnonsense\n\n{\"data\":1}\n{\"type\":\"item.b\"}\n";
    let ran = fed(&place, "publish --jsonl - --json", input);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let summary: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&summary["published"], &summary["failed"]), (&2.into(), &2.into()));
    assert_eq!(summary["unknown"], 0);
    let places: Vec<&str> = ran.stderr.lines().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(places, ["line 2", "line 4"], "{}", ran.stderr);
    assert_eq!(json(&place, "run --once --limit 1 --json")["received"], 1);
    assert_eq!(json(&place, "run --once --workers 1 --json")["received"], 1);
    assert!(audit(&place)[0].contains(r#""data":{"z":1e2, "a":1}"#));
}

#[test]
fn a_payload_comes_from_text_a_file_or_standard_input() {
    let place = place().file("payload", "{\"from\":\"file\"}");
    assert_eq!(place.run("publish --type item.x --data {\"from\":\"text\"}").code, Some(0));
    assert_eq!(place.run("publish --type item.x --data @payload").code, Some(0));
    assert_eq!(fed(&place, "publish --type item.x --data -", "{\"from\":\"stdin\"}").code, Some(0));
    let options = "--id 7 --source s --subject u --key k --priority 9 --content-type text/plain --account a";
    assert_eq!(place.run(&format!("publish --type item.x --data hi {options}")).code, Some(0));
    assert_eq!(place.run("publish --type item.x --deliver-at 2999-01-01T00:00:00Z").code, Some(0));
    assert_eq!(json(&place, "run --once --json")["delivered"], 4);
    let lines = audit(&place);
    for from in ["text", "file", "stdin"] {
        assert!(lines.iter().any(|line| line.contains(&format!("{{\"from\":\"{from}\"}}"))), "{from}");
    }
    let last: Value =
        serde_json::from_str(lines.iter().find(|line| line.contains("\"hi\"")).unwrap()).unwrap();
    let wanted = [("id", "7"), ("source", "s"), ("subject", "u"), ("partitionkey", "k"), ("account", "a")];
    for (key, value) in wanted {
        assert_eq!(last[key], value);
    }
    let queues = json(&place, "queues --json");
    let waiting = queues["queues"].as_array().unwrap().iter().filter_map(|row| row["delayed"].as_u64());
    assert_eq!(waiting.sum::<u64>(), 1);
}

#[test]
fn a_holder_and_the_store_itself_give_the_same_answers() {
    let place = place();
    let prepared = |place: &Place| {
        let input = "{\"type\":\"item.a\",\"id\":\"good-1\",\"account\":\"acme\"}\n\
                     {\"type\":\"bad.one\",\"id\":\"bad-1\",\"data\":{\"z\":1.0,\"a\":[1, 2]}}\n\
                     {\"type\":\"item.b\",\"id\":\"good-2\"}\n";
        assert_eq!(fed(place, "publish --jsonl -", input).code, Some(0));
        until("all is delivered or dead", || {
            place.run("run --once");
            audit(place).len() == 2 && json(place, "dead list --json").as_array().unwrap().len() == 1
        });
    };
    prepared(&place);
    let alone = tour(&place);
    let daemon = Daemon::start(&place);
    let held = tour(&place);
    let row: Value = serde_json::from_str(&alone[0].1).unwrap();
    let dead = &row[0];
    assert_eq!(
        (&dead["id"], &dead["destination"], &dead["attempts"]),
        (&"bad-1".into(), &"script".into(), &1.into())
    );
    assert!(alone[1].1.contains(r#""data":{"z":1.0,"a":[1, 2]}"#), "{}", alone[1].1);
    for (index, (alone, held)) in alone.iter().zip(&held).enumerate() {
        assert_eq!(alone, held, "answer {index}");
    }
    assert_eq!(json(&place, "dead replay --all --json")["replayed"], 1);
    until("it is dead again", || json(&place, "dead list --json").as_array().unwrap().len() == 1);
    assert_eq!(json(&place, "dead delete --type bad.one --json")["deleted"], 1);
    assert_eq!(place.run("dead list --json").stdout, "[]\n");
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0), "{}", log_of(&place));
}

#[test]
fn a_daemon_delivers_what_others_publish_and_leaves_nothing_behind() {
    let place = place();
    let daemon = Daemon::start(&place);
    let input: String = (0..500)
        .map(|n| format!("{{\"type\":\"item.n\",\"id\":\"{n}\",\"data\":{{\"n\":{n},\"x\":0.10}}}}\n"))
        .collect();
    let ran = fed(&place, "publish --jsonl - --json", &input);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(json(&place, "run --once --json")["received"], 0);
    until("all is delivered", || audit(&place).len() >= 500);
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0), "{}", log_of(&place));
    let lines = audit(&place);
    assert_eq!(lines.len(), 500);
    for n in 0..500 {
        let data = format!("\"data\":{{\"n\":{n},\"x\":0.10}}");
        assert!(lines.iter().any(|line| line.contains(&data)), "{n}");
    }
    assert_eq!(json(&place, "run --once --json")["received"], 0);
}

#[test]
fn a_holder_that_does_not_answer_is_exit_3_with_its_process_id() {
    let place = place();
    let daemon = Daemon::start(&place);
    daemon.signal("STOP");
    for words in
        ["queues --timeout 500ms", "publish --type item.a --timeout 500ms", "run --once --timeout 500ms"]
    {
        let ran = place.run(words);
        assert_eq!(ran.code, Some(3), "{words}: {}", ran.stderr);
        assert!(ran.stderr.contains(&daemon.child.id().to_string()), "{words}: {}", ran.stderr);
    }
    daemon.signal("CONT");
    assert_eq!(place.run("queues").code, Some(0));
}

#[test]
fn a_broken_new_file_leaves_the_old_one_in_force() {
    let place = place();
    let daemon = Daemon::start(&place);
    let broken = CONFIG.replace("[\"item.*\"]", "[\"item*\"]");
    std::fs::write(place.path("busway.toml"), broken).unwrap();
    daemon.signal("HUP");
    until("the mistake is told", || log_of(&place).contains("routes[0].type[0]"));
    std::fs::write(place.path("busway.toml"), CONFIG).unwrap();
    assert_eq!(place.run("publish --type item.a").code, Some(0));
    until("it is delivered", || audit(&place).len() == 1);
    std::fs::write(place.path("busway.toml"), format!("{CONFIG}[flow]\nworkers = 3\n")).unwrap();
    daemon.signal("HUP");
    until("the change is told", || log_of(&place).contains("reloaded: flow.workers\n"));
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0));
}

#[test]
fn two_runs_at_once_both_succeed() {
    let place = place();
    let input = "{\"type\":\"item.a\"}\n".repeat(200);
    assert_eq!(fed(&place, "publish --jsonl -", &input).code, Some(0));
    let start = || {
        let mut command = place.command("run --once --json");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children = [start(), start()];
    let ran = children.map(|child| Ran::of(child.wait_with_output().unwrap()));
    let received: u64 = ran
        .iter()
        .map(|ran| {
            assert_eq!(ran.code, Some(0), "{}", ran.stderr);
            let report: Value = serde_json::from_str(&ran.stdout).unwrap();
            report["received"].as_u64().unwrap()
        })
        .sum();
    assert_eq!((received, audit(&place).len()), (200, 200));
}

#[test]
fn a_watch_ends_when_nobody_reads_it_and_on_an_interrupt() {
    let place = place();
    let mut command = place.command("queues --watch --json");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut first)
        .unwrap();
    assert!(first.starts_with("{\"queues\":["), "{first}");
    let unread = Daemon { child };
    assert_eq!(unread.ended(), Some(0));
    let mut command = place.command("queues --watch --json");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut first).unwrap();
    let watch = Daemon { child };
    watch.signal("INT");
    assert_eq!(watch.ended(), Some(130));
}

#[test]
fn an_interrupt_ends_a_publish_with_130_and_the_count_so_far() {
    let place = place();
    let mut command = place.command("publish --jsonl - --json");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut out = child.stdout.take().unwrap();
    let publish = Daemon { child };
    input.write_all(b"{\"type\":\"item.a\"}\n").unwrap();
    until("the line is stored", || json(&place, "queues --json")["queues"][0]["ready"] == 1);
    publish.signal("INT");
    assert_eq!(publish.ended(), Some(130));
    let mut summary = String::new();
    std::io::Read::read_to_string(&mut out, &mut summary).unwrap();
    assert!(summary.starts_with("{\"published\":1,"), "{summary}");
    drop(input);
}

#[test]
fn an_output_that_nobody_reads_to_its_end_is_no_failure() {
    let place = place();
    let lines = "{\"type\":\"item.a\",\"subject\":\"a long subject to fill the pipe\"}\n".repeat(3_000);
    assert_eq!(fed(&place, "publish --jsonl -", &lines).code, Some(0));
    for words in
        ["peek priority -n 3000", "peek priority -n 3000 --json", "man", "completions bash", "--help"]
    {
        let mut command = place.command(words);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0];
        std::io::Read::read_exact(&mut child.stdout.take().unwrap(), &mut first).unwrap();
        let ran = Ran::of(child.wait_with_output().unwrap());
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{words}");
    }
}
