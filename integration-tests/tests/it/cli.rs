//! The verbs, with a process that holds the bus and without.

mod demo;
mod once;
mod publish;
mod stop;

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Bed, Daemon, until};

const LIMIT: Duration = Duration::from_secs(60);

/// A file that takes all, and an endpoint where nobody listens.
const CONFIG: &str = r#"
[endpoints.audit]
kind = "file"
path = "var/audit.jsonl"
[endpoints.gone]
kind = "http"
url = "http://127.0.0.1:9/"
retry = { attempts = 1 }
[[routes]]
type = ["item.*"]
to = ["audit"]
[[routes]]
type = ["gone.*"]
to = ["gone"]
"#;

/// What a bus is filled with: two dead for want of a route, one dead for its endpoint.
const LINES: &str = r#"{"id":"i1","type":"item.new","account":"a","data":1}
{"id":"u1","type":"nowhere","account":"a","data":{"b":1.50}}
{"id":"u2","type":"elsewhere","account":"b","data":2}
{"id":"g1","type":"gone.x","account":"b","data":3}
"#;

#[track_caller]
fn fill(daemon: &Daemon) {
    daemon.publish(LINES);
    until(LIMIT, "three are dead", || daemon.get("/v1/dead").as_array().unwrap().len() == 3);
    daemon.drain(LIMIT);
}

/// Figures that go with the time or with the process.
fn still(mut answer: Value) -> Value {
    const MOVING: [&str; 7] =
        ["oldest_age_seconds", "in_rate", "out_rate", "share", "delivered", "failed", "diverted"];
    match &mut answer {
        Value::Array(rows) => {
            rows.iter_mut().for_each(|row| *row = still(row.take()));
            // An account is only known to a process that has seen it.
            rows.retain(|row| row.get("weight").is_none());
        }
        Value::Object(fields) => {
            fields.retain(|name, _| !MOVING.contains(&name.as_str()));
            fields.values_mut().for_each(|value| *value = still(value.take()));
        }
        _ => {}
    }
    answer
}

