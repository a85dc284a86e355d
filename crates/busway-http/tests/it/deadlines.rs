//! Every request is answered in time, whoever is slow.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::client::{Request, connect, read};
use crate::fake::Publishing;
use crate::{Served, until};

const DEADLINE: Duration = Duration::from_secs(3);

/// What a noisy machine may add.
const SLACK: Duration = Duration::from_secs(20);

fn served() -> Served {
    Served::with(|config| config.deadline = DEADLINE)
}

#[test]
fn a_bus_that_does_not_answer_leaves_the_outcome_unknown() {
    let served = served();
    served.bus.publishing(Publishing::Hangs);
    let batch = r#"[{"type":"t","id":"1"},{"type":"t","id":"2"}]"#;
    let begun = Instant::now();
    let reply = served.send(&Request::post("application/cloudevents-batch+json", batch));
    assert!(begun.elapsed() >= DEADLINE && begun.elapsed() < DEADLINE + SLACK, "{:?}", begun.elapsed());
    assert_eq!(reply.status, 503);
    assert!(reply.header("retry-after").is_some());
    for (index, id) in ["1", "2"].into_iter().enumerate() {
        assert_eq!(reply.json()[index]["id"], id);
        assert_eq!(reply.json()[index]["outcome"], "unknown");
    }
}

#[test]
fn a_body_that_trickles_is_cut_at_the_deadline() {
    let served = served();
    let mut stream = connect(served.server.addr());
    let head =
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nce-type: t\r\ncontent-length: 100000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let trickle = std::thread::spawn(move || {
        while writer.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let begun = Instant::now();
    assert_eq!(read(&mut stream, false).status, 408);
    assert!(begun.elapsed() < DEADLINE + SLACK, "{:?}", begun.elapsed());
    trickle.join().unwrap();
    assert_eq!(served.bus.begun(), 0);
}

#[test]
fn a_head_that_trickles_is_cut_at_the_deadline() {
    let served = served();
    let mut stream = connect(served.server.addr());
    stream.write_all(b"POST /v1/messages HTTP/1.1\r\nhost: local").unwrap();
    let reply = read(&mut stream, false);
    assert_eq!(reply.status, 408);
    let mut rest = Vec::new();
    assert!(stream.read_to_end(&mut rest).is_ok() && rest.is_empty());
}

#[test]
fn a_verb_that_does_not_answer_is_503() {
    let served = served();
    *served.bus.hangs.lock().unwrap() = true;
    for path in ["/v1/queues", "/v1/dead", "/v1/messages/priority"] {
        let reply = served.get(path);
        assert_eq!(
            (reply.status, reply.json()["class"].as_str().unwrap().to_owned()),
            (503, "unknown".to_owned())
        );
    }
    let ready = served.get("/readyz");
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["reasons"][0], "the bus does not answer");
    assert_eq!(served.get("/livez").status, 200);
    assert_eq!(served.get("/metrics").status, 200);
}

#[test]
fn long_verbs_that_go_on_are_bounded() {
    let served = served();
    *served.bus.hangs.lock().unwrap() = true;
    let replay = Request::new("POST", "/v1/dead/replay?all=true");
    let statuses: Vec<u16> = (0..5).map(|_| served.send(&replay).status).collect();
    assert_eq!(statuses, [503, 503, 503, 503, 429]);
}

#[test]
fn slow_clients_do_not_keep_others_waiting() {
    let served = Served::new();
    let slow: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = connect(served.server.addr());
            stream.write_all(b"POST /v1/messages HTTP/1.1\r\nhost: lo").unwrap();
            stream
        })
        .collect();
    let begun = Instant::now();
    let event = Request::post("text/plain", "x").header("ce-type", "t");
    until("messages pass", || served.send(&event).status == 202);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    drop(slow);
}

#[test]
fn a_later_head_that_trickles_is_cut() {
    let served = Served::with(|config| {
        config.deadline = DEADLINE;
        config.keep_alive = DEADLINE;
    });
    let mut stream = connect(served.server.addr());
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    assert_eq!(read(&mut stream, false).status, 200);
    let mut writer = stream.try_clone().unwrap();
    writer.write_all(b"GET /livez HTTP/1.1\r\nx: ").unwrap();
    let trickle = std::thread::spawn(move || {
        let begun = Instant::now();
        while writer.write_all(b"x").is_ok() && begun.elapsed() < 2 * SLACK {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let begun = Instant::now();
    let mut rest = Vec::new();
    let read = stream.read_to_end(&mut rest);
    assert!(begun.elapsed() < SLACK, "{:?}", begun.elapsed());
    assert!(read.is_err() || rest.is_empty(), "{rest:?}");
    trickle.join().unwrap();
}

#[test]
fn a_client_that_does_not_read_its_answer_holds_no_memory() {
    let served = Served::with(|config| config.deadline = Duration::from_secs(15));
    let id = "i".repeat(10_000);
    let body = format!("{{\"type\":\"t\",\"id\":\"{id}\"}}\n").repeat(3000);
    let mut stream = connect(served.server.addr());
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    until("the results are held", || served.held() > 20_000_000);
    until("the results are let go", || served.held() == 0);
    drop(stream);
}
