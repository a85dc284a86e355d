//! Handlers of one name in several members of one bus: the holder of the store and its guests. Each bus
//! here is a member as another process would be.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use busway::config::{Order, Policy};
use busway::core::transport::Filter;
use busway::{Bus, Delivery, ErrorKind, HandlerError, Message};

use crate::handlers::until;

type Seen = Arc<Mutex<Vec<String>>>;

fn member(directory: &Path) -> Bus {
    Bus::builder("shop").embedded(directory).build().unwrap()
}

/// A member that handles what is for `work`.
fn worker(directory: &Path, order: Order) -> (Bus, Seen) {
    let (bus, seen) = (member(directory), Seen::default());
    let kept = Arc::clone(&seen);
    let policy = Policy { order, ..Policy::default() };
    bus.subscribe_with("work", "job.*", policy, move |d: Delivery| {
        kept.lock().unwrap().push(d.message.id.clone());
        async { Ok(()) }
    })
    .unwrap();
    (bus, seen)
}

async fn publish(bus: &Bus, ids: std::ops::Range<usize>) {
    for id in ids {
        let message = Message::new("job.new", "").id(id.to_string()).partition_key((id % 4).to_string());
        bus.publish(message).await.unwrap();
    }
}

fn distinct(seen: &[&Seen]) -> usize {
    let all: std::collections::BTreeSet<String> =
        seen.iter().flat_map(|seen| seen.lock().unwrap().clone()).collect();
    all.len()
}

async fn waiting(bus: &Bus) -> u64 {
    let report = bus.admin().await.unwrap().queues().await.unwrap();
    let row = report.queues.into_iter().find(|row| row.queue == "to.work");
    row.map_or(0, |row| row.ready.unwrap() + row.in_flight.unwrap() + row.delayed.unwrap())
}

#[tokio::test]
async fn a_handler_elsewhere_gets_what_the_holder_takes_in_and_what_waited_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let (holder, (guest, seen)) = (member(dir.path()), worker(dir.path(), Order::None));
    holder.start().await.unwrap();
    guest.start().await.unwrap();
    publish(&holder, 0..20).await;
    publish(&guest, 20..40).await;
    until("all are handled", || async { distinct(&[&seen]) == 40 }).await;
    until("nothing waits", || async { waiting(&guest).await == 0 }).await;
    guest.shutdown().await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 40, "a stop in order delivers nothing twice");

    publish(&holder, 40..60).await;
    until("what comes without it waits on its queue", || async { waiting(&holder).await == 20 }).await;
    let (guest, late) = worker(dir.path(), Order::None);
    guest.start().await.unwrap();
    until("it is handled", || async { distinct(&[&late]) == 20 }).await;
    guest.shutdown().await.unwrap();
    holder.shutdown().await.unwrap();
}

