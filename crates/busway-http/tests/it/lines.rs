//! JSON lines.

use std::io::Write;
use std::time::Duration;

use busway_core::admin::PublishOutcome::{Failed, Unknown};
use serde_json::json;

use crate::client::{Request, connect, read};
use crate::fake::Publishing;
use crate::{Served, until};

const LINES: &str = "application/x-ndjson";

fn head(framing: &str) -> Vec<u8> {
    format!("POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: {LINES}\r\n{framing}\r\n\r\n")
        .into_bytes()
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

#[test]
fn every_line_has_a_result_in_order() {
    let served = Served::new();
    let body = "{\"type\":\"t\",\"id\":\"1\"}\r\n\n{\"type\":\"t\"}\n{\"type\":\"t\",\"id\":\"3\"}";
    let reply = served.send(&Request::post(LINES, body));
    assert_eq!(reply.status, 202, "{reply:?}");
    assert_eq!(reply.header("content-type"), Some(LINES));
    let rows = reply.lines();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0], json!({ "id": "1", "outcome": "stored" }));
    assert_eq!(rows[2], json!({ "id": "3", "outcome": "stored" }));
    let ids: Vec<_> = rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(served.bus.stored_ids(), ids);
}

#[test]
fn many_lines_are_stored_in_their_order() {
    let served = Served::new();
    let body: String = (0..20_000).map(|n| format!("{{\"type\":\"t\",\"id\":\"{n}\"}}\n")).collect();
    let reply = served.send(&Request::post(LINES, body));
    assert_eq!(reply.status, 202);
    let wanted: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
    assert_eq!(served.bus.stored_ids(), wanted);
    assert_eq!(reply.lines().len(), 20_000);
}

#[test]
fn a_bad_line_is_told_by_its_number_and_the_others_are_stored() {
    let served = Served::new();
    let body = "{\"type\":\"t\",\"id\":\"1\"}\n{\"id\":\"2\"}\nnonsense\n{\"type\":\"t\",\"id\":\"4\"}\n";
    let reply = served.send(&Request::post(LINES, body));
    assert_eq!(reply.status, 400);
    let rows = reply.lines();
    assert_eq!(rows[0]["outcome"], "stored");
    assert_eq!((&rows[1]["line"], &rows[1]["outcome"]), (&json!(2), &json!("failed")));
    assert_eq!(rows[1]["attribute"], "type");
    assert_eq!(rows[2]["line"], 3);
    assert!(rows[2]["error"].is_string());
    assert_eq!(rows[3], json!({ "id": "4", "outcome": "stored" }));
    assert_eq!(served.bus.stored_ids(), ["1", "4"]);
}

#[test]
fn what_the_bus_did_not_store_decides_the_status() {
    let served = Served::new();
    let body = "{\"type\":\"t\",\"id\":\"1\"}\n{\"type\":\"bad\",\"id\":\"2\"}\n";
    for (outcome, class, status) in [
        (Unknown, "unknown", 503),
        (Failed, "full", 429),
        (Failed, "reject", 400),
        (Failed, "reconnect", 503),
    ] {
        served.bus.publishing(Publishing::Refuses(outcome, class));
        let reply = served.send(&Request::post(LINES, body));
        assert_eq!(reply.status, status, "{class}");
        let rows = reply.lines();
        assert_eq!(rows[0]["outcome"], "stored");
        assert_eq!((&rows[1]["line"], &rows[1]["class"]), (&json!(2), &json!(class)));
    }
}

#[test]
fn lines_are_published_while_the_stream_goes_on() {
    let served = Served::new();
    let mut stream = connect(served.server.addr());
    stream.write_all(&head("transfer-encoding: chunked")).unwrap();
    stream.write_all(&chunk("{\"type\":\"t\",\"id\":\"1\"}\n{\"type\":")).unwrap();
    until("the first line is stored", || served.bus.stored_ids() == ["1"]);
    stream.write_all(&chunk("\"t\",\"id\":\"2\"}\n")).unwrap();
    until("the second line is stored", || served.bus.stored_ids() == ["1", "2"]);
    stream.write_all(b"0\r\n\r\n").unwrap();
    let reply = read(&mut stream, false);
    assert_eq!((reply.status, reply.lines().len()), (202, 2));
}

#[test]
fn a_stream_that_is_cut_stores_the_whole_lines_that_came() {
    for shut in [std::net::Shutdown::Write, std::net::Shutdown::Both] {
        let served = Served::new();
        let mut stream = connect(served.server.addr());
        stream.write_all(&head("content-length: 1000")).unwrap();
        stream.write_all(b"{\"type\":\"t\",\"id\":\"1\"}\n{\"type\":\"t\",\"id\":\"2\"}").unwrap();
        stream.shutdown(shut).unwrap();
        until("the whole line is stored", || !served.bus.stored_ids().is_empty());
        if shut == std::net::Shutdown::Write {
            let reply = read(&mut stream, false);
            assert_eq!(reply.status, 400);
            let rows = reply.lines();
            assert_eq!(rows[0], json!({ "id": "1", "outcome": "stored" }));
            assert_eq!(rows[1]["line"], 2);
        }
        assert_eq!(served.bus.stored_ids(), ["1"]);
    }
}

#[test]
fn a_stream_that_is_reset_stores_the_whole_lines_that_were_read() {
    let served = Served::new();
    served.bus.publishing(Publishing::Gated);
    let mut stream = connect(served.server.addr());
    stream.write_all(&head("content-length: 1000")).unwrap();
    stream.write_all(b"{\"type\":\"t\",\"id\":\"1\"}\n{\"type\":\"t\",\"id\":\"2\"}").unwrap();
    until("the first line is with the bus", || served.bus.begun() == 1);
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
    served.bus.gate.add_permits(10);
    until("the whole line is stored", || served.bus.stored_ids() == ["1"]);
}

