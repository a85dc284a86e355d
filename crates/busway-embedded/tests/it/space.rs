//! Disk and memory are given back.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use busway_core::transport::{Declare, Selector};
use busway_core::{Message, Outcome, Publication, Queue, Reason, Transport};
use busway_embedded::{EmbeddedConfig, EmbeddedTransport};

use crate::faults::Unsynced;
use crate::support::{Bench, ack, exactly, message, settle};

fn bytes_of(store: &Path) -> u64 {
    let files = std::fs::read_dir(store.join("segments")).unwrap();
    files.map(|file| file.unwrap().metadata().map_or(0, |found| found.len())).sum()
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn unsynced(change: impl FnOnce(&mut EmbeddedConfig)) -> (tempfile::TempDir, Arc<EmbeddedTransport>) {
    let home = tempfile::tempdir().unwrap();
    let mut config = EmbeddedConfig::new("local", "shop", home.path().join("store"));
    change(&mut config);
    let transport = EmbeddedTransport::open_on(config, Arc::new(Unsynced::default())).unwrap();
    (home, transport)
}

#[tokio::test]
async fn the_disk_is_given_back_once_messages_are_gone() {
    let (home, transport) = unsynced(|config| {
        config.segment_bytes = 1 << 20;
        config.garbage_bytes = 2 << 20;
        config.idle_garbage_bytes = 256 << 10;
    });
    let store = home.path().join("store");
    transport.declare(&[Queue::Priority], Declare::Create).await.unwrap();
    let reader = transport.receiver(&Queue::Priority, Default::default()).await.unwrap();
    let sender = transport.sender().await.unwrap();
    let mut most = 0;
    for round in 0..40 {
        let make = |n: usize| Message::new("t", ".".repeat(300)).id(format!("{round}-{n}"));
        let batch = (0..1000).map(|n| Publication::new(Queue::Priority, make(n))).collect();
        assert!(sender.publish(batch).await.iter().all(Result::is_ok));
        ack(&reader, exactly(&reader, 1000).await).await;
        most = most.max(bytes_of(&store));
    }
    assert!(most < 8 << 20, "{most} bytes at most while 18 MB went through");
    until("an idle store gives back nearly all", || bytes_of(&store) < 300 << 10).await;
}

#[tokio::test]
async fn a_small_store_is_laid_out_little_ahead_a_large_one_more_and_a_closed_one_not_at_all() {
    let (home, transport) = unsynced(|_| {});
    let store = home.path().join("store");
    transport.declare(&[Queue::Priority], Declare::Create).await.unwrap();
    let sender = transport.sender().await.unwrap();
    let put = async |count: usize| {
        let make = |n: usize| Message::new("t", ".".repeat(300)).id(n.to_string());
        let batch = (0..count).map(|n| Publication::new(Queue::Priority, make(n))).collect();
        assert!(sender.publish(batch).await.iter().all(Result::is_ok));
    };
    put(10).await;
    let small = bytes_of(&store);
    assert!((64 << 10..=80 << 10).contains(&small), "{small} bytes for ten messages");
    for _ in 0..100 {
        put(100).await;
    }
    let (mut before, mut step) = (bytes_of(&store), 0);
    for _ in 0..100 {
        put(100).await;
        step = step.max(bytes_of(&store) - before);
        before = bytes_of(&store);
    }
    assert!((1 << 20..=5 << 18).contains(&step), "a step of {step} bytes");
    transport.close().await.unwrap();
    let closed = bytes_of(&store);
    assert!(closed < before && closed < 20_010 * 500, "{closed} bytes, {before} before it was closed");
}

#[tokio::test]
async fn a_few_that_stay_do_not_keep_the_rest_on_the_disk_and_survive_their_moves() {
    let (home, transport) = unsynced(|config| {
        config.segment_bytes = 256 << 10;
        config.garbage_bytes = 512 << 10;
        config.idle_garbage_bytes = 256 << 10;
    });
    let store = home.path().join("store");
    transport.declare(&[Queue::Priority, Queue::Delayed], Declare::Create).await.unwrap();
    let reader = transport.receiver(&Queue::Priority, Default::default()).await.unwrap();
    let sender = transport.sender().await.unwrap();
    let mut kept = Vec::new();
    for round in 0..60 {
        let mut batch = vec![];
        for n in 0..100 {
            let message = Message::new("t", ".".repeat(400)).id(format!("{round}-{n}"));
            let parked = n % 50 == 7;
            let queue = if parked { Queue::Delayed } else { Queue::Priority };
            if parked {
                kept.push(message.clone());
            }
            batch.push(Publication::new(queue, message));
        }
        assert!(sender.publish(batch).await.iter().all(Result::is_ok));
        ack(&reader, exactly(&reader, 98).await).await;
    }
    until("the disk is given back", || bytes_of(&store) < 700 << 10).await;
    let rows = transport.peek(&Queue::Delayed, &Selector::All, 0, 1000).await.unwrap();
    assert_eq!(rows.into_iter().map(|row| row.message).collect::<Vec<_>>(), kept);
    transport.close().await.unwrap();
    let config = EmbeddedConfig::new("local", "shop", &store);
    let again = EmbeddedTransport::open(config).unwrap();
    let rows = again.peek(&Queue::Delayed, &Selector::All, 0, 1000).await.unwrap();
    assert_eq!(rows.into_iter().map(|row| row.message).collect::<Vec<_>>(), kept);
    let depth = again.inspect(&Queue::Priority, &Selector::All).await.unwrap();
    assert_eq!((depth.ready, depth.bytes), (Some(0), Some(0)), "nothing comes back to life");
}

#[tokio::test]
async fn a_message_that_waited_before_it_was_moved_waits_though_its_first_file_is_still_there() {
    let (home, transport) = unsynced(|config| {
        config.segment_bytes = 64 << 10;
        config.garbage_bytes = 64 << 10;
        config.idle_garbage_bytes = 16 << 10;
    });
    let store = home.path().join("store");
    let segment = |id: u32| store.join(format!("segments/{id:08}.log"));
    transport.declare(&[Queue::Priority], Declare::Create).await.unwrap();
    let sender = transport.sender().await.unwrap();
    let put = async |id: &str| {
        let message = Message::new("t", ".".repeat(1500)).id(id);
        sender.publish(vec![Publication::new(Queue::Priority, message)]).await.remove(0).unwrap();
    };
    let reader = transport.receiver(&Queue::Priority, Default::default()).await.unwrap();
    let mut others = 0;
    put("waits").await;
    while !segment(2).exists() {
        put("other").await;
        others += 1;
    }
    let first = std::fs::read(segment(1)).unwrap();
    let after = Duration::from_secs(3600);
    settle(&reader, exactly(&reader, 1).await, Outcome::Retry { after, reason: Reason::error("x") }).await;
    while !segment(3).exists() {
        put("other").await;
        others += 1;
    }
    ack(&reader, exactly(&reader, others).await).await;
    until("the files are cleaned", || !segment(1).exists() && !segment(2).exists()).await;
    transport.close().await.unwrap();
    // As if its removal had failed.
    std::fs::write(segment(1), first).unwrap();
    let again = EmbeddedTransport::open(EmbeddedConfig::new("local", "shop", &store)).unwrap();
    let depth = again.inspect(&Queue::Priority, &Selector::All).await.unwrap();
    assert_eq!((depth.ready, depth.delayed), (Some(0), Some(1)));
    let rows = again.peek(&Queue::Priority, &Selector::All, 0, 10).await.unwrap();
    assert_eq!((rows[0].message.id.as_str(), rows[0].message.attempt), ("waits", 1));
    assert_eq!(rows[0].message.reason, Some(Reason::error("x")));
}

#[tokio::test]
async fn a_parked_message_costs_less_than_two_hundred_bytes_of_memory() {
    const MESSAGES: usize = 200_000;
    if std::env::var_os("BUSWAY_MEASURE").is_none() {
        // Memory is measured in a process of its own, in which nothing else happens.
        let test = "space::a_parked_message_costs_less_than_two_hundred_bytes_of_memory";
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env("BUSWAY_MEASURE", "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&child.stdout).into_owned();
        assert!(child.status.success(), "{text}{}", String::from_utf8_lossy(&child.stderr));
        return;
    }
    let (home, transport) = unsynced(|_| {});
    transport.declare(&[Queue::Delayed], Declare::Create).await.unwrap();
    let sender = transport.sender().await.unwrap();
    let before = resident();
    let due = busway_core::clock::now_ms() + 3_600_000;
    for round in 0..MESSAGES / 1000 {
        let make = |n: usize| {
            let mut message =
                Message::new("item.updated", "{\"n\":1}").account(format!("account-{}", n % 100));
            message.destination = Some(format!("endpoint-{}", n % 10));
            message.deliver_at = Some(due + (round * 1000 + n) as u64);
            message.accepted = Some(due - (round * 1000 + n) as u64);
            let mut publication = Publication::new(Queue::Delayed, message);
            let key = (round * 1000 + n) as u64;
            publication.group = Some(busway_core::transport::Group { key, position: Some(key) });
            publication
        };
        assert!(sender.publish((0..1000).map(make).collect()).await.iter().all(Result::is_ok));
    }
    let grown = (resident() - before) / MESSAGES as f64;
    println!("{grown:.0} bytes a message after publishing");
    assert!(grown < 200.0, "{grown} bytes a message");
    transport.close().await.unwrap();
    drop((transport, sender));
    let before = resident();
    let config = EmbeddedConfig::new("local", "shop", home.path().join("store"));
    let again = EmbeddedTransport::open(config).unwrap();
    let grown = (resident() - before) / MESSAGES as f64;
    println!("{grown:.0} bytes a message more after opening again");
    assert_eq!(again.inspect(&Queue::Delayed, &Selector::All).await.unwrap().delayed, Some(MESSAGES as u64));
}

/// Bytes of memory that this process has.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
}

#[tokio::test]
async fn a_receiver_of_a_destination_that_never_had_a_message_leaves_nothing_behind() {
    let bench = Bench::new().await;
    for n in 0..50 {
        let selector = Selector::Destination(format!("d{n}").as_str().into());
        let options = busway_core::transport::ReceiverOptions { selector, ..Default::default() };
        let reader = bench.reader_of(Queue::Delayed, options).await;
        let mut one = message(format!("m{n}"));
        one.destination = Some(format!("d{n}"));
        bench.put(Queue::Delayed, vec![one]).await;
        let got = exactly(&reader, 1).await;
        drop(reader);
        let other = bench.reader(Queue::Delayed).await;
        ack(&other, got).await;
    }
    assert!(bench.transport.breakdown(&Queue::Delayed, 100).await.unwrap().is_empty());
}
