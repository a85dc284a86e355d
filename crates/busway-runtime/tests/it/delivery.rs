//! Every message comes to an outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use busway_core::admin::DeadRequest;
use busway_core::transport::Filter;
use busway_core::{Admin, DeliveryError, Message};
use busway_runtime::{EndpointSpec, RetrySchedule, Runtime};

use crate::bench_bus::{Recorder, add, add_spec, messages, options, publish, store, until, until_idle};

#[tokio::test]
async fn every_message_reaches_each_of_its_endpoints_once() {
    let (items, audit) = (Recorder::willing(), Recorder::willing());
    let mut options = options(store());
    add(&mut options, "items", "item.*", items.clone());
    add(&mut options, "audit", "#", audit.clone());
    let bus = Runtime::start(options).await.unwrap();
    publish(&bus, messages(500, "item.updated", "acme")).await;
    publish(&bus, messages(500, "customer.updated", "acme")).await;
    until("all delivered", || async { items.count() == 500 && audit.count() == 1000 }).await;
    until_idle(&bus).await;
    assert!(audit.ids().values().all(|n| *n == 1));
    let report = bus.queues().await.unwrap();
    assert!(
        report.queues.iter().all(|q| (q.ready, q.in_flight, q.delayed) == (Some(0), Some(0), Some(0))),
        "{report:?}"
    );
    assert!(bus.shutdown(Duration::from_secs(60)).await);
}

#[tokio::test]
async fn a_failed_delivery_is_tried_again_until_its_attempts_are_spent() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = tries.clone();
    let mut options = options(store());
    let stubborn = Recorder::new(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Err(DeliveryError::retry("status-500", "no")) }
    });
    let retry =
        RetrySchedule { attempts: 3, first: Duration::from_millis(20), max: Duration::from_millis(50) };
    add_spec(&mut options, "stubborn", "#", EndpointSpec { retry, ..EndpointSpec::new(stubborn) });
    let bus = Runtime::start(options).await.unwrap();
    let ids = publish(&bus, messages(1, "x", "acme")).await;
    until("dead", || async { bus.dead_list(Filter::default(), 10).await.unwrap().len() == 1 }).await;
    let row = bus.dead_list(Filter::default(), 10).await.unwrap().remove(0);
    assert_eq!((row.id, row.reason.as_str(), row.attempts), (ids[0].clone(), "error:status-500", 3));
    assert_eq!(row.destination.as_deref(), Some("stubborn"));
    assert_eq!(row.origin.as_deref(), Some("local/priority"));
    assert_eq!(tries.load(Ordering::SeqCst), 3);
    until_idle(&bus).await;
    assert!(bus.dead_show(&ids[0]).await.unwrap().is_some());
    assert!(bus.dead_show("nothing").await.unwrap().is_none());
}

#[tokio::test]
async fn what_cannot_be_routed_decoded_or_kept_in_time_is_dead_with_its_reason() {
    let mut options = options(store());
    let picky = Recorder::new(|d| async move { d.json::<u64>().map(|_| ()) });
    add(&mut options, "picky", "n.*", picky.clone());
    let bus = Runtime::start(options).await.unwrap();
    publish(&bus, vec![Message::new("n.a", "17"), Message::new("n.b", "{}"), Message::new("other", "1")])
        .await;
    publish(&bus, vec![Message::new("n.c", "1").expires_at(1)]).await;
    until("three dead", || async { bus.dead_list(Filter::default(), 10).await.unwrap().len() == 3 }).await;
    let mut reasons: Vec<_> =
        bus.dead_list(Filter::default(), 10).await.unwrap().into_iter().map(|row| row.reason).collect();
    reasons.sort();
    assert_eq!(reasons, ["error:decode", "expired", "unroutable"]);
    assert_eq!(picky.count(), 1);
}

#[tokio::test]
async fn dead_letters_are_replayed_to_their_destination_and_deleted() {
    let willing = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let asked = willing.clone();
    let fussy = Recorder::new(move |_| {
        let yes = asked.load(Ordering::SeqCst);
        async move { if yes { Ok(()) } else { Err(DeliveryError::reject("bad", "no")) } }
    });
    let other = Recorder::willing();
    let mut options = options(store());
    add(&mut options, "fussy", "#", fussy.clone());
    add(&mut options, "other", "#", other.clone());
    let bus = Runtime::start(options).await.unwrap();
    publish(&bus, messages(20, "x", "a")).await;
    publish(&bus, messages(5, "x", "b")).await;
    until("25 dead", || async { bus.dead_list(Filter::default(), 100).await.unwrap().len() == 25 }).await;
    willing.store(true, Ordering::SeqCst);
    let of_b = Filter { account: Some("b".into()), ..Filter::default() };
    assert_eq!(bus.dead_delete(of_b.into()).await.unwrap().done, 5);
    assert_eq!(bus.dead_replay(DeadRequest::default()).await.unwrap().done, 20);
    until("replayed", || async { fussy.count() == 20 }).await;
    until_idle(&bus).await;
    assert_eq!(other.count(), 25, "a replay goes to the destination it died for alone");
    assert!(bus.dead_list(Filter::default(), 100).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_message_that_cannot_be_taken_fails_alone() {
    let endpoint = Recorder::willing();
    let mut options = options(store());
    add(&mut options, "e", "#", endpoint.clone());
    let bus = Runtime::start(options).await.unwrap();
    let mut batch = messages(3, "x", "a");
    batch[0] = Message::new("x", vec![b'x'; 1 << 20]);
    batch[1].r#type = String::new();
    let results = Runtime::publish(&bus, batch, Duration::from_secs(60)).await;
    let classes: Vec<_> = results.iter().map(|r| r.class.as_deref()).collect();
    assert_eq!(classes, [Some("too-large"), Some("reject"), None], "{results:?}");
    until("the good one is delivered", || async { endpoint.count() == 1 }).await;
}