#[test]
fn lines_in_hand_are_published_also_when_the_client_is_gone() {
    let served = Served::new();
    served.bus.publishing(Publishing::Gated);
    let mut stream = connect(served.server.addr());
    stream.write_all(&head("transfer-encoding: chunked")).unwrap();
    stream.write_all(&chunk("{\"type\":\"t\",\"id\":\"1\"}\n")).unwrap();
    until("the first line is with the bus", || served.bus.begun() == 1);
    stream.write_all(&chunk("{\"type\":\"t\",\"id\":\"2\"}\n{\"type\":\"t\",\"id\"")).unwrap();
    stream.shutdown(std::net::Shutdown::Both).unwrap();
    drop(stream);
    served.bus.gate.add_permits(10);
    until("both whole lines are stored", || served.bus.stored_ids() == ["1", "2"]);
}

#[test]
fn the_deadline_leaves_unknown_what_was_in_flight_and_failed_what_was_not_begun() {
    let served = Served::with(|config| config.deadline = Duration::from_secs(3));
    served.bus.publishing(Publishing::Hangs);
    let mut stream = connect(served.server.addr());
    stream.write_all(&head("transfer-encoding: chunked")).unwrap();
    stream.write_all(&chunk("{\"type\":\"t\",\"id\":\"1\"}\n")).unwrap();
    until("the first line is with the bus", || served.bus.begun() == 1);
    stream.write_all(&chunk("{\"type\":\"t\",\"id\":\"2\"}\n")).unwrap();
    let reply = read(&mut stream, false);
    assert_eq!(reply.status, 503);
    let rows = reply.lines();
    assert_eq!((&rows[0]["id"], &rows[0]["outcome"]), (&json!("1"), &json!("unknown")));
    assert_eq!((&rows[1]["id"], &rows[1]["outcome"]), (&json!("2"), &json!("failed")));
    assert_eq!(served.bus.begun(), 1);
}

#[test]
fn a_stream_that_trickles_is_cut_with_the_results_so_far() {
    let served = Served::with(|config| config.deadline = Duration::from_secs(3));
    let mut stream = connect(served.server.addr());
    stream.write_all(&head("transfer-encoding: chunked")).unwrap();
    stream.write_all(&chunk("{\"type\":\"t\",\"id\":\"1\"}\n{")).unwrap();
    let reply = read(&mut stream, false);
    assert_eq!(reply.status, 408);
    let rows = reply.lines();
    assert_eq!(rows[0], json!({ "id": "1", "outcome": "stored" }));
    assert!(rows[1]["error"].as_str().unwrap().contains("deadline"), "{rows:?}");
}

#[test]
fn a_stream_is_bounded_in_bytes_lines_and_line_length() {
    let served = Served::with(|config| {
        config.max_body_bytes = 200 * 1024;
        config.max_stream_bytes = 400 * 1024;
        config.max_lines = 3;
    });
    let line = |id: u32| format!("{{\"type\":\"t\",\"id\":\"{id}\"}}\n");
    let many: String = (1..=4).map(line).collect();
    let reply = served.send(&Request::post(LINES, many));
    assert_eq!(reply.status, 413);
    assert_eq!(reply.lines()[3]["line"], 4);
    assert_eq!(served.bus.stored_ids(), ["1", "2", "3"]);

    let long = format!("{}{{\"type\":\"t\",\"data\":\"{}\"}}\n{}", line(5), "x".repeat(200 * 1024), line(6));
    let reply = served.send(&Request::post(LINES, long));
    assert_eq!(reply.status, 413);
    let rows = reply.lines();
    assert_eq!((&rows[1]["line"], &rows[1]["class"]), (&json!(2), &json!("too-large")));
    assert_eq!(rows[2]["id"], "6");

    let mut stream = connect(served.server.addr());
    stream.write_all(&head("transfer-encoding: chunked")).unwrap();
    stream.write_all(&chunk(&line(7))).unwrap();
    for _ in 0..5 {
        stream.write_all(&chunk(&" ".repeat(100_000))).unwrap();
    }
    let reply = read(&mut stream, false);
    assert_eq!(reply.status, 413);
    assert_eq!(reply.lines()[0]["id"], "7");
    assert_eq!(served.bus.stored_ids().last().unwrap(), "7");
}

#[test]
fn the_stream_waits_while_the_bus_is_slow() {
    let served = Served::new();
    served.bus.publishing(Publishing::Gated);
    let line = format!("{{\"type\":\"t\",\"data\":\"{}\"}}\n", "x".repeat(10_000));
    let sent = 40 * 1024 * 1024 / line.len();
    let body = line.repeat(sent);
    let mut stream = connect(served.server.addr());
    stream.write_all(&head(&format!("content-length: {}", body.len()))).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let (told, written) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || told.send(writer.write_all(body.as_bytes()).is_ok()));
    until("the first batch is with the bus", || served.bus.begun() > 0);
    assert!(written.recv_timeout(Duration::from_millis(500)).is_err(), "40 MiB went into nowhere");
    assert!(served.bus.begun() < 1000, "one batch at a time");
    served.bus.gate.add_permits(100_000);
    let reply = read(&mut stream, false);
    assert!(written.recv().unwrap());
    assert_eq!((reply.status, reply.lines().len()), (202, sent));
}
