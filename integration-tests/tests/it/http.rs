//! Messages in by HTTP, and what the interface shows.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Bed, Peer, Request, ids, read_lines, until};

const CONFIG: &str = r#"
[endpoints.audit]
kind = "file"
path = "var/audit.jsonl"
[[routes]]
type = ["item.*"]
to = ["audit"]
"#;

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
const LIMIT: Duration = Duration::from_secs(60);

/// Data whose key order and number text a careless parser would change.
const DATA: &str = r#"{"b":1.50,"a":[2,1e3]}"#;

fn forms(round: usize) -> [Request; 4] {
    let event =
        |form: &str| format!(r#"{{"id":"{form}-{round}","type":"item.new","account":"a","data":{DATA}}}"#);
    [
        Request::post("application/json", DATA)
            .header("ce-id", &format!("binary-{round}"))
            .header("ce-type", "item.new"),
        Request::post(STRUCTURED, event("structured")),
        Request::post(BATCH, format!("[{},{}]", event("batch-1"), event("batch-2"))),
        Request::lines(format!("{}\n{}", event("line-1"), event("line-2"))),
    ]
}

#[test]
fn what_is_answered_with_202_survives_a_kill_at_once_in_every_form() {
    const ROUNDS: usize = 4;
    let bed = Bed::new(CONFIG);
    let file = bed.path("var/audit.jsonl");
    let mut sent = Vec::new();
    for round in 0..ROUNDS {
        for request in forms(round) {
            let daemon = bed.start();
            let reply = daemon.send(&request);
            daemon.kill();
            assert_eq!(reply.status, 202, "{reply:?}");
            for result in reply.results() {
                assert_eq!(result["outcome"], "stored", "{reply:?}");
                sent.push(result["id"].as_str().unwrap().to_owned());
            }
        }
    }
    let daemon = bed.start();
    daemon.drain(LIMIT);
    assert_eq!(daemon.stop(), 0);
    let mut there = ids(&file);
    there.sort();
    there.dedup();
    sent.sort();
    assert_eq!(there, sent);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.lines().all(|line| line.contains(&format!("\"data\":{DATA}"))), "{text}");
}

