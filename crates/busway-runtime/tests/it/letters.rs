//! Dead letters that cannot be settled at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use busway_conformance::fault::Operation;
use busway_conformance::{FaultyTransport, Script};
use busway_core::admin::DeadRequest;
use busway_core::transport::Filter;
use busway_core::{Admin, DeliveryError, ErrorKind, Queue};
use busway_runtime::{EndpointSpec, Order, Runtime};

use crate::bench_bus::{Recorder, add_spec, messages, options, publish, store, until, until_idle};

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
    let error = bus.dead_delete(DeadRequest::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("0 were settled"), "{error}");
    script.clear();
    let mut deleted = 0;
    let deadline = Instant::now() + Duration::from_secs(30);
    // What could not be settled comes again after a back-off of the store.
    while deleted < 5 {
        assert!(Instant::now() < deadline, "{deleted} of 5 deleted within 30 s");
        let before = left(&bus).await;
        let now = usize::try_from(bus.dead_delete(DeadRequest::default()).await.unwrap().done).unwrap();
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
    let error = bus.dead_replay(DeadRequest::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(left(&bus).await, 5);
}

#[tokio::test]
async fn letters_are_replayed_in_the_order_in_which_they_died_at_the_rate_asked_for_and_once() {
    let tried = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&tried);
    let noting = Recorder::new(move |delivery: busway_core::Delivery| {
        noted.lock().unwrap().push(delivery.message.id.clone());
        async { Err(DeliveryError::reject("bad", "no")) }
    });
    let mut options = options(store());
    // Without an order, what finds no place is parked and overtaken.
    add_spec(&mut options, "e", "#", EndpointSpec { order: Order::Account, ..EndpointSpec::new(noting) });
    let bus = Runtime::start(options).await.unwrap();
    let dead = || async { bus.dead_list(Filter::default(), 99).await.unwrap().len() };
    // One after the other: of those that die at once, the copies may overtake each other.
    for number in 1..=30 {
        publish(&bus, messages(1, "x", if number <= 10 { "a" } else { "b" })).await;
        until("one more is dead", || async { dead().await == number }).await;
    }
    let died: Vec<String> =
        bus.dead_list(Filter::default(), 99).await.unwrap().into_iter().map(|row| row.id).collect();
    tried.lock().unwrap().clear();
    let begun = Instant::now();
    let request = DeadRequest { rate: Some(50.0), ..DeadRequest::default() };
    let report = bus.dead_replay(request.clone()).await.unwrap();
    assert_eq!((report.done, report.next), (30, None), "those that died again are left");
    assert!(begun.elapsed() >= Duration::from_millis(540), "30 at 50/s in {:?}", begun.elapsed());
    let replays = || async {
        let rows = bus.dead_list(Filter::default(), 99).await.unwrap();
        rows.into_iter().map(|row| row.replays).collect::<Vec<_>>()
    };
    until("thirty dead again", || async { replays().await == [1; 30] }).await;
    let (a, b) = died.split_at(10);
    let (first, second): (Vec<_>, Vec<_>) = tried.lock().unwrap().drain(..).partition(|id| a.contains(id));
    assert_eq!((&*first, &*second), (a, b), "each account's in order");
    let first = bus.dead_replay(DeadRequest { max: Some(4), ..request.clone() }).await.unwrap();
    assert_eq!(first.done, 4);
    let rest = bus.dead_replay(DeadRequest { from: first.next, ..DeadRequest::default() }).await.unwrap();
    assert_eq!((rest.done, rest.next), (26, None), "an operation goes on where its last call has left off");
    until("each was replayed twice", || async { replays().await == [2; 30] }).await;
}
