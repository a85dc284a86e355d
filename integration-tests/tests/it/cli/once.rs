//! `run --once`, the cron mode.

use serde_json::Value;

use super::{CONFIG, LIMIT};
use crate::harness::{Bed, ids};

fn filled(messages: usize) -> Bed {
    let bed = Bed::new(CONFIG);
    let line = |number| format!("{{\"id\":\"{number:04}\",\"type\":\"item.new\",\"data\":{number}}}\n");
    let lines: String = (0..messages).map(line).collect();
    let answer = bed.verb_reading(&["publish", "--jsonl", "-"], &lines);
    assert_eq!(answer.code, 0, "{answer:?}");
    bed
}

fn count(report: &Value, key: &str) -> u64 {
    report[key].as_u64().unwrap_or_else(|| panic!("{key} is not in {report}"))
}

#[test]
fn no_more_is_received_than_the_limit_and_the_rest_stays() {
    let bed = filled(100);
    let first = bed.ask(&["run", "--once", "--limit", "30", "--workers", "4"]);
    assert_eq!((count(&first, "received"), count(&first, "delivered")), (30, 30), "{first}");
    assert_eq!(ids(&bed.path("var/audit.jsonl")).len(), 30);
    let rest = bed.ask(&["run", "--once"]);
    assert_eq!(count(&rest, "delivered"), 70, "{rest}");
    let none = bed.ask(&["run", "--once"]);
    let all = ["received", "delivered", "diverted", "retried", "dead"].map(|key| count(&none, key));
    assert_eq!(all, [0; 5], "{none}");
    let mut there = ids(&bed.path("var/audit.jsonl"));
    there.sort();
    assert_eq!(there, (0..100).map(|number| format!("{number:04}")).collect::<Vec<_>>());
}

#[test]
fn calls_that_overlap_all_succeed_and_deliver_each_message_once() {
    let bed = filled(2_000);
    let calls: Vec<_> = (0..4).map(|_| bed.begin(&["run", "--once", "--json"], "")).collect();
    let reports: Vec<Value> = calls
        .into_iter()
        .map(|call| {
            let answer = call.end();
            assert_eq!(answer.code, 0, "{answer:?}");
            answer.json()
        })
        .collect();
    // What one had not taken before it ended, another found.
    let delivered: u64 = reports.iter().map(|report| count(report, "delivered")).sum();
    assert_eq!(delivered, 2_000, "{reports:?}");
    let mut there = ids(&bed.path("var/audit.jsonl"));
    there.sort();
    there.dedup();
    assert_eq!((there.len(), ids(&bed.path("var/audit.jsonl")).len()), (2_000, 2_000));
}

#[test]
fn beside_a_daemon_it_finds_nothing_and_succeeds() {
    let bed = Bed::new(CONFIG);
    let daemon = bed.start();
    daemon.publish(r#"{"id":"1","type":"item.new","data":1}"#);
    let report = bed.ask(&["run", "--once"]);
    assert_eq!(count(&report, "received"), 0, "{report}");
    daemon.drain(LIMIT);
    assert_eq!(ids(&bed.path("var/audit.jsonl")), ["1"]);
}
