//! The kinds of programs that a bus runs in, and several of them in one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use busway::{Bus, Delivery, ErrorKind, Message};

use crate::handlers::until;

/// Three buses, each of which hands on to the next; all that was published arrives at the last.
async fn chain() {
    let directory = tempfile::tempdir().unwrap();
    let arrived = Arc::new(AtomicUsize::new(0));
    let mut buses: Vec<Bus> = Vec::new();
    for name in ["last", "middle", "first"] {
        let bus = Bus::builder(name).embedded(directory.path().join(name)).build().unwrap();
        let (next, counted) = (buses.last().cloned(), Arc::clone(&arrived));
        bus.subscribe("onward", "#", move |d: Delivery| {
            let (next, arrived) = (next.clone(), Arc::clone(&counted));
            async move {
                match next {
                    Some(next) => drop(next.publish(Message::clone(&d.message)).await?),
                    None => drop(arrived.fetch_add(1, Ordering::SeqCst)),
                }
                Ok(())
            }
        })
        .unwrap();
        bus.start().await.unwrap();
        buses.push(bus);
    }
    for number in 0..50 {
        buses[2].publish(Message::new("x", number.to_string())).await.unwrap();
    }
    until("all have arrived", || async { arrived.load(Ordering::SeqCst) == 50 }).await;
    for bus in buses.iter().rev() {
        bus.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_buses_inside_tokio_with_many_threads() {
    chain().await;
}

#[tokio::test(flavor = "current_thread")]
async fn several_buses_inside_tokio_with_one_thread() {
    chain().await;
}

#[test]
fn several_buses_inside_an_actix_program() {
    busway::actix::System::new().block_on(chain());
}

#[test]
fn a_bus_outlives_the_runtime_that_started_it() {
    let directory = tempfile::tempdir().unwrap();
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bus = Bus::builder("shop").embedded(directory.path()).build().unwrap();
    run().block_on(bus.start()).unwrap();
    run().block_on(bus.publish(Message::new("x", ""))).unwrap();
    run().block_on(bus.shutdown()).unwrap();
}

#[tokio::test]
async fn a_start_after_a_failed_one_succeeds() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("in-the-way");
    std::fs::write(&place, "a file").unwrap();
    let handled = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&handled);
    let bus = Bus::builder("shop").embedded(&place).build().unwrap();
    bus.subscribe("any", "#", move |_: Delivery| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }
    })
    .unwrap();
    let error = bus.start().await.unwrap_err();
    assert_ne!(error.kind(), ErrorKind::Conflict, "{error}");
    std::fs::remove_file(&place).unwrap();
    bus.start().await.unwrap();
    bus.publish(Message::new("x", "")).await.unwrap();
    until("handled", || async { handled.load(Ordering::SeqCst) == 1 }).await;
    bus.shutdown().await.unwrap();
}
