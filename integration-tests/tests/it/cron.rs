//! `run --once` as a crontab calls it: again and again, over each other, killed now and then.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};

use crate::harness::{Answer, Bed, Conversation, Peer, Verb, long, seed, until};

const LIMIT: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_millis(500);
const CALLS: usize = 24;
const CALLS_LONG: usize = 600;
const EACH: usize = 20;
const AT_MOST: u64 = 60;

fn config(url: &str, more: &str) -> String {
    format!(
        "[endpoints.peer]\nkind = \"http\"\nurl = \"{url}\"\n{more}\n[[routes]]\ntype = [\"#\"]\nto = [\"peer\"]\n"
    )
}

fn publish(bed: &Bed, ids: impl Iterator<Item = String>) {
    let lines: String = ids.map(|id| format!("{{\"id\":\"{id}\",\"type\":\"x\",\"data\":1}}\n")).collect();
    let answer = bed.verb_reading(&["publish", "--jsonl", "-"], &lines);
    assert_eq!(answer.code, 0, "{answer:?}");
}

fn once(bed: &Bed) -> Value {
    bed.ask(&["run", "--once"])
}

fn state(bed: &Bed) -> Value {
    bed.ask(&["endpoints", "list"])[0]["state"].clone()
}

/// One that refuses the first requests with this head.
fn refusing(requests: u64, head: &'static str) -> Peer {
    let seen = AtomicU64::new(0);
    Peer::scripted(move |conversation: &mut Conversation, record| {
        while let Some(arrived) = conversation.read() {
            record(arrived);
            let refused = seen.fetch_add(1, Ordering::SeqCst) < requests;
            let head = if refused { head } else { "HTTP/1.1 200 OK\r\n" };
            if conversation.write(&format!("{head}content-length: 0\r\n\r\n")).is_err() {
                return;
            }
        }
    })
}

