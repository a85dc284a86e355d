//! Everything at once: publishers, readers that settle in every way, leases that run out, receipts
//! that are dropped, cleaning, restarts. Each message is acknowledged exactly once, each group in
//! its order.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use busway_core::reason::Reason;
use busway_core::transport::{Declare, Group, ReceiverOptions, Selector, Want};
use busway_core::{ErrorKind, Message, Outcome, Publication, Queue, Transport};
use busway_embedded::{EmbeddedConfig, EmbeddedTransport};
use fastrand::Rng;

use crate::faults::Unsynced;

const PUBLISHERS: u64 = 4;
const EACH: u64 = 600;
const KEYS: u64 = 12;

#[derive(Default)]
struct Seen {
    /// How often each id was acknowledged.
    acked: Mutex<HashMap<String, u32>>,
    /// The places of each group that were acknowledged, in turn, with the token of each.
    groups: Mutex<HashMap<u64, Vec<(u64, u64)>>>,
    count: AtomicU64,
}

async fn publish(store: Arc<EmbeddedTransport>, number: u64) {
    let mut rng = Rng::with_seed(number);
    let mut n = 0;
    while n < EACH {
        let make = |n: u64| {
            let key = n % KEYS + KEYS * number;
            let mut message = Message::new("t", ".".repeat(n as usize % 700)).id(format!("{number}-{n}"));
            message.account = Some(format!("account-{}", n % 5));
            message.destination = key.is_multiple_of(2).then(|| "even".to_owned());
            message.sequence = Some(n);
            message.partitionkey = Some(key.to_string());
            let group = Some(Group { key, position: None });
            Publication { queue: Queue::Delayed, message, group }
        };
        let upto = (n + rng.u64(1..9)).min(EACH);
        let batch: Vec<Publication> = (n..upto).map(make).collect();
        let results = store.sender().await.unwrap().publish(batch).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        n = upto;
    }
}

async fn read(store: Arc<EmbeddedTransport>, seen: Arc<Seen>, number: u64) {
    let mut rng = Rng::with_seed(1000 + number);
    let selector = match number % 3 {
        0 => Selector::All,
        1 => Selector::Destination("even".into()),
        _ => Selector::NoDestination,
    };
    let lease = Some(Duration::from_millis(100));
    let options = ReceiverOptions { selector, lease, prefetch: Some(20) };
    let reader = store.receiver(&Queue::Delayed, options).await.unwrap();
    while seen.count.load(Ordering::SeqCst) < PUBLISHERS * EACH {
        let want = Want::new(rng.usize(1..10), Duration::from_millis(50));
        for leased in reader.receive(want).await.unwrap() {
            let reason = Reason::error("x");
            let after = Duration::from_millis(rng.u64(0..8));
            let outcome = match rng.u8(0..100) {
                0..70 => Outcome::Ack,
                70..78 => Outcome::Release,
                78..86 => Outcome::Retry { after, reason },
                86..94 => Outcome::Park { after, reason },
                94..97 => continue,
                _ => {
                    tokio::time::sleep(Duration::from_millis(120)).await;
                    Outcome::Ack
                }
            };
            let (message, token) = (leased.message, leased.receipt.token());
            // Noted first: the next of the group may be in another reader's hand right after.
            let key: u64 = message.partitionkey.unwrap().parse().unwrap();
            let place = message.sequence.unwrap();
            if outcome == Outcome::Ack {
                seen.groups.lock().unwrap().entry(key).or_default().push((place, token));
            }
            match reader.settle(vec![(leased.receipt, outcome.clone())]).await.remove(0) {
                Ok(()) if outcome == Outcome::Ack => {
                    *seen.acked.lock().unwrap().entry(message.id).or_default() += 1;
                    seen.count.fetch_add(1, Ordering::SeqCst);
                }
                Ok(()) => {}
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::LeaseLost, "{error}");
                    let mut groups = seen.groups.lock().unwrap();
                    groups.entry(key).or_default().retain(|(_, noted)| *noted != token);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn each_message_is_acknowledged_once_and_each_group_in_order() {
    let home = tempfile::tempdir().unwrap();
    let mut config = EmbeddedConfig::new("local", "shop", home.path().join("store"));
    config.segment_bytes = 128 << 10;
    config.garbage_bytes = 128 << 10;
    config.backoff_first = Duration::from_millis(5);
    let open = || EmbeddedTransport::open_on(config.clone(), Arc::new(Unsynced::default())).unwrap();
    let store = open();
    store.declare(&[Queue::Delayed], Declare::Create).await.unwrap();
    let seen = Arc::new(Seen::default());
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..PUBLISHERS {
        tasks.spawn(publish(store.clone(), number));
    }
    for number in 0..6 {
        tasks.spawn(read(store.clone(), seen.clone(), number));
    }
    tokio::time::timeout(Duration::from_secs(100), tasks.join_all()).await.expect("nothing is left asleep");
    assert_eq!(seen.acked.lock().unwrap().len() as u64, PUBLISHERS * EACH);
    assert!(seen.acked.lock().unwrap().values().all(|times| *times == 1));
    for (key, places) in seen.groups.lock().unwrap().iter() {
        assert!(places.is_sorted_by_key(|(place, _)| *place), "group {key}: {places:?}");
    }
    store.close().await.unwrap();
    drop(store);
    let depth = open().inspect(&Queue::Delayed, &Selector::All).await.unwrap();
    assert_eq!((depth.ready, depth.delayed, depth.bytes), (Some(0), Some(0), Some(0)));
}
