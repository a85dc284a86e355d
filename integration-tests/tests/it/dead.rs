//! Dead letters, and what became of a message, with the real program: replays that are killed, traces over
//! restarts, and why a message waits.

use std::collections::HashMap;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::harness::{Bed, Daemon, read_lines, seed, until};

const LIMIT: Duration = Duration::from_secs(120);
const LETTERS: usize = 4_000;
const KILLS: usize = 8;
/// Letters of one batch of a replay, and messages that a process has in hand.
const WINDOW: usize = 256 + 1024;

const TO_FILE: &str = r##"
[endpoints.audit]
kind = "file"
path = "var/audit.jsonl"
[[routes]]
type = ["#"]
to = ["audit"]
"##;

/// Succeeds as soon as there is a file `ok`.
const FUSSY: &str = r##"
[endpoints.fussy]
kind = "exec"
command = ["test", "-e", "ok"]
retry = { attempts = 2, first = "10ms" }
[[routes]]
type = ["#"]
to = ["fussy"]
"##;

fn lines(count: usize) -> String {
    (0..count)
        .map(|n| format!("{}\n", json!({ "id": n.to_string(), "type": "item.updated", "account": "acme" })))
        .collect()
}

/// How many dead letters there are.
fn dead(daemon: &Daemon) -> u64 {
    let report = daemon.get("/v1/queues");
    let row = report["queues"].as_array().unwrap().iter().find(|row| row["queue"] == "dead").unwrap();
    row["ready"].as_u64().unwrap() + row["in_flight"].as_u64().unwrap()
}

