//! kill -9 of the daemon at random moments: what was answered with 202 is delivered, and a kill brings no
//! more repeats than the process had messages in hand.

mod judge;
mod order;
mod publisher;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use self::judge::Judge;
use self::publisher::{Board, Publisher};
use crate::harness::{Bed, Daemon, long, read_lines, seed, until};

const MESSAGES: u64 = 50_000;
const KILLS: u64 = 20;
const MESSAGES_LONG: u64 = 400_000;
const KILLS_LONG: u64 = 150;
const PUBLISHERS: u64 = 4;
/// `flow.credit`: messages in the process at once.
const WINDOW: u64 = 1024;
/// How long the publishers may get nothing stored.
const STALL: Duration = Duration::from_secs(60);

const CONFIG: &str = r#"
[endpoints.audit]
kind = "file"
path = "var/audit.jsonl"
[[routes]]
type = ["item.*"]
to = ["audit"]
"#;

#[test]
fn what_was_accepted_is_delivered_through_twenty_kills() {
    let (messages, kills) = if long() { (MESSAGES_LONG, KILLS_LONG) } else { (MESSAGES, KILLS) };
    let mut random = Rng::with_seed(seed());
    let bed = Bed::new(CONFIG);
    let file = bed.path("var/audit.jsonl");
    let board = Arc::new(Board::default());
    let mut daemon = bed.start();
    board.open(daemon.address());
    let begun = Instant::now();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|number| {
            let numbers = (number * messages / PUBLISHERS)..((number + 1) * messages / PUBLISHERS);
            let publisher = Publisher::new(Arc::clone(&board), random.fork());
            thread::spawn(move || publisher.publish(numbers))
        })
        .collect();

    let mut ends = Vec::new();
    for kill in 0..kills {
        // Each in its own part of the way, so that all come while messages are published.
        let after = (kill * messages + random.u64(0..messages * 9 / 10)) / kills;
        until_stored(&board, &daemon, after);
        thread::sleep(Duration::from_micros(random.u64(0..30_000)));
        daemon.kill();
        ends.push(end_of_lines(&file));
        daemon = bed.start();
        board.open(daemon.address());
    }
    until_stored(&board, &daemon, messages);
    for publisher in publishers {
        publisher.join().unwrap();
    }
    daemon.drain(Duration::from_secs(120));
    assert_eq!(daemon.get("/v1/dead").as_array().unwrap().len(), 0);
    assert_eq!(daemon.stop(), 0);

    let judged = Judge { board: &board, ends: &ends, window: WINDOW }.judge(&read_lines(&file));
    println!("{kills} kills in {:?}: {}", begun.elapsed(), judged.unwrap_or_else(|wrong| panic!("{wrong}")));
}

/// Where the whole lines end: a kill within a write leaves a torn one, which the next start takes away.
fn end_of_lines(file: &Path) -> u64 {
    let bytes = fs::read(file).unwrap_or_default();
    bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last as u64 + 1)
}

/// Waits until so many messages were told to be stored.
#[track_caller]
fn until_stored(board: &Board, daemon: &Daemon, count: u64) {
    let mut last = board.stored();
    while last < count {
        until(STALL, format!("more is stored than {last} of {count}"), || {
            assert!(!board.has_failed(), "a publisher failed");
            board.stored() > last
        });
        last = board.stored();
    }
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}
