//! A backlog for an endpoint that takes nothing: what it costs in memory and time, and what it costs the
//! other endpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Bed, Daemon, Request, Stopwatch, Usage, long, percentile, until};

const MESSAGES: u64 = 120_000;
const MESSAGES_LONG: u64 = 1_000_000;
const SETTLE: Duration = Duration::from_secs(5);
const SETTLE_LONG: Duration = Duration::from_secs(60);
/// How long the rest of the work may take once all is parked or started.
const LIMIT: Duration = Duration::from_secs(60);
/// What a parked message may cost, and what they may all cost besides.
const BYTES_EACH: u64 = 200;
const BYTES_BESIDES: u64 = 50_000_000;
/// The part of a core that a bus may take which has nothing to do.
const IDLE_PART: f64 = 0.1;
const LINES: u64 = 4_000;
const PUBLISHERS: u64 = 2;
/// Deliveries to the other endpoint whose time is taken, and how often one is published.
const PROBES: usize = 400;
const EVERY: Duration = Duration::from_millis(10);

#[test]
fn a_backlog_for_a_closed_endpoint_is_small_quiet_and_nobody_elses_matter() {
    let (messages, settle) = if long() { (MESSAGES_LONG, SETTLE_LONG) } else { (MESSAGES, SETTLE) };
    let watch = Stopwatch::new();
    let bed = Bed::new(&format!(
        r#"
[endpoints.shut]
kind = "http"
url = "http://127.0.0.1:9/"
[endpoints.open]
kind = "http"
url = "{}"
[[routes]]
type = ["bulk"]
to = ["shut"]
[[routes]]
type = ["probe"]
to = ["open"]
"#,
        watch.url()
    ));
    let daemon = bed.start();
    bed.ask(&["endpoints", "pause", "shut"]);
    let empty = daemon.usage();
    let before = percentile(&watch.measure(&daemon, PROBES, EVERY), 0.99);

    let begun = Instant::now();
    publish(&daemon, messages);
    until(Duration::from_secs(300), "all is parked", || daemon.endpoint("shut")["waiting"] == messages);
    let parked = begun.elapsed();
    until(LIMIT, "their sources are settled", || daemon.waiting() == messages);
    let after_parking = settled(&daemon, settle);
    let after = watch.quietest_p99(&daemon, PROBES, EVERY);
    assert_eq!(daemon.endpoint("shut")["waiting"], messages);
    assert_eq!(daemon.stop(), 0);

    let begun = Instant::now();
    let daemon = bed.start();
    let started = begun.elapsed();
    assert_eq!(daemon.endpoint("shut")["waiting"], messages);
    let after_start = settled(&daemon, settle);

    println!("{messages} parked in {parked:?}, started with them in {started:?}; empty: {empty:?}");
    println!("the other endpoint's p99: {before:?} before, {after:?} with the backlog");
    for (when, stood) in [("parked", &after_parking), ("started", &after_start)] {
        let grown = stood.usage.resident.saturating_sub(empty.resident);
        println!(
            "{when}: {:?}, {} bytes each, {:.1} % of a core",
            stood.usage,
            grown / messages,
            stood.part * 100.0
        );
        assert!(grown <= messages * BYTES_EACH + BYTES_BESIDES, "{when}: {grown} bytes");
        assert!(stood.part < IDLE_PART, "{when}: {} of a core", stood.part);
    }
    // Far over what a shared machine does to a p99, far under what a scan of the backlog would.
    assert!(after < before * 5 + Duration::from_millis(100), "{before:?} before, {after:?} after");
}

/// How a process stands once it was left alone.
struct Stood {
    usage: Usage,
    /// Of a core, meanwhile.
    part: f64,
}

/// How it stands after the first window in which it was idle, or after the last that was looked at.
fn settled(daemon: &Daemon, settle: Duration) -> Stood {
    let deadline = Instant::now() + LIMIT;
    loop {
        let before = daemon.usage();
        let begun = Instant::now();
        thread::sleep(settle);
        let usage = daemon.usage();
        let busy = usage.busy.saturating_sub(before.busy);
        let part = busy.as_secs_f64() / begun.elapsed().as_secs_f64();
        if part < IDLE_PART || Instant::now() >= deadline {
            return Stood { usage, part };
        }
    }
}

fn publish(daemon: &Daemon, messages: u64) {
    let next = Arc::new(AtomicU64::new(0));
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|_| {
            let (mut client, next) = (daemon.client(), Arc::clone(&next));
            thread::spawn(move || {
                loop {
                    let from = next.fetch_add(LINES, Ordering::SeqCst);
                    if from >= messages {
                        return;
                    }
                    let lines: Vec<_> = (from..messages.min(from + LINES)).map(line).collect();
                    let reply = client.send(&Request::lines(lines.concat())).unwrap();
                    assert_eq!(reply.status, 202, "{reply:?}");
                }
            })
        })
        .collect();
    for publisher in publishers {
        publisher.join().unwrap();
    }
}

fn line(number: u64) -> String {
    let account = number % 100;
    format!(
        "{{\"id\":\"{number:036}\",\"type\":\"bulk\",\"account\":\"account-{account}\",\
         \"data\":{{\"item\":{number},\"text\":\"as long as a small change of an item often is\"}}}}\n"
    )
}
