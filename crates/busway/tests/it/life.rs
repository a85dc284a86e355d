//! Start, stop, restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use busway::{Bus, Delivery, ErrorKind, HandlerError, Message};

use crate::handlers::until;

fn counting(bus: &Bus, count: &Arc<AtomicUsize>, ok: bool) {
    let count = count.clone();
    bus.subscribe("named", "#", move |_: Delivery| {
        let count = count.clone();
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            if ok { Ok(()) } else { Err(HandlerError::retry_after(Duration::from_millis(200))) }
        }
    })
    .unwrap();
}

#[tokio::test]
async fn what_is_parked_for_a_name_finds_it_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (tried, handled) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let bus = Bus::builder("shop").embedded(dir.path()).build().unwrap();
    counting(&bus, &tried, false);
    bus.start().await.unwrap();
    bus.publish(Message::new("x", "")).await.unwrap();
    until("tried", || async { tried.load(Ordering::SeqCst) >= 1 }).await;
    bus.shutdown().await.unwrap();

    let bus = Bus::builder("shop").embedded(dir.path()).build().unwrap();
    counting(&bus, &handled, true);
    bus.start().await.unwrap();
    until("handled", || async { handled.load(Ordering::SeqCst) == 1 }).await;
    bus.shutdown().await.unwrap();
}

#[tokio::test]
async fn dropping_the_last_bus_frees_the_store_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let handled = Arc::new(AtomicUsize::new(0));
    let bus = Bus::builder("shop").embedded(dir.path()).build().unwrap();
    bus.subscribe("stuck", "#", |_: Delivery| std::future::pending()).unwrap();
    bus.start().await.unwrap();
    for n in 0..20 {
        bus.publish(Message::new("x", n.to_string())).await.unwrap();
    }
    drop(bus);

    let bus = Bus::builder("shop").embedded(dir.path()).build().unwrap();
    let counted = handled.clone();
    bus.subscribe("stuck", "#", move |_: Delivery| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }
    })
    .unwrap();
    let free = || async {
        match bus.start().await {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::Held => false,
            Err(error) => panic!("{error}"),
        }
    };
    until("the store is free", free).await;
    until("all handled", || async { handled.load(Ordering::SeqCst) >= 20 }).await;
    bus.shutdown().await.unwrap();
}

#[tokio::test]
async fn mistakes_are_typed_errors() {
    let dir = tempfile::tempdir().unwrap();
    let bus = Bus::builder("shop").embedded(dir.path()).build().unwrap();
    let ok = |_: Delivery| async { Ok(()) };
    assert_eq!(bus.subscribe("Not A Name", "#", ok).unwrap_err().kind(), ErrorKind::Configuration);
    assert_eq!(bus.subscribe("a", "x..y", ok).unwrap_err().kind(), ErrorKind::Configuration);
    bus.subscribe("a", "#", ok).unwrap();
    assert_eq!(bus.subscribe("a", "#", ok).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(bus.admin().await.err().unwrap().kind(), ErrorKind::Closed);
    bus.start().await.unwrap();
    assert_eq!(bus.start().await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(bus.subscribe("b", "#", ok).unwrap_err().kind(), ErrorKind::Closed);
    let second = Bus::builder("shop").embedded(dir.path()).build().unwrap();
    second.start().await.unwrap();
    assert_eq!(second.start().await.unwrap_err().kind(), ErrorKind::Conflict);
    second.shutdown().await.unwrap();
    bus.shutdown().await.unwrap();
}