#[tokio::test]
async fn handlers_of_one_name_share_the_messages() {
    let dir = tempfile::tempdir().unwrap();
    let members: Vec<(Bus, Seen)> = (0..3).map(|_| worker(dir.path(), Order::None)).collect();
    for (bus, _) in &members {
        bus.start().await.unwrap();
    }
    let seen: Vec<&Seen> = members.iter().map(|(_, seen)| seen).collect();
    let mut published = 0;
    let each_has = |seen: &[&Seen]| seen.iter().all(|seen| !seen.lock().unwrap().is_empty());
    while !each_has(&seen) {
        publish(&members[0].0, published..published + 30).await;
        published += 30;
        assert!(published < 30_000, "one of them gets nothing");
    }
    until("all are handled", || async { distinct(&seen) == published }).await;
    for (bus, _) in members.iter().rev() {
        bus.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_guest_comes_after_its_holder_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (holder, (guest, seen)) = (member(dir.path()), worker(dir.path(), Order::None));
    holder.start().await.unwrap();
    guest.start().await.unwrap();
    publish(&holder, 0..10).await;
    drop(holder);
    publish(&guest, 10..30).await;
    until("all are handled", || async { distinct(&[&seen]) == 30 }).await;
    let back = member(dir.path());
    back.start().await.unwrap();
    publish(&back, 30..40).await;
    until("all are handled", || async { distinct(&[&seen]) == 40 }).await;
    assert!(guest.admin().await.unwrap().dead_list(Filter::default(), 9).await.unwrap().is_empty());
    back.shutdown().await.unwrap();
    guest.shutdown().await.unwrap();
}

#[tokio::test]
async fn order_by_key_holds_over_several_members() {
    let dir = tempfile::tempdir().unwrap();
    let order: Arc<Mutex<HashMap<String, Vec<usize>>>> = Arc::default();
    let failed: Arc<Mutex<std::collections::HashSet<String>>> = Arc::default();
    let members: Vec<Bus> = (0..3)
        .map(|_| {
            let bus = member(dir.path());
            let (kept, failed) = (Arc::clone(&order), Arc::clone(&failed));
            let retry = busway::config::Retry {
                first: Duration::from_millis(20),
                ..busway::config::Retry::default()
            };
            let policy = Policy { order: Order::PartitionKey, retry, ..Policy::default() };
            bus.subscribe_with("work", "job.*", policy, move |d: Delivery| {
                let (kept, failed) = (Arc::clone(&kept), Arc::clone(&failed));
                async move {
                    let number: usize = d.message.id.parse()?;
                    if number % 7 == 3 && failed.lock().unwrap().insert(d.message.id.clone()) {
                        return Err(HandlerError::retry("not yet"));
                    }
                    let key = d.message.partitionkey.clone().unwrap_or_default();
                    kept.lock().unwrap().entry(key).or_default().push(number);
                    Ok(())
                }
            })
            .unwrap();
            bus
        })
        .collect();
    for bus in &members {
        bus.start().await.unwrap();
    }
    publish(&members[1], 0..120).await;
    let count = || order.lock().unwrap().values().map(Vec::len).sum::<usize>();
    until("all are handled", || async { count() >= 120 }).await;
    for (key, numbers) in order.lock().unwrap().iter() {
        assert!(numbers.is_sorted(), "{key}: {numbers:?}");
    }
    for bus in members.iter().rev() {
        bus.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn an_ended_subscription_gets_nothing_more_and_what_waits_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (holder, (guest, seen)) = (member(dir.path()), worker(dir.path(), Order::None));
    holder.start().await.unwrap();
    guest.start().await.unwrap();
    guest.shutdown().await.unwrap();
    publish(&holder, 0..5).await;
    until("they wait", || async { waiting(&holder).await == 5 }).await;
    holder.unsubscribe("work").await.unwrap();
    assert_eq!(holder.unsubscribe("nothing").await.unwrap_err().kind(), ErrorKind::NotFound);
    publish(&holder, 5..8).await;
    let admin = holder.admin().await.unwrap();
    until("nobody takes them", || async {
        admin
            .dead_list(Filter::default(), 9)
            .await
            .unwrap()
            .iter()
            .filter(|d| d.reason == "unroutable")
            .count()
            == 3
    })
    .await;
    holder.shutdown().await.unwrap();

    let holder = member(dir.path());
    holder.start().await.unwrap();
    assert_eq!(waiting(&holder).await, 5, "what waits is kept and shown");
    let (guest, late) = worker(dir.path(), Order::None);
    guest.start().await.unwrap();
    until("it is handled", || async { distinct(&[&late]) == 5 }).await;
    assert!(seen.lock().unwrap().is_empty());
    guest.unsubscribe("work").await.unwrap();
    guest.shutdown().await.unwrap();
    holder.shutdown().await.unwrap();

    let holder = member(dir.path());
    holder.start().await.unwrap();
    let rows = holder.admin().await.unwrap().queues().await.unwrap().queues;
    assert!(rows.iter().all(|row| row.queue != "to.work"), "nothing waits, so it is forgotten: {rows:?}");
    holder.shutdown().await.unwrap();
}
