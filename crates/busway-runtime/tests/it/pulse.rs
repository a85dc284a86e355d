//! Whether a bus answers.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use busway_conformance::{FaultyTransport, Script};
use busway_core::ErrorKind;
use busway_runtime::{Faults, Runtime};

use crate::bench_bus::{Recorder, add, messages, options, publish, store, until};

#[tokio::test]
async fn a_bus_answers_until_one_of_its_threads_hangs() {
    let (leave, held) = mpsc::channel::<()>();
    let endpoint = Recorder::willing();
    let mut options = options(store());
    add(&mut options, "e", "#", endpoint.clone());
    options.faults = Faults::scripted();
    options.faults.hang_at("router", held);
    let bus = Runtime::start(options).await.unwrap();
    let pulse = bus.pulse();
    pulse.answers().await.unwrap();
    publish(&bus, messages(1, "x", "a")).await;
    until("it hangs", || async {
        tokio::time::timeout(Duration::from_millis(200), pulse.answers()).await.is_err()
    })
    .await;
    drop(leave);
    tokio::time::timeout(Duration::from_secs(60), pulse.answers()).await.unwrap().unwrap();
    until("it goes on", || async { endpoint.count() == 1 }).await;
    drop(bus);
    assert_eq!(pulse.answers().await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_transport_that_can_do_no_work_gives_no_pulse() {
    let script = Script::new();
    let mut options = options(Arc::new(FaultyTransport::new(store(), script.clone())));
    add(&mut options, "e", "#", Recorder::willing());
    let bus = Runtime::start(options).await.unwrap();
    bus.pulse().answers().await.unwrap();
    script.cut();
    assert!(bus.pulse().answers().await.is_err());
}