/// Calls overlap, their peer fails by turns, every fourth is killed: each of the others succeeds, all is
/// delivered, and only what a killed one had in hand comes twice.
#[test]
fn a_crontab_that_calls_too_often_loses_and_repeats_nothing() {
    let mut random = Rng::with_seed(seed());
    let requests = AtomicU64::new(0);
    let delivered = Arc::new(Mutex::new(HashMap::<String, usize>::new()));
    let board = Arc::clone(&delivered);
    let peer = Peer::answering(move |arrived| {
        let request = requests.fetch_add(1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(15));
        if request % 40 < 8 {
            return if request.is_multiple_of(2) { Some(503) } else { None };
        }
        *board.lock().unwrap().entry(arrived.id()).or_default() += 1;
        Some(200)
    });
    let bed = Bed::new(&config(
        &peer.url(),
        "concurrency = { max = 4 }\nretry = { attempts = 200, first = \"100ms\", max = \"1s\" }",
    ));
    let calls = if long() { CALLS_LONG } else { CALLS };
    let (mut running, mut killed, mut received) = (Vec::<Verb>::new(), 0, 0);
    let ended = |answer: Answer| {
        assert_eq!(answer.code, 0, "{answer:?}");
        let count = answer.json()["received"].as_u64().unwrap();
        assert!(count <= AT_MOST, "more than the limit: {answer:?}");
        count
    };
    for call in 0..calls {
        let next = Instant::now() + EVERY;
        publish(&bed, (0..EACH).map(|n| format!("{call}-{n}")));
        let limit = AT_MOST.to_string();
        running.push(bed.begin(&["run", "--once", "--limit", &limit, "--json"], ""));
        if call % 4 == 3 {
            thread::sleep(Duration::from_millis(random.u64(0..200)));
            let one = random.usize(0..running.len());
            killed += usize::from(running.swap_remove(one).kill());
        }
        let (done, rest): (Vec<_>, Vec<_>) = running.into_iter().partition(Verb::has_ended);
        received += done.into_iter().map(|verb| ended(verb.end())).sum::<u64>();
        running = rest;
        // The crontab's clock.
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    received += running.into_iter().map(|verb| ended(verb.end())).sum::<u64>();
    let all = calls * EACH;
    until(LIMIT * 2, "everything is delivered", || {
        once(&bed);
        delivered.lock().unwrap().len() == all
    });
    let twice = delivered.lock().unwrap().values().filter(|times| **times > 1).count();
    println!(
        "{calls} calls, {killed} killed: {all} messages, received {received}, {twice} of them delivered twice"
    );
    assert!(twice <= killed * AT_MOST as usize, "{twice} delivered twice by {killed} kills");
    assert!(killed > 0, "none was killed while it ran");
    assert_eq!(bed.ask(&["dead", "list"]), json!([]));
}

#[test]
fn a_killed_call_leaves_no_lock_behind() {
    let peer = Peer::scripted(|conversation, record| {
        // The first connection is never answered.
        while let Some(arrived) = conversation.read() {
            record(arrived);
            if conversation.number() == 1 {
                conversation.stand(LIMIT);
            }
            if conversation.answer(200).is_err() {
                return;
            }
        }
    });
    let bed = Bed::new(&config(&peer.url(), ""));
    publish(&bed, std::iter::once("1".to_owned()));
    let call = bed.begin(&["run", "--once"], "");
    until(LIMIT, "the delivery is under way", || peer.count() == 1);
    assert!(call.kill());
    let report = once(&bed);
    assert_eq!((&report["received"], &report["delivered"]), (&json!(1), &json!(1)), "{report}");
    let ids: Vec<String> = peer.arrived().iter().map(|arrived| arrived.id()).collect();
    assert_eq!(ids, ["1", "1"]);
}

#[test]
fn retry_after_is_remembered_between_calls() {
    let peer = refusing(1, "HTTP/1.1 429 Too Many\r\nretry-after: 3600\r\n");
    let bed = Bed::new(&config(&peer.url(), "retry = { attempts = 9, first = \"10ms\", max = \"10ms\" }"));
    publish(&bed, std::iter::once("1".to_owned()));
    assert_eq!(once(&bed)["delivered"], 0);
    assert_eq!(peer.count(), 1);
    for call in 0..3 {
        publish(&bed, std::iter::once(format!("later-{call}")));
        let report = once(&bed);
        assert_eq!((&report["delivered"], &report["dead"]), (&json!(0), &json!(0)), "{report}");
        assert_eq!((peer.count(), state(&bed)), (1, json!("waiting")));
    }
    assert_eq!(bed.ask(&["endpoints", "list"])[0]["waiting"], 4);
}

/// The failures of calls that make few are counted together.
#[test]
fn a_breaker_counts_over_calls_and_stays_open_between_them() {
    let peer = refusing(12, "HTTP/1.1 500 Wrong\r\n");
    // A failed one does not come again while the test runs.
    let bed = Bed::new(&config(&peer.url(), "retry = { attempts = 9, first = \"1h\", max = \"1h\" }"));
    let mut call = 0;
    until(LIMIT, "the breaker is open", || {
        publish(&bed, (0..2).map(|n| format!("{call}-{n}")));
        once(&bed);
        call += 1;
        state(&bed) == "closed"
    });
    let before = peer.count();
    assert!((10..12).contains(&before), "it opened after {before} failures");
    until(LIMIT, "it tries again by one probe, which fails, then by one that succeeds", || {
        publish(&bed, std::iter::once(format!("probe-{call}")));
        once(&bed);
        call += 1;
        peer.count() > 12
    });
    until(LIMIT, "what waited is delivered", || {
        once(&bed);
        let row = bed.ask(&["endpoints", "list"])[0].clone();
        row["state"] == "open" && row["waiting"] == 12
    });
    assert_eq!(bed.ask(&["dead", "list"]), json!([]));
}
