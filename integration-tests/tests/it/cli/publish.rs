//! `publish`.

use std::fs;

use serde_json::json;

use super::{CONFIG, LIMIT};
use crate::harness::{Bed, ids, read_lines};

const LINES: &str = r#"{"id":"1","type":"item.new","data":{"b":1.50,"a":2}}
{"id":"2","data":1}

{"id":"4","type":"item.new","time":"noon","data":1}
{"id":"5","type":"item.new","bwpriority":12,"data":1}
no json
{"id":"7","type":"item.new","datacontenttype":"text/plain","data":"line"}
{"id":"8","type":"item.new","data_base64":"AAEC","datacontenttype":"application/octet-stream"}
"#;

#[test]
fn lines_are_published_and_bad_ones_named_both_ways() {
    for held in [true, false] {
        let bed = Bed::new(CONFIG);
        let daemon = held.then(|| bed.start());
        fs::write(bed.path("in.jsonl"), LINES).unwrap();
        for (arguments, input) in [("in.jsonl", ""), ("-", LINES)] {
            let answer = bed.verb_reading(&["publish", "--jsonl", arguments, "--json"], input);
            answer.fails(1, &["line 2:", "line 4:", "line 5:", "line 6:"]);
            assert!(!answer.errors.contains("line 3:"), "{answer:?}");
            let told = answer.json();
            let counted = ["published", "failed", "unknown"].map(|key| &told[key]);
            assert_eq!(counted, [&json!(3), &json!(4), &json!(0)], "{told}");
        }
        match daemon {
            Some(daemon) => daemon.drain(LIMIT),
            None => assert_eq!(bed.ask(&["run", "--once"])["delivered"], 6),
        }
        let lines = read_lines(&bed.path("var/audit.jsonl"));
        let mut there = ids(&bed.path("var/audit.jsonl"));
        there.sort();
        assert_eq!(there, ["1", "1", "7", "7", "8", "8"]);
        let text = fs::read_to_string(bed.path("var/audit.jsonl")).unwrap();
        assert_eq!(text.matches(r#""data":{"b":1.50,"a":2}"#).count(), 2, "{text}");
        for line in lines {
            match line.id() {
                "7" => assert_eq!(line.event["data"], "line"),
                "8" => assert_eq!(line.event["data_base64"], "AAEC"),
                _ => {}
            }
        }
    }
}

#[test]
fn one_message_is_durable_when_publish_returns() {
    let bed = Bed::new(CONFIG);
    let daemon = bed.start();
    bed.ask(&["endpoints", "pause", "audit"]);
    fs::write(bed.path("data.json"), r#"{"price": 1.50}"#).unwrap();
    let one = ["publish", "--type", "item.new", "--account", "acme", "--id", "x1", "--data", "@data.json"];
    let told = bed.ask(&one);
    daemon.kill();
    assert_eq!((&told["published"], &told["failed"]), (&json!(1), &json!(0)));
    bed.ask(&["endpoints", "resume", "audit"]);
    bed.ask(&["run", "--once"]);
    let text = fs::read_to_string(bed.path("var/audit.jsonl")).unwrap();
    assert!(text.contains(r#""data":{"price": 1.50}"#) && text.contains(r#""account":"acme""#), "{text}");
}

#[test]
fn a_rate_is_kept() {
    let bed = Bed::new(CONFIG);
    let _daemon = bed.start();
    let lines = "{\"type\":\"item.new\",\"data\":1}\n".repeat(60);
    let answer = bed.verb_reading(&["publish", "--jsonl", "-", "--rate", "30", "--json"], &lines);
    let told = answer.json();
    let seconds = told["seconds"].as_f64().unwrap();
    assert!(told["published"] == 60 && seconds > 1.5, "{told}");
}
