//! Panics in every kind of actor lose nothing.

use std::time::Duration;

use busway_core::Admin;
use busway_runtime::{EndpointSpec, Faults, Runtime};

use crate::bench_bus::{Recorder, add, add_spec, messages, options, publish, store, until, until_idle};
use crate::order::{assert_in_order, keyed, ordered};

const TIMES: u64 = 50;

async fn storm(place: &'static str, every: u64) {
    storm_of(place, every, TIMES).await;
}

/// Several loops of one actor may die before it is made anew, so there may be more faults than
/// restarts.
async fn storm_of(place: &'static str, every: u64, times: u64) {
    let faults = Faults::scripted();
    let (plain, lanes) = (Recorder::willing(), Recorder::willing());
    let mut options = options(store());
    options.faults = faults.clone();
    options.restarts.budget = 1000;
    options.flow.lease = Duration::from_secs(3);
    add_spec(
        &mut options,
        "plain",
        "#",
        EndpointSpec { max_concurrency: 2, ..EndpointSpec::new(plain.clone()) },
    );
    add_spec(&mut options, "lanes", "#", ordered(lanes.clone()));
    let bus = Runtime::start(options).await.unwrap();
    let before = restarts(&bus.snapshots().await);
    faults.panic_at(place, every, times);
    let mut published = 0;
    until(place, || {
        let batch = keyed(published, 40, 16);
        published += 40;
        let (bus, faults, lanes) = (&bus, &faults, &lanes);
        async move {
            publish(bus, batch).await;
            let total = usize::try_from(published).unwrap();
            until("the backlog is short", || async { lanes.ids().len() + 400 > total }).await;
            faults.hits(place) >= times
        }
    })
    .await;
    let total = usize::try_from(published).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(120);
    while plain.ids().len() < total || lanes.ids().len() < total {
        let late = std::time::Instant::now() > deadline;
        assert!(
            !late,
            "{place}: {} and {} of {total}: {:#}",
            plain.ids().len(),
            lanes.ids().len(),
            bus.snapshots().await
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    until_idle(&bus).await;
    assert_in_order(&lanes);
    if place != "delivery" {
        let after = restarts(&bus.snapshots().await);
        assert!(after - before >= TIMES, "{place}: {} restarts", after - before);
    }
    assert!(bus.dead_list(busway_core::transport::Filter::default(), 10).await.unwrap().is_empty());
    assert!(bus.readiness().ready, "{:?}", bus.readiness());
}

fn restarts(snapshot: &serde_json::Value) -> u64 {
    snapshot["actors"].as_array().unwrap().iter().map(|actor| actor["restarts"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn in_the_producer() {
    storm("producer", 3).await;
}

#[tokio::test]
async fn in_the_intake() {
    storm("intake", 2).await;
}

#[tokio::test]
async fn in_the_router() {
    storm("router", 31).await;
}

#[tokio::test]
async fn in_a_subscriber() {
    storm("subscriber", 7).await;
}

#[tokio::test]
async fn in_the_settler() {
    storm("settler", 5).await;
}

#[tokio::test]
async fn in_the_read_back() {
    storm_of("read-back", 2, 2 * TIMES).await;
}

#[tokio::test]
async fn in_a_delivery() {
    storm("delivery", 11).await;
}

#[tokio::test]
async fn in_started_after_a_panic() {
    for (place, started) in
        [("router", "router.started"), ("subscriber", "subscriber.started"), ("settler", "settler.started")]
    {
        let faults = Faults::scripted();
        let endpoint = Recorder::willing();
        let mut options = options(store());
        options.faults = faults.clone();
        options.restarts.budget = 1000;
        add(&mut options, "e", "#", endpoint.clone());
        let bus = Runtime::start(options).await.unwrap();
        faults.panic_at(started, 1, TIMES);
        faults.panic_at(place, 2, 1);
        let mut published = 0;
        until(started, || {
            published += 10;
            let (bus, faults) = (&bus, &faults);
            async move {
                publish(bus, messages(10, "x", "a")).await;
                faults.hits(started) >= TIMES
            }
        })
        .await;
        until("all delivered", || async { endpoint.ids().len() == published }).await;
    }
}

#[tokio::test]
async fn past_the_budget_the_bus_is_unready_and_drains() {
    let faults = Faults::scripted();
    let endpoint = Recorder::willing();
    let mut options = options(store());
    options.faults = faults.clone();
    options.restarts.budget = 5;
    add(&mut options, "e", "#", endpoint.clone());
    let bus = Runtime::start(options).await.unwrap();
    assert!(bus.readiness().ready);
    faults.panic_at("intake.started", 1, u64::MAX);
    faults.panic_at("intake", 1, 1);
    publish(&bus, messages(10, "x", "a")).await;
    let why = tokio::time::timeout(Duration::from_secs(60), bus.failed()).await.unwrap();
    assert!(why.contains("intake"), "{why}");
    assert!(!bus.readiness().ready);
    assert!(bus.shutdown(Duration::from_secs(60)).await);
}
