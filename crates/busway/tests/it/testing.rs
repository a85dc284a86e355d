//! The bus for unit tests: what it says of messages, and that hours pass at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use busway::config::{Policy, Retry};
use busway::core::clock::now_ms;
use busway::testing::TestBus;
use busway::{Delivery, HandlerError, Message};

const HOUR: Duration = Duration::from_secs(3600);

fn hourly(attempts: u32) -> Policy {
    Policy { retry: Retry { attempts, first: HOUR, max: HOUR * 24 }, ..Policy::default() }
}

#[tokio::test]
async fn ten_tries_over_days_are_over_in_seconds() {
    let bus = TestBus::new("shop").unwrap();
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    bus.subscribe_with("never", "#", hourly(10), move |_: Delivery| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Err(HandlerError::retry("not yet")) }
    })
    .unwrap();
    bus.start().await.unwrap();
    let started = Instant::now();
    bus.publish(Message::new("x", "")).await.unwrap();
    bus.expect_dead().await.count(1).attempts(10).reason("error:handler");
    assert_eq!(tries.load(Ordering::SeqCst), 10);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    bus.expect_delivered("never").await.count(0);
}

#[tokio::test]
async fn time_passes_only_as_far_as_it_is_let() {
    let bus = TestBus::new("shop").unwrap();
    bus.subscribe_with("second", "#", hourly(10), |d: Delivery| async move {
        if d.attempt == 1 { Err(HandlerError::retry("not yet")) } else { Ok(()) }
    })
    .unwrap();
    bus.start().await.unwrap();
    bus.publish(Message::new("x", "").id("retried")).await.unwrap();
    bus.publish(Message { deliver_at: Some(now_ms() + 10 * 3_600_000), ..Message::new("x", "").id("later") })
        .await
        .unwrap();
    let waiting = |row: &busway::core::admin::EndpointRow| (row.delivered, row.failed);
    bus.advance(HOUR / 2).await.unwrap();
    let admin = bus.admin().await.unwrap();
    assert_eq!(waiting(&admin.endpoints().await.unwrap()[0]), (0, 1));
    bus.advance(HOUR).await.unwrap();
    assert_eq!(waiting(&admin.endpoints().await.unwrap()[0]), (1, 1));
    bus.expect_delivered("second").await.ids(&["retried", "later"]).tries(2);
}

#[tokio::test]
async fn what_expires_while_it_waits_is_dead() {
    let bus = TestBus::new("shop").unwrap();
    bus.subscribe_with("late", "#", hourly(10), |_: Delivery| async {
        Err(HandlerError::retry_after(HOUR * 5))
    })
    .unwrap();
    bus.start().await.unwrap();
    bus.publish(Message { expires_at: Some(now_ms() + 3 * 3_600_000), ..Message::new("x", "") })
        .await
        .unwrap();
    bus.publish(Message::new("x", "")).await.unwrap();
    let dead = bus.expect_dead().await.count(2);
    let mut reasons: Vec<&str> = dead.letters().iter().map(|row| &*row.reason).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["error:handler", "expired"]);
}

#[tokio::test]
async fn a_bus_that_was_stopped_has_what_it_had() {
    let bus = TestBus::new("shop").unwrap();
    bus.subscribe_with("twice", "item.*", hourly(10), |d: Delivery| async move {
        if d.attempt == 1 { Err(HandlerError::retry("not yet")) } else { Ok(()) }
    })
    .unwrap();
    bus.start().await.unwrap();
    bus.publish(Message::new("item.new", "")).await.unwrap();
    bus.publish(Message::new("nobody.takes.this", "")).await.unwrap();
    bus.advance(Duration::ZERO).await.unwrap();
    bus.shutdown().await.unwrap();
    bus.start().await.unwrap();
    bus.expect_delivered("twice").await.count(1).tries(2);
    bus.expect_dead().await.count(1).reason("unroutable");
}

#[tokio::test]
#[should_panic(expected = "twice: 1 deliveries, 2 were expected")]
async fn an_expectation_that_is_not_met_panics() {
    let bus = TestBus::new("shop").unwrap();
    bus.subscribe("twice", "#", |_: Delivery| async { Ok(()) }).unwrap();
    bus.start().await.unwrap();
    bus.publish(Message::new("x", "")).await.unwrap();
    let _taken = bus.expect_delivered("twice").await.count(2);
}

#[tokio::test]
async fn an_ordered_handler_gets_each_key_in_order_through_retries() {
    let bus = TestBus::new("shop").unwrap();
    let policy = Policy { order: busway::config::Order::PartitionKey, ..hourly(10) };
    bus.subscribe_with("ordered", "#", policy, |d: Delivery| async move {
        if &*d.message.id == "1" && d.attempt < 3 { Err(HandlerError::retry("not yet")) } else { Ok(()) }
    })
    .unwrap();
    bus.start().await.unwrap();
    for id in ["1", "2", "3"] {
        bus.publish(Message::new("x", "").id(id).partition_key("one")).await.unwrap();
    }
    bus.expect_delivered("ordered").await.ids(&["1", "2", "3"]);
    bus.expect_dead().await.count(0);
}