#[test]
fn verbs_answer_the_same_with_a_holder_and_without() {
    const VERBS: [&[&str]; 9] = [
        &["queues"],
        &["peek", "dead"],
        &["peek", "priority", "-n", "3"],
        &["dead", "list"],
        &["dead", "list", "--account", "b"],
        &["dead", "show", "u1"],
        &["endpoints", "list"],
        &["endpoints", "test", "audit"],
        &["accounts", "list"],
    ];
    let bed = Bed::new(CONFIG);
    let daemon = bed.start();
    fill(&daemon);
    // The breaker of an endpoint that refused is a matter of the moment.
    bed.ask(&["endpoints", "pause", "gone"]);
    let held: Vec<_> = VERBS.iter().map(|verb| still(bed.ask(verb))).collect();
    let show = bed.verb(&["dead", "show", "u1"]);
    assert!(show.out.contains(r#""data":{"b":1.50}"#), "{show:?}");
    assert_eq!(daemon.stop(), 0);
    for (verb, held) in VERBS.iter().zip(held) {
        assert_eq!(still(bed.ask(verb)), held, "{verb:?}");
    }
}

#[test]
fn dead_letters_are_listed_replayed_and_deleted_both_ways() {
    for held in [true, false] {
        let bed = Bed::new(CONFIG);
        let daemon = bed.start();
        fill(&daemon);
        let daemon = if held {
            Some(daemon)
        } else {
            assert_eq!(daemon.stop(), 0);
            None
        };
        let listed = |selector: &[&str]| {
            let rows = bed.ask(&[&["dead", "list"], selector].concat());
            let mut ids: Vec<_> =
                rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
            ids.sort();
            ids.join(" ")
        };
        assert_eq!(listed(&[]), "g1 u1 u2");
        assert_eq!(listed(&["--destination", "gone"]), "g1");
        assert_eq!(listed(&["--type", "nowhere"]), "u1");
        let row = bed.ask(&["dead", "list", "--id", "u1"])[0].clone();
        let expected = json!({
            "id": "u1", "reason": "unroutable", "destination": null, "attempts": 0,
            "origin": "local/priority", "since": row["since"], "type": "nowhere", "account": "a",
        });
        assert_eq!(row, expected);

        for verb in ["replay", "delete"] {
            assert_eq!(bed.verb(&["dead", verb]).code, 2, "{verb} without a selector");
        }
        bed.verb(&["dead", "show", "none"]).fails(1, &["none"]);
        assert_eq!(bed.ask(&["dead", "delete", "--account", "a"]), json!({"deleted": 1}));
        assert_eq!(listed(&[]), "g1 u2");
        // It finds a route now.
        if daemon.is_none() {
            let more = format!("{CONFIG}\n[[routes]]\ntype = [\"elsewhere\"]\nto = [\"audit\"]\n");
            bed.configure(&more);
            assert_eq!(bed.ask(&["dead", "replay", "--type", "elsewhere"]), json!({"replayed": 1}));
            assert_eq!(listed(&[]), "g1");
            bed.ask(&["run", "--once"]);
            let text = fs::read_to_string(bed.path("var/audit.jsonl")).unwrap();
            assert!(text.contains("\"u2\""), "{text}");
        }
        assert_eq!(bed.ask(&["dead", "delete", "--all"])["deleted"], if held { 2 } else { 1 });
        assert_eq!(listed(&[]), "");
    }
}

#[test]
fn pauses_and_weights_are_set_both_ways_and_unknown_names_fail() {
    let bed = Bed::new(CONFIG);
    for held in [true, false] {
        let daemon = held.then(|| bed.start());
        assert_eq!(bed.ask(&["endpoints", "pause", "audit"]), json!({"endpoint": "audit", "paused": true}));
        assert_eq!(bed.ask(&["endpoints", "list"])[0]["state"], "paused");
        bed.ask(&["endpoints", "resume", "audit"]);
        assert_eq!(bed.ask(&["endpoints", "list"])[0]["state"], "open");
        assert_eq!(bed.ask(&["accounts", "weight", "a", "3"]), json!({"account": "a", "weight": 3}));
        assert_eq!(bed.ask(&["accounts", "pause", "a"]), json!({"account": "a", "paused": true}));
        let row = bed.ask(&["accounts", "list"])[0].clone();
        assert_eq!((&row["weight"], &row["paused"]), (&json!(3), &json!(true)), "{row}");
        bed.ask(&["accounts", "resume", "a"]);
        bed.verb(&["endpoints", "pause", "audits"]).fails(1, &["audits"]);
        bed.verb(&["peek", "nothing"]).fails(1, &["nothing"]);
        drop(daemon);
    }
}

#[test]
fn a_configuration_is_written_checked_and_shown() {
    let bed = Bed::new("");
    bed.ask(&["config", "init", "new.toml"]);
    bed.verb(&["config", "init", "new.toml"]).fails(1, &["--force"]);
    let checked = bed.ask(&["config", "check", "-c", "new.toml"]);
    assert_eq!(checked["ok"], true, "{checked}");
    let shown = bed.verb(&["config", "show", "-c", "new.toml", "--set", "flow.workers=7"]);
    assert!(shown.code == 0 && shown.out.contains("workers = 7"), "{shown:?}");
    bed.configure("[flow]\nworkres = 3\n");
    bed.verb(&["config", "check"]).fails(2, &["busway.toml", "workres", "workers"]);
    bed.verb(&["run"]).fails(2, &["workres"]);
    bed.configure("[[routes]]\ntype = [\"x\"]\nto = [\"nobody\"]\n");
    bed.verb(&["queues"]).fails(2, &["nobody"]);
    assert!(!bed.path("var").exists(), "something was opened before the configuration was checked");
    for wrong in [&["nothing"][..], &["queues", "--jsn"], &["run", "--limit", "3"]] {
        assert_eq!(bed.verb(wrong).code, 2, "{wrong:?}");
    }
    let help = bed.verb(&["--help"]);
    assert!(help.code == 0 && help.out.contains("publish"), "{help:?}");
}

#[test]
fn a_holder_that_does_not_answer_is_named_by_its_process() {
    let bed = Bed::new(CONFIG);
    let daemon = bed.start();
    daemon.signal(Signal::STOP);
    let process = daemon.id().to_string();
    for verb in [&["queues"][..], &["dead", "list"], &["publish", "--type", "item.new"], &["run", "--once"]] {
        let answer = bed.verb(&[verb, &["--timeout", "1s"]].concat());
        answer.fails(3, &[&process]);
        assert!(answer.took < Duration::from_secs(15), "{answer:?}");
    }
    daemon.signal(Signal::CONT);
    bed.ask(&["queues"]);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_second_daemon_is_refused_with_the_process_that_holds_the_bus() {
    let bed = Bed::new(CONFIG);
    let daemon = bed.start();
    bed.verb(&["run"]).fails(3, &[&daemon.id().to_string()]);
    daemon.publish(r#"{"id":"1","type":"item.new","data":1}"#);
    daemon.drain(LIMIT);
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_path_longer_than_the_name_of_a_socket_works() {
    let bed = Bed::new(CONFIG);
    let long = format!("{0}/{0}/{0}/queues", "d".repeat(60));
    let set = format!("transports.local.path={long:?}");
    let daemon = bed.start_with(&["--set", &set]);
    assert!(bed.path(&long).join("busway.sock").to_str().unwrap().len() > 108);
    daemon.publish(r#"{"id":"1","type":"nowhere","data":1}"#);
    daemon.drain(LIMIT);
    let listed = bed.ask(&["dead", "list", "--set", &set]);
    assert_eq!(listed[0]["id"], "1", "{listed}");
    assert_eq!(daemon.stop(), 0);
}
