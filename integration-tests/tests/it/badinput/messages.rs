//! Bodies that are no messages, and messages that nobody wants.

use super::Course;
use crate::harness::{Request, until};

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

#[test]
fn an_event_that_is_none_is_told_why_and_where() {
    let mut course = Course::new();
    let deep = format!(r#"{{"type":"item.x","data":{}"#, "[".repeat(200_000));
    let long = format!(r#"{{"type":"item.x","{}":1}}"#, "Name".repeat(50_000));
    for (body, words) in [
        (&b"{\"type\":"[..], &["not JSON", "line 1 column"][..]),
        (b"", &["not JSON"]),
        (b"[]", &["an event must be a JSON object"]),
        (b"\0", &["not JSON"]),
        (b"{\"type\":\"item.x\0\"}", &["not JSON"]),
        (b"{\"type\":\"item.\xff\"}", &["not JSON"]),
        (b"{\"type\":\"item.x\",\"id\":\"\\ud800\"}", &["\"attribute\":\"id\"", "whole Unicode characters"]),
        (b"{\"type\":\"item.x\",\"type\":\"item.y\"}", &["\"attribute\":\"type\"", "given twice"]),
        (b"{\"type\":7}", &["\"attribute\":\"type\"", "must be a string"]),
        (b"{\"id\":\"1\"}", &["\"attribute\":\"type\"", "is missing"]),
        (b"{\"type\":\"item.x\",\"Key\":1}", &["\"attribute\":\"Key\"", "lower-case letters"]),
        (
            b"{\"type\":\"item.x\",\"key\":{}}",
            &["\"attribute\":\"key\"", "must be a string, an integer or a boolean"],
        ),
        (b"{\"type\":\"item.x\",\"specversion\":\"2.0\"}", &["\"attribute\":\"specversion\"", "must be 1.0"]),
        (b"{\"type\":\"item.x\",\"time\":\"noon\"}", &["\"attribute\":\"time\"", "RFC 3339"]),
        (b"{\"type\":\"item.x\",\"data_base64\":\"?\"}", &["\"attribute\":\"data_base64\"", "base64"]),
        (deep.as_bytes(), &["not JSON"]),
        (long.as_bytes(), &["NameName", "lower-case letters"]),
    ] {
        course.refused(&Request::post(STRUCTURED, body), 400, words);
        let reply = course.daemon.send(&Request::post(STRUCTURED, body));
        assert!(reply.body.len() < 500, "an answer of {} bytes", reply.body.len());
    }
    course.end(&[]);
}

#[test]
fn a_batch_is_refused_whole_for_one_event() {
    let mut course = Course::new();
    let event = r#"{"id":"in-batch","type":"item.x","data":1}"#;
    for (bad, words) in [
        ("{}", &["\"index\":1", "\"attribute\":\"type\"", "is missing"][..]),
        ("no", &["not JSON"]),
        ("[]", &["\"index\":1", "an event must be a JSON object"]),
        (r#"{"type":"item.y"}"#, &["not JSON"]),
    ] {
        // The last of them is cut.
        let end = if words == ["not JSON"] && bad != "no" { "" } else { "]" };
        course.refused(&Request::post(BATCH, format!("[{event},{bad}{end}")), 400, words);
    }
    course.refused(&Request::post(BATCH, event), 400, &["a batch must be a JSON array"]);
    course.end(&[]);
}

#[test]
fn a_body_of_no_known_form_is_told_the_forms() {
    let mut course = Course::new();
    let forms = &["ce-type", STRUCTURED, BATCH, "application/x-ndjson"];
    course.refused(&Request::post("application/json", "{}"), 400, forms);
    course.refused(&Request::post("text/csv", "a,b"), 415, forms);
    course.refused(
        &Request::post("application/cloudevents+avro", "x").header("ce-type", "item.x"),
        415,
        forms,
    );
    let packed = Request::post(STRUCTURED, "x").header("content-encoding", "gzip");
    course.refused(&packed, 415, &["content encoding"]);
    course.end(&[]);
}

/// Whole lines that came are stored, and nothing of the one that was cut.
#[test]
fn a_stream_that_is_cut_in_the_middle_stores_the_whole_lines() {
    let mut course = Course::new();
    let head = "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n";
    let line = |id: &str| format!("{{\"id\":\"{id}\",\"type\":\"item.x\",\"data\":1}}\n");
    let body = format!("{}{{\"id\":\"cut\",\"type\":\"item.x\",\"da", line("whole-1"));
    let declared = course.raw(format!("{head}content-length: 1000\r\n\r\n{body}").as_bytes());
    assert!(declared.starts_with("HTTP/1.1 400"), "{declared}");
    let (_, rows) = declared.split_once("\r\n\r\n").unwrap();
    assert!(rows.contains(r#"{"id":"whole-1","outcome":"stored"}"#) && rows.contains("\"line\":2"), "{rows}");
    println!("{rows}");
    let body = format!("{}{{\"id\":\"cut\"", line("whole-2"));
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len());
    let answer = course.raw(chunked.as_bytes());
    assert!(answer.contains(r#"{"id":"whole-2","outcome":"stored"}"#), "{answer}");
    course.end(&["whole-1", "whole-2"]);
}

#[test]
fn lines_that_are_no_messages_are_told_by_their_number_and_the_others_are_stored() {
    let course = Course::new();
    let mut lines = b"{\"id\":\"l1\",\"type\":\"item.x\",\"data\":1}\n".to_vec();
    lines.extend(b"\0\n\xff\xfe\n{\n\xef\xbb\xbf{\"type\":\"item.x\"}\n");
    lines.extend(b"{\"id\":\"l6\",\"type\":\"item.x\",\"data\":\"\xf0\x9f\x98\x80\"}\r\n");
    let reply = course.daemon.send(&Request::lines(lines));
    assert_eq!(reply.status, 400, "{reply:?}");
    println!("{}", reply.body);
    let rows = reply.results();
    let told: Vec<_> =
        rows.iter().map(|row| (row["outcome"].as_str().unwrap(), row["line"].as_u64())).collect();
    let failed = |line| ("failed", Some(line));
    assert_eq!(told, [("stored", None), failed(2), failed(3), failed(4), failed(5), ("stored", None)]);
    course.end(&["l1", "l6"]);
}

#[test]
fn a_message_that_matches_no_route_is_dead_with_its_reason_and_can_be_replayed() {
    let mut course = Course::new();
    course.daemon.publish(r#"{"id":"lost","type":"itm.new","account":"a","data":{"b":1.50}}"#);
    course.good();
    let dead = || course.bed.ask(&["dead", "list", "--id", "lost"]);
    until(super::LIMIT, "it is dead", || !dead().as_array().unwrap().is_empty());
    let row = dead()[0].clone();
    println!("{row}");
    assert_eq!(
        (&row["reason"], &row["destination"]),
        (&"unroutable".into(), &serde_json::Value::Null),
        "{row}"
    );
    let shown = course.bed.verb(&["dead", "show", "lost"]);
    assert!(shown.out.contains(r#""data":{"b":1.50}"#), "{shown:?}");
    let bed = course.end(&[]);
    bed.configure(&format!("{}[[routes]]\ntype = [\"itm.*\"]\nto = [\"audit\"]\n", super::CONFIG));
    bed.ask(&["dead", "replay", "--id", "lost"]);
    bed.ask(&["run", "--once"]);
    assert!(crate::harness::ids(&bed.path("var/audit.jsonl")).contains(&"lost".to_owned()));
}
