//! Copies that cannot be parked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use busway_conformance::fault::Operation;
use busway_conformance::{FaultyTransport, Script};
use busway_core::{Admin, ErrorKind, Message, Queue};
use busway_runtime::Runtime;

use crate::bench_bus::{Recorder, add, messages, options, publish, store, until};

#[tokio::test]
async fn a_copy_that_goes_alone_rests_and_is_told_like_any_other() {
    let script = Script::new();
    let mut options = options(Arc::new(FaultyTransport::new(store(), script.clone())));
    add(&mut options, "e", "#", Recorder::willing());
    let bus = Runtime::start(options).await.unwrap();
    bus.endpoint_pause("e", true).await.unwrap();
    // Until all have been refused some times for want of room, so that they rest together and the
    // last one goes in a batch with others.
    let (tries, room) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (tried, has_room) = (tries.clone(), room.clone());
    let full = move |_: &Message| {
        tried.fetch_add(1, Ordering::SeqCst);
        !has_room.load(Ordering::SeqCst)
    };
    let last = |message: &Message| &message.data[..] == b"49";
    let on = || script.on(Operation::Publish).queue(Queue::Delayed);
    on().matching(full).fail(ErrorKind::Full);
    on().matching(last).next(1).fail(ErrorKind::TooLarge);
    on().matching(last).fail(ErrorKind::Full);
    publish(&bus, messages(50, "x", "a")).await;
    until("they rest together", || async { tries.load(Ordering::SeqCst) >= 200 }).await;
    room.store(true, Ordering::SeqCst);
    let parked = async || bus.queues().await.unwrap().queues[1].ready;
    until("the others are parked", || async { parked().await == Some(49) }).await;
    until("it is told", || async { bus.readiness().reasons.iter().any(|r| r.contains("parking")) }).await;
    // Fewer on a machine that stalls.
    let (before, since) = (tries.load(Ordering::SeqCst), Instant::now());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let tried = tries.load(Ordering::SeqCst) - before;
    assert!(tried as u128 <= 5 + since.elapsed().as_millis() / 25, "{tried} tries without a rest");
    script.clear();
    until("it is parked", || async { parked().await == Some(50) }).await;
    until("ready again", || async { bus.readiness().ready }).await;
}
