//! Messages in: binary, structured, batch.

use busway_core::admin::PublishOutcome::{Failed, Unknown};
use serde_json::json;

use crate::Served;
use crate::client::Request;
use crate::fake::Publishing;

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

#[test]
fn a_binary_message_is_stored_with_its_attributes_and_bytes() {
    let served = Served::new();
    let request = Request::post("application/json", r#"{"price": 1.50}"#)
        .header("ce-specversion", "1.0")
        .header("ce-id", "m-1")
        .header("ce-source", "/shop")
        .header("ce-type", "item.updated")
        .header("ce-subject", "a%20b")
        .header("ce-account", "acme")
        .header("ce-bwpriority", "7");
    let reply = served.send(&request);
    assert_eq!(reply.status, 202, "{reply:?}");
    assert_eq!(reply.json(), json!([{ "id": "m-1", "outcome": "stored" }]));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let stored = served.bus.stored.lock().unwrap();
    let message = &stored[0];
    assert_eq!(message.id, "m-1");
    assert_eq!(message.source, "/shop");
    assert_eq!(message.r#type, "item.updated");
    assert_eq!(message.subject.as_deref(), Some("a b"));
    assert_eq!(message.account.as_deref(), Some("acme"));
    assert_eq!(message.priority, 7);
    assert_eq!(&message.data[..], br#"{"price": 1.50}"#);
}

#[test]
fn an_id_that_was_not_given_is_answered() {
    let served = Served::new();
    let reply = served.send(&Request::post("text/plain", "hello").header("ce-type", "note"));
    assert_eq!(reply.status, 202, "{reply:?}");
    let id = reply.json()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(served.bus.stored_ids(), [id]);
}

#[test]
fn a_binary_message_may_have_no_body() {
    let served = Served::new();
    let request = Request::new("POST", "/v1/messages").header("ce-type", "ping");
    assert_eq!(served.send(&request).status, 202);
    assert!(served.bus.stored.lock().unwrap()[0].data.is_empty());
}

#[test]
fn a_structured_message_keeps_its_data_as_the_very_text() {
    let served = Served::new();
    let event = r#"{"specversion":"1.0","id":"s-1","source":"/s","type":"t","data":{"b":1.50,"a":2}}"#;
    let reply = served.send(&Request::post("application/cloudevents+json; charset=utf-8", event));
    assert_eq!(reply.status, 202, "{reply:?}");
    assert_eq!(reply.json()[0]["id"], "s-1");
    assert_eq!(&served.bus.stored.lock().unwrap()[0].data[..], br#"{"b":1.50,"a":2}"#);
}

#[test]
fn a_batch_has_a_result_for_each_message_in_order() {
    let served = Served::new();
    let reply = served.send(&Request::post(BATCH, r#"[{"type":"t","id":"1"},{"type":"t","id":"2"}]"#));
    assert_eq!(reply.status, 202, "{reply:?}");
    assert_eq!(reply.json(), json!([{"id":"1","outcome":"stored"},{"id":"2","outcome":"stored"}]));
    assert_eq!(served.bus.stored_ids(), ["1", "2"]);
    let empty = served.send(&Request::post(BATCH, "[]"));
    assert_eq!((empty.status, empty.json()), (202, json!([])));
}

#[test]
fn a_batch_with_one_bad_event_is_refused_whole() {
    let served = Served::new();
    let reply = served.send(&Request::post(BATCH, r#"[{"type":"t","id":"1"},{"id":"2"}]"#));
    assert_eq!(reply.status, 400);
    let problem = reply.json();
    assert_eq!(problem["index"], 1);
    assert_eq!(problem["attribute"], "type");
    assert!(problem["error"].as_str().unwrap().contains("type"), "{problem}");
    assert_eq!(served.bus.begun(), 0);
}

#[test]
fn a_batch_of_too_many_events_is_refused_whole() {
    let served = Served::with(|config| config.max_batch = 2);
    let two = r#"[{"type":"t"},{"type":"t"}]"#;
    assert_eq!(served.send(&Request::post(BATCH, two)).status, 202);
    let reply = served.send(&Request::post(BATCH, r#"[{"type":"t"},{"type":"t"},{"type":"t"}]"#));
    assert_eq!(reply.status, 400, "{reply:?}");
    assert_eq!(served.bus.begun(), 2);
}

#[test]
fn a_mistake_is_told_with_its_place() {
    let served = Served::new();
    for (request, attribute) in [
        (Request::post("text/plain", "x").header("ce-type", "t").header("ce-bwpriority", "10"), "bwpriority"),
        (Request::post("text/plain", "x").header("ce-id", "1"), "type"),
        (Request::post("text/plain", "x").header("ce-type", "t").header("ce-time", "noon"), "time"),
        (Request::post(STRUCTURED, r#"{"type":"t","time":"noon"}"#), "time"),
        (Request::post(STRUCTURED, r#"{"id":"1"}"#), "type"),
    ] {
        let reply = served.send(&request);
        assert_eq!(reply.status, 400, "{reply:?}");
        assert_eq!(reply.json()["attribute"], attribute, "{reply:?}");
    }
    let reply = served.send(&Request::post(STRUCTURED, "{nonsense"));
    assert_eq!(reply.status, 400);
    assert!(reply.json()["error"].is_string());
    assert_eq!(served.bus.begun(), 0);
}

#[test]
fn a_body_that_is_no_event_is_refused_with_advice() {
    let served = Served::new();
    for (content_type, status) in [
        ("application/json", 400),
        ("text/csv", 415),
        ("application/cloudevents+avro", 415),
        ("application/xml; charset=utf-8", 415),
    ] {
        let reply = served.send(&Request::post(content_type, "{}"));
        assert_eq!(reply.status, status, "{content_type}");
        assert!(reply.json()["error"].as_str().unwrap().contains("ce-type"), "{reply:?}");
    }
    let reply = served.send(&Request::new("POST", "/v1/messages").body("{}"));
    assert_eq!(reply.status, 400);
    let zipped = Request::post(STRUCTURED, "zz").header("content-encoding", "gzip");
    assert_eq!(served.send(&zipped).status, 415);
    assert_eq!(served.bus.begun(), 0);
}

#[test]
fn what_was_not_stored_decides_the_status() {
    let served = Served::new();
    let batch = r#"[{"type":"t","id":"1"},{"type":"bad","id":"2"}]"#;
    for (outcome, class, status, retry) in [
        (Unknown, "unknown", 503, true),
        (Failed, "reconnect", 503, true),
        (Failed, "retry", 503, true),
        (Failed, "full", 429, true),
        (Failed, "reject", 400, false),
        (Failed, "too-large", 413, false),
    ] {
        served.bus.publishing(Publishing::Refuses(outcome, class));
        let reply = served.send(&Request::post(BATCH, batch));
        assert_eq!(reply.status, status, "{class}");
        assert_eq!(reply.header("retry-after").is_some(), retry, "{class}");
        let rows = reply.json();
        assert_eq!(rows[0], json!({ "id": "1", "outcome": "stored" }));
        assert_eq!(rows[1]["id"], "2");
        assert_eq!(rows[1]["index"], 1);
        assert_eq!(rows[1]["outcome"], json!(outcome));
        assert_eq!(rows[1]["error"], "as it was told");
        assert_eq!(rows[1]["class"], class);
    }
}

#[test]
fn connections_are_kept_between_requests() {
    let served = Served::new();
    let mut stream = crate::client::connect(served.server.addr());
    for id in ["a", "b", "c"] {
        let body = format!(r#"{{"type":"t","id":"{id}"}}"#);
        let request = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: {STRUCTURED}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        assert_eq!(crate::client::read(&mut stream, false).status, 202);
    }
    assert_eq!(served.bus.stored_ids(), ["a", "b", "c"]);
}
