//! Graceful drains, forced stops, and faults of the transport.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use busway_core::Admin;
use busway_core::transport::Filter;
use busway_runtime::Runtime;

use crate::bench_bus::{Recorder, Store, add, messages, options, publish, store, until};

fn slow() -> Arc<Recorder> {
    Recorder::new(|_| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(())
    })
}

#[tokio::test]
async fn after_a_graceful_drain_nothing_is_delivered_twice() {
    let storage = Store::new();
    let endpoint = slow();
    let mut total = 0;
    for _ in 0..3 {
        let mut options = options(storage.open().await);
        add(&mut options, "e", "#", endpoint.clone());
        let bus = Runtime::start(options).await.unwrap();
        publish(&bus, messages(300, "x", "a")).await;
        total += 300;
        let some = endpoint.count() + 20;
        until("some delivered", || async { endpoint.count() >= some }).await;
        assert!(bus.shutdown(Duration::from_secs(60)).await, "all in hand was finished");
    }
    let mut options = options(storage.open().await);
    add(&mut options, "e", "#", endpoint.clone());
    let bus = Runtime::start(options).await.unwrap();
    until("all delivered", || async { endpoint.ids().len() == total }).await;
    assert!(endpoint.ids().values().all(|n| *n == 1));
    assert!(bus.dead_list(Filter::default(), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_forced_stop_had_in_hand_comes_again_and_is_not_dead() {
    let storage = Store::new();
    let held = Recorder::new(|_| std::future::pending());
    for _ in 0..3 {
        let mut options = options(storage.open().await);
        options.flow.lease = Duration::from_secs(2);
        add(&mut options, "e", "#", held.clone());
        let bus = Runtime::start(options).await.unwrap();
        publish(&bus, messages(100, "x", "a")).await;
        until("a delivery is under way", || async { held.at_once.load(Ordering::SeqCst) > 0 }).await;
        assert!(bus.in_hand() > 0);
        drop(bus);
        until("it is cut off", || async { held.at_once.load(Ordering::SeqCst) == 0 }).await;
    }
    let endpoint = Recorder::willing();
    let mut options = options(storage.open().await);
    options.flow.lease = Duration::from_secs(2);
    add(&mut options, "e", "#", endpoint.clone());
    let bus = Runtime::start(options).await.unwrap();
    until("all delivered", || async { endpoint.ids().len() == 300 }).await;
    assert!(bus.dead_list(Filter::default(), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_bus_runs_inside_a_current_thread_runtime_and_beside_another() {
    let (a, b) = (Recorder::willing(), Recorder::willing());
    let mut first = options(store());
    add(&mut first, "e", "#", a.clone());
    let mut second = options(store());
    add(&mut second, "e", "#", b.clone());
    let (first, second) = (Runtime::start(first).await.unwrap(), Runtime::start(second).await.unwrap());
    publish(&first, messages(10, "x", "a")).await;
    publish(&second, messages(20, "x", "a")).await;
    until("each has its own", || async { a.count() == 10 && b.count() == 20 }).await;
}

#[tokio::test]
async fn a_bounded_run_takes_no_more_than_its_limit_and_ends() {
    use busway_core::admin::OnceRequest;
    let storage = Store::new();
    let endpoint = Recorder::willing();
    let open = async || {
        let mut options = options(storage.open().await);
        add(&mut options, "e", "#", endpoint.clone());
        options
    };
    let bus = Runtime::start_idle(open().await).await.unwrap();
    publish(&bus, messages(100, "x", "a")).await;
    assert!(bus.shutdown(Duration::from_secs(60)).await);
    let request = OnceRequest { workers: Some(4), limit: Some(30) };
    let bus = Runtime::start_idle(open().await).await.unwrap();
    let report = bus.run_once(request).await.unwrap();
    assert_eq!((report.received, report.delivered), (30, 30), "{report:?}");
    let report = bus.run_once(request).await.unwrap();
    assert_eq!((report.received, report.delivered), (30, 30), "asked again: {report:?}");
    publish(&bus, messages(5, "x", "b")).await;
    bus.shutdown(Duration::from_secs(60)).await;
    let bus = Runtime::start_idle(open().await).await.unwrap();
    let report = bus.run_once(OnceRequest::default()).await.unwrap();
    assert_eq!((report.received, report.delivered, report.dead), (45, 45, 0), "{report:?}");
    bus.shutdown(Duration::from_secs(60)).await;
    assert!(endpoint.ids().values().all(|n| *n == 1));
}

#[test]
fn a_bus_runs_inside_an_actix_program() {
    actix::System::new().block_on(async {
        let endpoint = Recorder::willing();
        let mut options = options(store());
        add(&mut options, "e", "#", endpoint.clone());
        let bus = Runtime::start(options).await.unwrap();
        publish(&bus, messages(10, "x", "a")).await;
        until("all delivered", || async { endpoint.count() == 10 }).await;
        assert!(bus.shutdown(Duration::from_secs(60)).await);
    });
}
