//! A day in small: mixed load with reloads, pauses, restarts, kill -9 and endpoints that flap. Nothing is
//! lost, order holds, and memory, open files and the store's size stay flat. A minute long; half an hour in
//! the long form.

mod gauge;
mod load;
mod peers;
mod trouble;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::Value;

use self::gauge::Gauge;
use self::load::{Board, Publisher};
use self::peers::Peers;
use self::trouble::{Settings, Trouble};
use crate::harness::{Bed, long, seed, until};

const LENGTH: Duration = Duration::from_secs(60);
const LENGTH_LONG: Duration = Duration::from_secs(30 * 60);
const PUBLISHERS: u64 = 3;
/// Between two looks at what the process takes.
const EVERY: Duration = Duration::from_millis(200);
/// How long it may take until all is delivered once the trouble is over.
const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn a_day_in_small_loses_nothing_and_grows_nothing() {
    let length = if long() { LENGTH_LONG } else { LENGTH };
    let mut random = Rng::with_seed(seed());
    let board = Arc::new(Board::default());
    let peers = Peers::start(&board);
    let bed = Bed::new("");
    let settings = Settings::new(&peers);
    bed.configure(&settings.text(&mut random));
    let daemon = bed.start();
    board.open(daemon.address());
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|number| {
            let publisher = Publisher::new(Arc::clone(&board), number, random.fork());
            thread::spawn(move || publisher.publish())
        })
        .collect();

    let (begun, mut gauge) = (Instant::now(), Gauge::new(&bed));
    let mut trouble = Trouble::new(&bed, settings, Arc::clone(&board), daemon, random);
    while begun.elapsed() < length {
        assert!(publishers.iter().all(|publisher| !publisher.is_finished()), "a publisher failed");
        trouble.make_some();
        gauge.look(begun.elapsed(), trouble.daemon());
        thread::sleep(EVERY);
    }
    board.stop();
    peers.heal();
    let (daemon, made) = trouble.end();
    for publisher in publishers {
        publisher.join().unwrap();
    }
    daemon.drain(LIMIT);
    assert_eq!(daemon.get("/v1/dead"), Value::Array(Vec::new()));
    assert_eq!(daemon.stop(), 0);
    count_lines(&bed, &board);

    let (total, order) = (board.ledger.verdict(), board.order.verdict());
    println!("{length:?}: {total}; {order}");
    println!("{made}");
    println!("{gauge}");
    total.assert_valid();
    assert!(order.is_valid(), "{order}");
    gauge.assert_flat(length);
    let stored = |bed: &Bed| gauge::size(&bed.path("var/queues"));
    println!("the store at the end: {} bytes", stored(&bed));
    let daemon = bed.start();
    until(LIMIT, "what was acknowledged is given back", || stored(&bed) < gauge::EMPTY);
    assert_eq!(daemon.stop(), 0);
}

/// Counts what the file endpoint wrote, line by line: they may be many.
fn count_lines(bed: &Bed, board: &Board) {
    let file = BufReader::new(File::open(bed.path("var/audit.jsonl")).unwrap());
    for line in file.lines() {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        board.delivered("audit", event["id"].as_str().unwrap());
    }
}
