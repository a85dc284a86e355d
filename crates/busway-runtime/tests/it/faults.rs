//! A transport that goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use busway_conformance::fault::Operation;
use busway_conformance::{FaultyTransport, Script};
use busway_core::transport::Filter;
use busway_core::{Admin, DeliveryError, ErrorKind, Queue};
use busway_runtime::{EndpointSpec, Faults, RetrySchedule, Runtime};

use crate::bench_bus::{Recorder, add, add_spec, messages, options, publish, store, until, until_idle};
use crate::order::{assert_in_order, keyed, ordered};

#[tokio::test]
async fn when_nothing_can_be_parked_the_bus_stops_taking_in_says_so_and_heals() {
    let script = Script::new();
    let endpoint = Recorder::willing();
    let mut options = options(Arc::new(FaultyTransport::new(store(), script.clone())));
    options.flow.credit = 50;
    add(&mut options, "e", "#", endpoint.clone());
    let bus = Runtime::start(options).await.unwrap();
    bus.endpoint_pause("e", true).await.unwrap();
    script.on(Operation::Publish).queue(Queue::Delayed).fail(ErrorKind::Full);
    publish(&bus, messages(500, "x", "a")).await;
    until("the bus says why", || async { !bus.readiness().ready }).await;
    let reasons = bus.readiness().reasons.join("; ");
    assert!(reasons.contains("parking"), "{reasons}");
    until("no more is taken in than there is credit for", || async {
        let depth = bus.queues().await.unwrap();
        let in_flight = depth.queues[0].in_flight.unwrap();
        assert!(in_flight <= 50 + 256, "{in_flight} messages in hand");
        in_flight >= 50
    })
    .await;
    script.clear();
    until("all parked", || async { bus.queues().await.unwrap().queues[1].ready == Some(500) }).await;
    until("ready again", || async { bus.readiness().ready }).await;
    bus.endpoint_pause("e", false).await.unwrap();
    until("all delivered", || async { endpoint.ids().len() == 500 }).await;
    until_idle(&bus).await;
    assert!(bus.dead_list(Filter::default(), 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_message_that_panics_the_router_is_dead_and_the_others_go_on() {
    let faults = Faults::scripted();
    let endpoint = Recorder::willing();
    let mut options = options(store());
    options.faults = faults.clone();
    add(&mut options, "e", "#", endpoint.clone());
    let bus = Runtime::start(options).await.unwrap();
    faults.panic_at("router", 1, 3);
    let ids = publish(&bus, messages(20, "x", "a")).await;
    until("the others are delivered", || async { endpoint.count() == 19 }).await;
    until("one is dead", || async { bus.dead_list(Filter::default(), 9).await.unwrap().len() == 1 }).await;
    let row = bus.dead_list(Filter::default(), 9).await.unwrap().remove(0);
    assert_eq!((row.id, row.reason.as_str()), (ids[0].clone(), "error:panic"));
}

#[tokio::test]
async fn lost_confirms_and_settles_lose_nothing_and_keep_order() {
    let script = Script::new();
    let n = Arc::new(AtomicUsize::new(0));
    let flaky = Recorder::new(move |_| {
        let failed = n.fetch_add(1, Ordering::SeqCst) % 9 == 4;
        async move { if failed { Err(DeliveryError::retry("flaky", "not now")) } else { Ok(()) } }
    });
    let plain = Recorder::willing();
    let mut options = options(Arc::new(FaultyTransport::new(store(), script.clone())));
    options.flow.lease = Duration::from_secs(2);
    add_spec(&mut options, "lanes", "#", ordered(flaky.clone()));
    let retry = RetrySchedule { first: Duration::from_millis(5), ..RetrySchedule::default() };
    add_spec(
        &mut options,
        "plain",
        "#",
        EndpointSpec { retry, max_concurrency: 2, ..EndpointSpec::new(plain.clone()) },
    );
    let bus = Runtime::start(options).await.unwrap();
    script.on(Operation::Publish).queue(Queue::Delayed).every(7).lose_answer();
    script.on(Operation::Publish).queue(Queue::Delayed).every(11).fail(ErrorKind::Unavailable);
    script.on(Operation::Settle).every(13).fail(ErrorKind::Unavailable);
    for round in 0..20 {
        publish(&bus, keyed(round * 20, 20, 8)).await;
    }
    until("all delivered to both", || async { plain.ids().len() == 400 && flaky.ids().len() == 400 }).await;
    assert_in_order(&flaky);
    script.clear();
    until_idle(&bus).await;
    assert!(bus.dead_list(Filter::default(), 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_cut_connection_is_told_and_mended() {
    let script = Script::new();
    let endpoint = Recorder::willing();
    let mut options = options(Arc::new(FaultyTransport::new(store(), script.clone())));
    options.flow.lease = Duration::from_secs(2);
    add(&mut options, "e", "#", endpoint.clone());
    let bus = Runtime::start(options).await.unwrap();
    publish(&bus, messages(100, "x", "a")).await;
    script.cut();
    until("unready", || async { !bus.readiness().ready }).await;
    let results = Runtime::publish(&bus, messages(1, "x", "a"), Duration::from_secs(5)).await;
    assert_ne!(results[0].outcome, busway_core::admin::PublishOutcome::Stored);
    script.heal();
    until("ready again", || async { bus.readiness().ready }).await;
    publish(&bus, messages(100, "x", "a")).await;
    until("all delivered", || async { endpoint.ids().len() >= 200 }).await;
}

#[tokio::test]
async fn a_message_that_its_caller_leaves_on_its_way_is_stored_and_holds_up_nobody() {
    let script = Script::new();
    let endpoint = Recorder::willing();
    let mut options = options(Arc::new(FaultyTransport::new(store(), script.clone())));
    add(&mut options, "e", "#", endpoint.clone());
    let bus = Runtime::start(options).await.unwrap();
    for round in 1..=40 {
        let gate = script.on(Operation::Publish).next(1).hold();
        tokio::select! {
            results = bus.publish(messages(1, "x", "a"), Duration::from_secs(60)) => panic!("{results:?}"),
            reached = gate.reached(1, Duration::from_secs(30)) => assert!(reached),
        }
        publish(&bus, messages(1, "x", "a")).await;
        gate.release();
        until("both are delivered", || async { endpoint.count() == 2 * round }).await;
    }
    assert!(bus.shutdown(Duration::from_secs(60)).await, "nothing is left on its way");
}