fn events(trace: &Value) -> Vec<&str> {
    trace["events"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect()
}

#[test]
fn a_replay_that_is_killed_at_any_moment_loses_nothing() {
    let mut random = Rng::with_seed(seed());
    let bed = Bed::new("");
    let daemon = bed.start();
    daemon.publish(&lines(LETTERS));
    until(LIMIT, "all are dead", || dead(&daemon) == LETTERS as u64);
    assert_eq!(daemon.stop(), 0);
    bed.configure(TO_FILE);
    let file = bed.path("var/audit.jsonl");
    let delivered = || std::fs::read(&file).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count();
    for kill in 0..KILLS {
        let daemon = bed.start();
        let replay = bed.begin(&["dead", "replay", "--all", "--rate", "2000", "--json"], "");
        let enough = (kill * LETTERS + random.usize(1..LETTERS)) / (KILLS + 1);
        until(LIMIT, "some are replayed", || delivered() > enough || dead(&daemon) == 0);
        daemon.kill();
        // It may have come to its end just before.
        let answer = replay.end();
        assert!(answer.code != 0 || answer.json()["replayed"].is_u64(), "{answer:?}");
    }
    let daemon = bed.start();
    bed.ask(&["dead", "replay", "--all"]);
    daemon.drain(LIMIT);
    assert_eq!(dead(&daemon), 0);
    assert_eq!(daemon.stop(), 0);
    let mut seen: HashMap<String, usize> = HashMap::new();
    for line in read_lines(&file) {
        *seen.entry(line.id().to_owned()).or_default() += 1;
    }
    assert_eq!(seen.len(), LETTERS, "some are lost");
    let repeated: usize = seen.values().map(|count| count - 1).sum();
    println!("{KILLS} kills: {LETTERS} letters, 0 lost, {repeated} repeated");
    assert!(repeated <= KILLS * WINDOW, "{repeated} repeats");
}

#[test]
fn what_became_of_a_message_is_told_over_kills_and_replays() {
    let bed = Bed::new(FUSSY);
    let mut daemon = bed.start();
    daemon.publish(&lines(1));
    until(LIMIT, "it is dead", || dead(&daemon) == 1);
    let died = ["accepted", "failed", "retried", "failed", "dead"];
    let trace = bed.ask(&["trace", "0"]);
    assert_eq!(events(&trace), died, "{trace}");
    assert_eq!((&trace["type"], &trace["account"]), (&json!("item.updated"), &json!("acme")));
    assert_eq!((&trace["missing"], &trace["where"][0]["queue"]), (&json!(0), &json!("dead")));
    assert_eq!(
        (&trace["events"][3]["attempt"], &trace["events"][3]["destination"]),
        (&json!(2), &json!("fussy"))
    );
    assert_eq!(daemon.get("/v1/trace/0")["events"], trace["events"]);
    // What lies in memory at most 200 ms is on the disk.
    daemon.kill();
    assert_eq!(events(&bed.ask(&["trace", "0"])), died, "without a daemon");
    bed.verb(&["trace", "1"]).fails(1, &["nothing is known"]);

    daemon = bed.start();
    let replayed = bed.ask(&["dead", "replay", "--type", "item.*", "--reason", "error"]);
    assert_eq!(replayed, json!({ "replayed": 1 }));
    until(LIMIT, "it is dead again", || dead(&daemon) == 1);
    let letter = bed.ask(&["dead", "show", "0"]);
    assert_eq!((&letter["replays"], &letter["attempts"]), (&json!(1), &json!(2)), "{letter}");
    assert_eq!(letter["history"].as_array().unwrap().len(), 10, "{letter}");
    std::fs::write(bed.path("ok"), "").unwrap();
    bed.ask(&["dead", "replay", "--id", "0"]);
    daemon.drain(LIMIT);
    let trace = bed.ask(&["trace", "0"]);
    let again = ["replayed", "failed", "retried", "failed", "dead"];
    assert_eq!(events(&trace), [&died[..], &again, &["replayed", "delivered"]].concat(), "{trace}");
    assert_eq!((&trace["where"], &trace["events"][11]["attempt"]), (&json!([]), &json!(1)));
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn why_a_message_waits_is_told_with_and_without_a_daemon() {
    let bed = Bed::new(TO_FILE);
    let daemon = bed.start();
    bed.ask(&["endpoints", "pause", "audit"]);
    daemon.publish(&lines(3));
    let why = |bed: &Bed| bed.ask(&["peek", "delayed", "--why"])[0]["waits"].clone();
    until(LIMIT, "they wait", || bed.ask(&["peek", "delayed"]).as_array().unwrap().len() == 3);
    let paused = why(&bed);
    assert_eq!(
        (&paused["why"], &paused["released_by"]),
        (&json!("paused: endpoint audit"), &json!("busway endpoints resume audit"))
    );
    assert!(paused["since"].is_string(), "{paused}");
    assert_eq!(daemon.get("/v1/messages/delayed?why=true&n=1")[0]["waits"], paused);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(why(&bed)["released_by"], "busway run");
    bed.configure("");
    let daemon = bed.start();
    assert!(why(&bed)["why"].as_str().unwrap().contains("endpoint audit does not exist"), "{}", why(&bed));
    assert_eq!(
        (daemon.endpoint("audit")["state"].as_str(), &daemon.endpoint("audit")["waiting"]),
        (Some("gone"), &json!(3))
    );
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_replay_that_is_interrupted_says_how_many_were_done() {
    let bed = Bed::new("");
    let daemon = bed.start();
    daemon.publish(&lines(500));
    until(LIMIT, "all are dead", || dead(&daemon) == 500);
    let replay = bed.begin(&["dead", "replay", "--all", "--rate", "20", "--json"], "");
    // They match no route, and so they die again; these are not replayed a second time.
    let again =
        || daemon.get("/v1/dead").as_array().unwrap().iter().filter(|row| row["replays"] == 1).count();
    until(LIMIT, "some are replayed", || again() >= 30);
    let answer = replay.interrupt();
    assert_eq!(answer.code, 130, "{answer:?}");
    let told = answer.json();
    let done = told["replayed"].as_u64().unwrap();
    assert!(done >= 30 && told["interrupted"] == true, "{told}");
    until(LIMIT, "all are dead", || dead(&daemon) == 500);
    assert_eq!(again() as u64, done);
    assert_eq!(bed.ask(&["dead", "delete", "--account", "acme"]), json!({ "deleted": 500 }));
    assert_eq!(daemon.stop(), 0);
}
