//! Ordered endpoints.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use busway_core::{DeliveryError, Message};
use busway_runtime::{EndpointSpec, Order, RetrySchedule, Runtime};

use crate::bench_bus::{Recorder, Store, add_spec, options, publish, store, until, until_idle};

/// Asserts that the first delivery of each message of a key came after that of the one before it.
pub(crate) fn assert_in_order(recorder: &Recorder) {
    let mut last: HashMap<String, u64> = HashMap::new();
    let mut first_seen = std::collections::HashSet::new();
    for message in recorder.seen.lock().unwrap().iter() {
        if !first_seen.insert(message.id.clone()) {
            continue;
        }
        let key = message.partitionkey.clone().unwrap();
        let number: u64 = std::str::from_utf8(&message.data).unwrap().parse().unwrap();
        if let Some(before) = last.insert(key.clone(), number) {
            assert!(before < number, "key {key}: {number} came after {before}");
        }
    }
}

pub(crate) fn keyed(from: u64, count: u64, keys: u64) -> Vec<Message> {
    (from..from + count)
        .map(|n| Message::new("x", n.to_string()).account("a").partition_key(format!("k{}", n % keys)))
        .collect()
}

pub(crate) fn ordered(endpoint: Arc<Recorder>) -> EndpointSpec {
    EndpointSpec {
        order: Order::PartitionKey,
        max_concurrency: 8,
        retry: RetrySchedule {
            attempts: 50,
            first: Duration::from_millis(5),
            max: Duration::from_millis(20),
        },
        ..EndpointSpec::new(endpoint)
    }
}

#[tokio::test]
async fn order_holds_across_failures_and_overload() {
    let n = Arc::new(AtomicUsize::new(0));
    let flaky = Recorder::new(move |_| {
        let n = n.fetch_add(1, Ordering::SeqCst);
        async move {
            tokio::time::sleep(Duration::from_micros(500)).await;
            if n % 7 == 3 { Err(DeliveryError::retry("flaky", "not now")) } else { Ok(()) }
        }
    });
    let mut options = options(store());
    add_spec(&mut options, "e", "#", ordered(flaky.clone()));
    let bus = Runtime::start(options).await.unwrap();
    for round in 0..20 {
        publish(&bus, keyed(round * 50, 50, 16)).await;
    }
    until("all delivered", || async { flaky.ids().len() == 1000 }).await;
    until_idle(&bus).await;
    assert_in_order(&flaky);
    assert!(flaky.ids().values().all(|n| *n == 1));
}

#[tokio::test]
async fn one_message_of_a_key_runs_at_a_time() {
    let busy = Arc::new(AtomicUsize::new(0));
    let seen = busy.clone();
    let endpoint = Recorder::new(move |_| {
        let busy = seen.clone();
        async move {
            assert_eq!(busy.fetch_add(1, Ordering::SeqCst), 0, "two at once");
            tokio::task::yield_now().await;
            busy.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    });
    let mut options = options(store());
    add_spec(&mut options, "e", "#", ordered(endpoint.clone()));
    let bus = Runtime::start(options).await.unwrap();
    publish(&bus, keyed(0, 300, 1)).await;
    until("all delivered", || async { endpoint.count() == 300 }).await;
    assert_in_order(&endpoint);
}

#[tokio::test]
async fn order_holds_across_forced_stops() {
    let storage = Store::new();
    let endpoint = {
        let n = Arc::new(AtomicUsize::new(0));
        Recorder::new(move |_| {
            let n = n.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                if n % 5 == 3 { Err(DeliveryError::retry("flaky", "not now")) } else { Ok(()) }
            }
        })
    };
    let mut published = 0;
    for round in 0..6 {
        let transport = storage.open().await;
        let mut options = options(transport);
        options.flow.lease = Duration::from_secs(2);
        add_spec(&mut options, "e", "#", ordered(endpoint.clone()));
        let bus = Runtime::start(options).await.unwrap();
        publish(&bus, keyed(published, 200, 8)).await;
        published += 200;
        let enough = endpoint.ids().len() + 60;
        until("some delivered", || async {
            endpoint.ids().len() >= enough.min(usize::try_from(published).unwrap())
        })
        .await;
        if round == 5 {
            until("all delivered", || async { endpoint.ids().len() as u64 == published }).await;
        }
        drop(bus);
    }
    assert_in_order(&endpoint);
}
