//! Deliveries by each kind of endpoint, to peers that behave as peers do.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Bed, Daemon, Peer, until};

const LIMIT: Duration = Duration::from_secs(60);
/// How long the slow peers work, at the least, before they answer.
const WORK: Duration = Duration::from_secs(3);
/// How long the stalling peer stands; longer than any of its deliveries may take.
const STALL: Duration = Duration::from_secs(30);

/// A bus with one endpoint, which everything is routed to.
fn bed(endpoint: &str) -> Bed {
    Bed::new(&format!("[endpoints.it]\n{endpoint}\n[[routes]]\ntype = [\"#\"]\nto = [\"it\"]\n"))
}

fn http(peer: &Peer, mode: &str) -> Bed {
    bed(&format!(
        "kind = \"http\"\nurl = \"{}\"\nmode = \"{mode}\"\ntimeout = \"30s\"\n\
         retry = {{ attempts = 10, first = \"200ms\", max = \"1s\" }}",
        peer.url()
    ))
}

fn publish(daemon: &Daemon, id: &str) {
    daemon.publish(&format!(r#"{{"id":"{id}","type":"item.new","data":{{"of":"{id}"}}}}"#));
}

/// The figures of the one endpoint: delivered, failed.
fn figures(daemon: &Daemon) -> (u64, u64) {
    let row = daemon.endpoint("it");
    (row["delivered"].as_u64().unwrap(), row["failed"].as_u64().unwrap())
}

/// Works before it answers, and not less than until it may end; records what it could finish.
fn worker(may_end: Arc<AtomicBool>) -> Peer {
    Peer::scripted(move |conversation, record| {
        while let Some(arrived) = conversation.read() {
            let begun = Instant::now();
            while begun.elapsed() < WORK || !may_end.load(Ordering::SeqCst) {
                // A client that goes while the work is under way ends the work.
                if conversation.ended_within(Duration::from_millis(100)) {
                    return;
                }
            }
            record(arrived);
            if conversation.answer(200).is_err() {
                return;
            }
        }
    })
}

#[test]
fn a_peer_that_works_before_it_answers_is_waited_for() {
    let peer = worker(Arc::new(AtomicBool::new(true)));
    let bed = http(&peer, "wait");
    let daemon = bed.start();
    let begun = Instant::now();
    publish(&daemon, "1");
    daemon.drain(LIMIT);
    assert!(begun.elapsed() >= WORK, "settled before the peer had answered");
    assert_eq!((figures(&daemon), peer.count()), ((1, 0), 1));
}

#[test]
fn a_forgotten_peer_completes_its_work_and_holds_no_worker() {
    let may_end = Arc::new(AtomicBool::new(false));
    let peer = worker(Arc::clone(&may_end));
    let bed = http(&peer, "forget");
    let daemon = bed.start();
    publish(&daemon, "1");
    daemon.drain(LIMIT);
    assert_eq!(peer.count(), 0, "the answer was waited for");
    assert_eq!(figures(&daemon), (1, 0));
    may_end.store(true, Ordering::SeqCst);
    until(LIMIT, "the peer completes its work", || peer.count() == 1);
    assert_eq!(peer.arrived()[0].body, br#"{"of":"1"}"#);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(peer.connections(), 1, "it was delivered again");
}

#[test]
fn a_peer_that_stalls_in_the_body_is_tried_again_in_both_modes() {
    for mode in ["wait", "forget"] {
        // The first connection is not read beyond the head, so that the body fills it and stands.
        let peer = Peer::narrow(|conversation, record| {
            if conversation.number() == 1 {
                conversation.read_head();
                conversation.stand(STALL);
                return;
            }
            while let Some(arrived) = conversation.read() {
                record(arrived);
                conversation.answer(204).ok();
            }
        });
        let bed = http(&peer, mode);
        let daemon = bed.start_with(&["--set", "endpoints.it.timeout=2s"]);
        let data = "x".repeat(900_000);
        daemon.publish(&format!(r#"{{"id":"1","type":"item.new","data":"{data}"}}"#));
        until(LIMIT, "it arrives", || peer.count() == 1);
        daemon.drain(LIMIT);
        let (delivered, failed) = figures(&daemon);
        assert!(delivered == 1 && failed >= 1, "{mode}: {:?}", daemon.endpoint("it"));
        assert_eq!(peer.arrived()[0].body.len(), data.len() + 2, "{mode}");
    }
}

#[test]
fn a_kept_connection_that_went_stale_costs_no_message() {
    for mode in ["wait", "forget"] {
        // Each connection is closed after its first answer, without a word of it in the answer.
        let peer = Peer::scripted(|conversation, record| {
            if let Some(arrived) = conversation.read() {
                record(arrived);
                conversation.answer(200).ok();
            }
        });
        let bed = http(&peer, mode);
        let daemon = bed.start();
        for number in 1..=5 {
            publish(&daemon, &number.to_string());
            until(LIMIT, format!("{mode}: {number} arrives"), || peer.count() >= number);
            // Long enough for the peer's end of the connection to be seen, or not.
            thread::sleep(Duration::from_millis(10 * number as u64));
        }
        daemon.drain(LIMIT);
        let mut ids: Vec<_> = peer.arrived().iter().map(|arrived| arrived.id()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids, ["1", "2", "3", "4", "5"], "{mode}");
        assert_eq!(figures(&daemon).0, 5, "{mode}");
    }
}

#[test]
fn a_peer_that_refuses_for_good_makes_a_dead_letter_with_its_reason() {
    let peer = Peer::answering(|arrived| Some(if arrived.id() == "bad" { 400 } else { 200 }));
    let bed = http(&peer, "wait");
    let daemon = bed.start();
    publish(&daemon, "bad");
    publish(&daemon, "good");
    daemon.drain(LIMIT);
    let dead = daemon.get("/v1/dead");
    let row = &dead[0];
    assert_eq!((&row["id"], &row["destination"]), (&json!("bad"), &json!("it")), "{dead}");
    assert!(row["reason"].as_str().unwrap().starts_with("error:"), "{dead}");
    assert_eq!(dead.as_array().unwrap().len(), 1);
}

#[test]
fn a_program_gets_the_data_on_its_standard_input_and_is_tried_again() {
    // Fails at its first run.
    let script =
        "cat > got.new && test -e tried || { touch tried; exit 75; }; mv got.new got-$CE_ID-$CE_ACCOUNT";
    let bed = bed(&format!(
        "kind = \"exec\"\ncommand = [\"sh\", \"-c\", \"{script}\"]\n\
         retry = {{ attempts = 3, first = \"100ms\" }}"
    ));
    let daemon = bed.start();
    daemon.publish(r#"{"id":"1","type":"item.new","account":"acme","data":{"b":1.50}}"#);
    daemon.drain(LIMIT);
    assert_eq!(figures(&daemon), (1, 1));
    assert_eq!(fs::read_to_string(bed.path("got-1-acme")).unwrap(), r#"{"b":1.50}"#);
}

#[test]
fn a_queue_gets_the_message_whole_and_keeps_it() {
    let bed = bed("kind = \"queue\"\nqueue = \"billing\"");
    let daemon = bed.start();
    daemon.publish(r#"{"id":"1","type":"item.new","account":"acme","data":{"b":1.50}}"#);
    daemon.drain(LIMIT);
    let report = daemon.get("/v1/queues");
    let billing = report["queues"].as_array().unwrap().iter().find(|row| row["queue"] == "billing");
    assert_eq!(billing.map(|row| &row["ready"]), Some(&json!(1)), "{report}");
    daemon.kill();
    let rows = bed.ask(&["peek", "billing", "-c", "busway.toml"]);
    assert_eq!((&rows[0]["id"], &rows[0]["account"]), (&json!("1"), &json!("acme")), "{rows}");
    assert_eq!(rows[0]["bytes"], 10);
}

#[test]
fn a_pause_survives_a_kill_and_what_waits_arrives_after_it() {
    let peer = Peer::answering(|_| Some(200));
    let bed = http(&peer, "wait");
    let daemon = bed.start();
    bed.ask(&["endpoints", "pause", "it"]);
    publish(&daemon, "1");
    until(LIMIT, "it is parked", || daemon.endpoint("it")["waiting"] == 1);
    // Killed before its source is settled, it would come again and wait twice.
    until(LIMIT, "its source is settled", || daemon.waiting() == 1);
    daemon.kill();
    let daemon = bed.start();
    let row = daemon.endpoint("it");
    assert_eq!((&row["state"], &row["waiting"]), (&json!("paused"), &json!(1)), "{row}");
    publish(&daemon, "2");
    until(LIMIT, "both are parked", || daemon.endpoint("it")["waiting"] == 2);
    assert_eq!(peer.count(), 0);
    bed.ask(&["endpoints", "resume", "it"]);
    daemon.drain(LIMIT);
    assert_eq!((figures(&daemon), peer.count()), ((2, 0), 2));
}
