//! Dead letters that cannot be settled at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use busway_conformance::fault::Operation;
use busway_conformance::{FaultyTransport, Script};
use busway_core::transport::Filter;
use busway_core::{Admin, ErrorKind, Queue};
use busway_runtime::Runtime;

use crate::bench_bus::{messages, options, publish, store, until, until_idle};

/// A bus with five dead letters.
async fn five_dead(script: &Script) -> Runtime {
    let bus = Runtime::start(options(Arc::new(FaultyTransport::new(store(), script.clone())))).await.unwrap();
    publish(&bus, messages(5, "nowhere", "a")).await;
    until("five dead", || async { left(&bus).await == 5 }).await;
    until_idle(&bus).await;
    bus
}

async fn left(bus: &Runtime) -> usize {
    bus.dead_list(Filter::default(), 10).await.unwrap().len()
}

#[tokio::test]
async fn what_was_not_settled_is_not_counted_as_deleted() {
    let script = Script::new();
    let bus = five_dead(&script).await;
    script.on(Operation::Settle).queue(Queue::Dead).fail(ErrorKind::Unavailable);
    let error = bus.dead_delete(Filter::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("0 were settled"), "{error}");
    script.clear();
    let mut deleted = 0;
    let deadline = Instant::now() + Duration::from_secs(30);
    // What could not be settled comes again after a back-off of the store.
    while deleted < 5 {
        assert!(Instant::now() < deadline, "{deleted} of 5 deleted within 30 s");
        let before = left(&bus).await;
        let now = usize::try_from(bus.dead_delete(Filter::default()).await.unwrap()).unwrap();
        assert_eq!(left(&bus).await, before - now);
        deleted += now;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(left(&bus).await, 0);
}

#[tokio::test]
async fn a_bus_that_stops_takes_no_dead_letters() {
    let bus = five_dead(&Script::new()).await;
    bus.drain(Duration::from_secs(5)).await;
    let error = bus.dead_replay(Filter::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(left(&bus).await, 5);
}
