//! What a handler answers, and what becomes of the message.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use busway::core::transport::Filter;
use busway::{Bus, Delivery, HandlerError, Message};

pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut done: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done().await {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_example_of_the_documentation_works() {
    let dir = tempfile::tempdir().unwrap();
    let bus = Bus::builder("shop").embedded(dir.path()).build().unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = seen.clone();
    bus.subscribe("inventory", "item.*", move |d: Delivery| {
        let seen = counted.clone();
        async move {
            let item: u64 = d.json()?;
            assert_eq!(item, 7);
            seen.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    })
    .unwrap();
    bus.start().await.unwrap();
    let published = bus.publish(Message::json("item.updated", &7).unwrap().account("acme")).await.unwrap();
    assert!(!published.id.is_empty());
    bus.publish(Message::new("item.updated", "not a number")).await.unwrap();
    let admin = bus.admin().await.unwrap();
    until("one handled, one dead", || async {
        seen.load(Ordering::SeqCst) == 1 && admin.dead_list(Filter::default(), 9).await.unwrap().len() == 1
    })
    .await;
    assert_eq!(admin.dead_list(Filter::default(), 9).await.unwrap()[0].reason, "error:decode");
    bus.shutdown().await.unwrap();
    assert!(bus.publish(Message::new("x", "")).await.is_err(), "a stopped bus takes nothing");
}

#[tokio::test]
async fn a_handler_that_panics_fifty_times_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let bus = Bus::builder("shop").embedded(dir.path()).build().unwrap();
    let (calls, panics) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::new(std::sync::Mutex::new(std::collections::HashSet::new()));
    let (in_handler, thrown, kept) = (calls.clone(), panics.clone(), seen.clone());
    bus.subscribe("fragile", "#", move |d: Delivery| {
        let call = in_handler.fetch_add(1, Ordering::SeqCst);
        let (thrown, kept) = (thrown.clone(), kept.clone());
        async move {
            if call % 12 == 5 {
                thrown.fetch_add(1, Ordering::SeqCst);
                panic!("a handler of a user panics");
            }
            kept.lock().unwrap().insert(d.message.id.clone());
            Ok(())
        }
    })
    .unwrap();
    bus.start().await.unwrap();
    let mut published = 0;
    while panics.load(Ordering::SeqCst) < 50 {
        let batch: Vec<Message> = (0..50).map(|n| Message::new("x", n.to_string())).collect();
        for result in bus.publish_all(batch).await {
            result.unwrap();
            published += 1;
        }
        until("most handled", || async { seen.lock().unwrap().len() + 60 > published }).await;
    }
    until("all handled", || async { seen.lock().unwrap().len() == published }).await;
    let admin = bus.admin().await.unwrap();
    assert!(admin.readiness().await.ready);
    assert!(admin.dead_list(Filter::default(), 9).await.unwrap().is_empty());
    bus.shutdown().await.unwrap();
}

#[tokio::test]
async fn reject_and_retry_after_are_heeded() {
    let dir = tempfile::tempdir().unwrap();
    let bus = Bus::builder("shop").embedded(dir.path()).build().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    bus.subscribe("fussy", "#", move |d: Delivery| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            match (&*d.message.r#type, first) {
                ("later", true) => Err(HandlerError::retry_after(Duration::from_millis(300))),
                ("never", _) => Err(HandlerError::reject("no use")),
                _ => Ok(()),
            }
        }
    })
    .unwrap();
    bus.start().await.unwrap();
    let admin = bus.admin().await.unwrap();
    let started = Instant::now();
    bus.publish(Message::new("later", "")).await.unwrap();
    until("tried twice", || async { calls.load(Ordering::SeqCst) == 2 }).await;
    assert!(started.elapsed() >= Duration::from_millis(300));
    bus.publish(Message::new("never", "")).await.unwrap();
    until("dead", || async { admin.dead_list(Filter::default(), 9).await.unwrap().len() == 1 }).await;
    assert_eq!(admin.dead_list(Filter::default(), 9).await.unwrap()[0].reason, "error:rejected");
    bus.shutdown().await.unwrap();
}
