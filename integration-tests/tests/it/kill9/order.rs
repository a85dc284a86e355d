//! An ordered endpoint through kills: of two messages of a key, the later of which was published after the
//! earlier was told to be stored, the earlier arrives first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use busway_conformance::{Ledger, OrderChecker};
use fastrand::Rng;

use super::publisher::Board;
use crate::harness::{Bed, Client, Peer, Request, long, seed, until};

const KILLS: u64 = 8;
const KILLS_LONG: u64 = 60;
const KEYS: u64 = 40;
/// Messages of each key between two kills.
const ROUNDS: u64 = 25;

/// Takes a while, now and then refuses, and records what it took.
fn peer(seed: u64) -> Peer {
    let requests = AtomicU64::new(0);
    Peer::scripted(move |conversation, record| {
        while let Some(arrived) = conversation.read() {
            let mut random = Rng::with_seed(seed.wrapping_add(requests.fetch_add(1, Ordering::SeqCst)));
            thread::sleep(Duration::from_micros(random.u64(0..3_000)));
            let status = if random.u8(0..20) == 0 { 500 } else { 200 };
            if status == 200 {
                record(arrived);
            }
            if conversation.answer(status).is_err() {
                return;
            }
        }
    })
}

#[test]
fn order_holds_by_key_through_kills() {
    let kills = if long() { KILLS_LONG } else { KILLS };
    let mut random = Rng::with_seed(seed());
    let peer = peer(random.u64(..));
    let bed = Bed::new(&format!(
        "[endpoints.keeper]\nkind = \"http\"\nurl = \"{}\"\norder = \"partitionkey\"\n\
         retry = {{ attempts = 100, first = \"20ms\", max = \"100ms\" }}\n\
         [[routes]]\ntype = [\"item.*\"]\nto = [\"keeper\"]\n",
        peer.url()
    ));
    let (board, round) = (Arc::new(Board::default()), Arc::new(AtomicU64::new(0)));
    let mut daemon = bed.start();
    board.open(daemon.address());
    let failed = Arc::new(AtomicBool::new(true));
    let publisher = {
        let (board, round, failed) = (Arc::clone(&board), Arc::clone(&round), Arc::clone(&failed));
        thread::spawn(move || {
            for number in 0..kills * ROUNDS {
                publish_round(&board, number);
                round.store(number + 1, Ordering::SeqCst);
            }
            failed.store(false, Ordering::SeqCst);
        })
    };
    for kill in 0..kills {
        let after = kill * ROUNDS + random.u64(0..ROUNDS);
        until(Duration::from_secs(60), format!("round {after} is stored"), || {
            assert!(!publisher.is_finished() || !failed.load(Ordering::SeqCst), "the publisher failed");
            round.load(Ordering::SeqCst) >= after
        });
        thread::sleep(Duration::from_micros(random.u64(0..30_000)));
        daemon.kill();
        daemon = bed.start();
        board.open(daemon.address());
    }
    publisher.join().unwrap();
    daemon.drain(Duration::from_secs(120));
    assert_eq!(daemon.stop(), 0);

    let order = OrderChecker::new();
    for arrived in peer.arrived() {
        board.ledger.delivered(&arrived.id());
        let number = std::str::from_utf8(&arrived.body).unwrap().parse().unwrap();
        order.delivered(arrived.header("ce-partitionkey").unwrap(), number);
    }
    let (order, total) = (order.verdict(), board.ledger.verdict());
    println!("{kills} kills: {total}; {order}");
    total.assert_valid();
    assert!(order.is_valid(), "{order}");
}

/// Publishes the next message of every key, until all of them are told to be stored.
fn publish_round(board: &Board, round: u64) {
    let mut keys: Vec<u64> = (0..KEYS).collect();
    while !keys.is_empty() {
        let line = |key: &u64| {
            board.ledger.attempted(&id(*key, round));
            format!(
                "{{\"id\":\"{}\",\"type\":\"item.new\",\"account\":\"a{}\",\"partitionkey\":\"k{key}\",\
                 \"data\":{round}}}\n",
                id(*key, round),
                key % 5
            )
        };
        let lines: String = keys.iter().map(line).collect();
        match Client::new(board.address()).send(&Request::lines(lines)) {
            Ok(reply) => {
                let results = reply.results();
                keys.retain(|key| !is_stored(&board.ledger, &results, &id(*key, round)));
            }
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn id(key: u64, round: u64) -> String {
    format!("k{key}-{round}")
}

fn is_stored(ledger: &Ledger, results: &[serde_json::Value], id: &str) -> bool {
    let stored = results.iter().any(|result| result["id"] == id && result["outcome"] == "stored");
    if stored {
        ledger.acknowledged(id);
    }
    stored
}