#[test]
fn mistakes_are_answered_with_their_place_and_store_nothing() {
    let bed = Bed::new(CONFIG);
    let daemon = bed.start();
    let refused = |request: Request| {
        let reply = daemon.send(&request);
        assert_eq!(reply.status, 400, "{reply:?}");
        reply
    };
    let event = |id: &str| format!(r#"{{"id":"{id}","type":"item.new","data":1}}"#);
    let batch = refused(Request::post(BATCH, format!(r#"[{},{{"id":"x"}}]"#, event("b")))).json();
    assert_eq!((&batch["index"], &batch["attribute"]), (&json!(1), &json!("type")), "{batch}");
    let priority =
        Request::post("text/plain", "x").header("ce-type", "item.new").header("ce-bwpriority", "10");
    assert_eq!(refused(priority).json()["attribute"], "bwpriority");
    refused(Request::post(STRUCTURED, "{nonsense"));
    // Lines stand each for itself.
    let lines = refused(Request::lines(format!("{}\n{{\"id\":\"y\"}}\n{}\n", event("l1"), event("l3"))));
    let results = lines.results();
    let outcomes: Vec<_> = results.iter().map(|result| result["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["stored", "failed", "stored"], "{lines:?}");
    assert_eq!(results[1]["line"], 2);
    daemon.drain(LIMIT);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(ids(&bed.path("var/audit.jsonl")), ["l1", "l3"]);
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_comes_and_200_kib_are_not() {
    let bed = Bed::new(CONFIG);
    let daemon = bed.start();
    let mut stream = TcpStream::connect(daemon.address()).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let head = "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nce-type: item.new\r\n\
                content-type: text/plain\r\ncontent-length: 10000000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 413");
    let body = "x".repeat(200 * 1024);
    let reply = daemon.send(&Request::post("text/plain", body.clone()).header("ce-type", "item.new"));
    assert_eq!(reply.status, 202, "{reply:?}");
    daemon.drain(LIMIT);
    assert_eq!(read_lines(&bed.path("var/audit.jsonl"))[0].event["data"], body);
}

#[test]
fn a_request_is_answered_within_its_deadline_even_where_its_body_does_not_come() {
    let bed = Bed::new("");
    let daemon = bed.start_with(&["--set", "http.deadline=1s"]);
    let mut stream = TcpStream::connect(daemon.address()).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let begun = Instant::now();
    let head = "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nce-type: item.new\r\n\
                content-type: text/plain\r\ncontent-length: 100\r\n\r\nonly so much";
    stream.write_all(head.as_bytes()).unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 408");
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(15), "{took:?}");
}

#[test]
fn the_interface_shows_what_the_verbs_show() {
    let bed = Bed::new(CONFIG);
    let daemon = bed.start();
    daemon.publish(
        "{\"id\":\"1\",\"type\":\"item.new\",\"data\":1}\n{\"id\":\"2\",\"type\":\"other\",\"data\":2}",
    );
    daemon.drain(LIMIT);
    for (path, verb) in [
        ("/v1/dead", &["dead", "list"][..]),
        ("/v1/dead/2", &["dead", "show", "2"]),
        ("/v1/messages/dead", &["peek", "dead"]),
        ("/v1/endpoints", &["endpoints", "list"]),
        ("/v1/accounts", &["accounts", "list"]),
    ] {
        let (shown, told) = (daemon.get(path), bed.ask(verb));
        // The window goes on between the two.
        assert_eq!(without_share(shown), without_share(told), "{path}");
    }
    let (shown, told) = (daemon.get("/v1/queues"), bed.ask(&["queues"]));
    for report in [&shown, &told] {
        let dead = report["queues"].as_array().unwrap().iter().find(|row| row["queue"] == "dead").unwrap();
        assert_eq!((&dead["ready"], &dead["physical"]), (&json!(1), &json!("shop.dead")));
        assert_eq!(report["endpoints"][0]["delivered"], 1);
    }
    assert_eq!(daemon.get("/readyz"), json!({"ready": true, "reasons": []}));
    assert_eq!(daemon.send(&Request::get("/livez")).status, 200);
    let metrics = daemon.send(&Request::get("/metrics"));
    for line in [
        "busway_queue_ready{queue=\"dead\",transport=\"local\"} 1",
        "busway_delivered_total{bus=\"shop\",endpoint=\"audit\"} 1",
    ] {
        assert!(metrics.body.lines().any(|shown| shown == line), "{line} is not in {}", metrics.body);
    }
    assert_eq!(daemon.send(&Request::get("/v1/nothing")).status, 404);
    assert_eq!(daemon.send(&Request::get("/v1/dead/none")).status, 404);
}

fn without_share(mut rows: Value) -> Value {
    for row in rows.as_array_mut().into_iter().flatten() {
        if let Some(row) = row.as_object_mut() {
            row.remove("share");
        }
    }
    rows
}

#[test]
fn a_token_is_asked_for_everywhere_but_at_the_health_checks() {
    let bed = Bed::new("token = \"s3cret\"");
    let daemon = bed.start();
    for path in ["/livez", "/readyz"] {
        assert_eq!(daemon.send(&Request::get(path)).status, 200, "{path}");
    }
    let post = || Request::post("text/plain", "x").header("ce-type", "item.new");
    for request in [Request::get("/v1/queues"), Request::get("/metrics"), post()] {
        assert_eq!(daemon.send(&request.clone()).status, 401, "{request:?}");
        let wrong = request.clone().header("authorization", "Bearer s3cre");
        assert_eq!(daemon.send(&wrong).status, 401, "{request:?}");
        let right = daemon.send(&request.clone().header("authorization", "Bearer s3cret"));
        assert!(matches!(right.status, 200 | 202), "{request:?}: {right:?}");
    }
    assert!(!daemon.log().contains("s3cret"));
    let shown = bed.verb(&["config", "show", "-c", "busway.toml"]);
    assert!(shown.code == 0 && !shown.out.contains("s3cret"), "{shown:?}");
}

#[test]
fn an_address_beyond_this_host_needs_a_token() {
    let bed = Bed::new("");
    let open = ["run", "-c", "busway.toml", "--set", "http.listen=\"0.0.0.0:0\""];
    bed.verb(&open).fails(2, &["token"]);
}

#[test]
fn a_daemon_that_drains_takes_nothing_more_and_finishes_what_is_under_way() {
    // A delivery that takes a while holds the daemon back.
    let peer = Peer::answering(|_| {
        thread::sleep(Duration::from_secs(3));
        Some(200)
    });
    let bed = Bed::new(&format!(
        "[endpoints.slow]\nkind = \"http\"\nurl = \"{}\"\n[[routes]]\ntype = [\"#\"]\nto = [\"slow\"]\n",
        peer.url()
    ));
    let daemon = bed.start();
    daemon.publish(r#"{"id":"first","type":"x","data":1}"#);
    until(LIMIT, "the delivery is under way", || peer.count() == 1);
    daemon.signal(Signal::TERM);
    let mut accepted = 1;
    until(LIMIT, "it takes nothing more", || {
        let post = Request::post("text/plain", "x").header("ce-type", "y");
        let status = daemon.client().send(&post).map(|reply| reply.status);
        accepted += u64::from(matches!(status, Ok(202)));
        !matches!(status, Ok(202))
    });
    assert_eq!(daemon.end().code(), Some(0));
    // Nothing was left halfway: each was delivered once, or waits untouched.
    let mut there: Vec<_> = peer.arrived().iter().map(|arrived| arrived.id()).collect();
    assert!(there.contains(&"first".to_owned()));
    there.sort();
    there.dedup();
    assert_eq!(there.len(), peer.count());
    let left = bed.ask(&["queues"]);
    let ready = left["queues"][0]["ready"].as_u64().unwrap();
    assert_eq!(there.len() as u64 + ready, accepted, "{left}");
}

#[test]
fn a_reload_that_is_asked_for_says_what_it_did() {
    let route = "[endpoints.audit]\nkind = \"file\"\npath = \"var/audit.jsonl\"\n\
                 [[routes]]\ntype = [\"item.*\"]\nto = [\"audit\"]\n";
    let bed = Bed::new(route);
    let daemon = bed.start();
    let ask = |status: u16| {
        let reply = daemon.send(&Request::new("POST", "/v1/reload"));
        assert_eq!(reply.status, status, "{reply:?}");
        reply.json()
    };
    assert_eq!(ask(200), json!({"applied": [], "needs_restart": []}));
    bed.configure(&format!(
        "{route}[[routes]]\ntype = [\"new.*\"]\nto = [\"audit\"]\n[journal]\nkeep = \"1d\"\n"
    ));
    assert_eq!(ask(200), json!({"applied": ["routes"], "needs_restart": ["journal.keep"]}));
    bed.configure("[flow]\nworkres = 3\n");
    let refused = ask(400);
    assert!(refused["error"].as_str().unwrap().contains("workers"), "{refused}");
    daemon.publish(r#"{"id":"1","type":"new.x","data":1}"#);
    until(LIMIT, "the route that was added holds", || ids(&bed.path("var/audit.jsonl")) == ["1"]);
    daemon.drain(LIMIT);
    assert_eq!(daemon.stop(), 0);
}
