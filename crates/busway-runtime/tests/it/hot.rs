//! An ordered endpoint under a flow that does not stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use busway_conformance::fault::Operation;
use busway_conformance::{FaultyTransport, Script};
use busway_core::{DeliveryError, Message, Queue};
use busway_runtime::Runtime;

use crate::bench_bus::{Recorder, add_spec, options, publish, store, until};
use crate::order::{assert_in_order, ordered};

/// Publishes to `keys` keys, one message every 3 ms, until told to stop; how many in the end.
async fn flow(bus: &Runtime, keys: u64, stop: &AtomicBool) -> u64 {
    let mut pace = tokio::time::interval(Duration::from_millis(3));
    let sent = AtomicU64::new(0);
    while !stop.load(Ordering::SeqCst) {
        pace.tick().await;
        let n = sent.fetch_add(1, Ordering::SeqCst);
        let key = format!("k{}", n % keys);
        publish(bus, vec![Message::new("x", n.to_string()).account("a").partition_key(key)]).await;
    }
    sent.into_inner()
}

/// Fails one delivery, so that its lane is parked, while copies take `slow` to become durable;
/// asserts that what is parked is delivered while more of its keys keep coming.
async fn parked_lane_goes_on(keys: u64, slow: Duration) {
    let n = AtomicUsize::new(0);
    let endpoint = Recorder::new(move |_| {
        let fails = n.fetch_add(1, Ordering::SeqCst) == 20;
        async move { if fails { Err(DeliveryError::retry("flaky", "once")) } else { Ok(()) } }
    });
    let script = Script::new();
    script.on(Operation::Publish).queue(Queue::Delayed).delay(slow);
    let mut options = options(Arc::new(FaultyTransport::new(store(), script)));
    add_spec(&mut options, "e", "#", ordered(endpoint.clone()));
    let bus = Runtime::start(options).await.unwrap();
    let stop = AtomicBool::new(false);
    let enough = async {
        until("parked messages are delivered while more keep coming", || async {
            endpoint.seen.lock().unwrap().iter().filter(|m| m.reason.is_some()).count() >= 40
        })
        .await;
        stop.store(true, Ordering::SeqCst);
    };
    let (sent, ()) = tokio::join!(flow(&bus, keys, &stop), enough);
    until("all delivered", || async { endpoint.ids().len() as u64 == sent }).await;
    assert_in_order(&endpoint);
}

#[tokio::test]
async fn a_parked_lane_of_one_hot_key_goes_on() {
    parked_lane_goes_on(1, Duration::from_millis(20)).await;
}

#[tokio::test]
async fn parked_lanes_of_some_hot_keys_go_on() {
    parked_lane_goes_on(3, Duration::from_millis(50)).await;
}
