//! Order where it is promised: of a queue, of groups, and what overtakes by priority.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use busway_core::clock::now_ms;
use busway_core::transport::{Group, ReceiverOptions};
use busway_core::{Message, Outcome, Publication, Queue, Reason};

use super::sample::{grouped, ids, message, numbered};
use super::table;
use crate::OrderChecker;
use crate::suite::{Bed, Outcomes, Reader, ensure, fail};
use crate::sync::lock;

table! { "order":
    "queue" queue [Order] "messages of one queue come in the order in which they were confirmed";
    "released-keeps-its-place" released_keeps_its_place [Order] "a released message comes back in its old place";
    "keys" keys [Groups] "1,000 messages of 16 keys: order within each, one at a time";
    "one-at-a-time" one_at_a_time [Groups] "the second of a group is not handed out before the first is acknowledged, and is then";
    "groups-are-apart" groups_are_apart [Groups] "a group is named by key and destination; others go on beside it";
    "head-comes-back-first" head_comes_back_first [Groups] "a head that is released or dropped comes again before the rest of its group";
    "lost-lease-blocks" lost_lease_blocks [Groups, Lease] "a head whose lease ends comes again before the rest of its group";
    "head-waits" head_waits [Groups, Delay] "a head retried or parked keeps its place, and the rest wait until it is due";
    "delayed-head" delayed_head [Groups, Delay] "a group published with a delayed head waits for it";
    "dead-head-lets-go" dead_head_lets_go [Groups] "a dead head lets its successors go";
    "positions" positions [Groups] "a group goes by position, those without one last";
    "priority" priority [Priority] "a high priority overtakes a backlog of low ones";
}

async fn queue(bed: Bed) -> Outcomes {
    const COUNT: usize = 200;
    let bus = bed.open(&[Queue::Priority]).await?;
    for batch in numbered(COUNT).chunks(20) {
        bus.publish(&Queue::Priority, batch.to_vec()).await?;
    }
    let got = bus.reader(&Queue::Priority).await?.drain(COUNT).await?;
    let wrong = got.iter().zip(ids(COUNT)).find(|(got, sent)| *got != sent);
    match wrong {
        Some((got, sent)) => fail!("{got} came where {sent} was due"),
        None => Ok(()),
    }
}

async fn released_keeps_its_place(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, numbered(5)).await?;
    let options = ReceiverOptions { prefetch: Some(1), ..Default::default() };
    let reader = bus.reader_with(&Queue::Priority, options).await?;
    for id in ids(5) {
        for _ in 0..2 {
            reader.settle(reader.this(&id).await?, Outcome::Release).await?;
        }
        reader.ack(reader.this(&id).await?).await?;
    }
    Ok(())
}

async fn keys(bed: Bed) -> Outcomes {
    const KEYS: u64 = 16;
    let count = bed.features().count(1_000) as u64;
    let bus = bed.open(&[Queue::Priority]).await?;
    let publication = |index: u64| {
        let mut message = message(&format!("{index}"));
        message.sequence = Some(index);
        grouped(&Queue::Priority, message, index % KEYS)
    };
    for batch in (0..count).collect::<Vec<_>>().chunks(40) {
        bus.publish_all(batch.iter().copied().map(publication).collect()).await?;
    }
    let watch = Arc::new(KeyWatch { open: Mutex::new(count), ..KeyWatch::default() });
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let reader = bus.reader(&Queue::Priority).await?;
        tasks.spawn(consume_keys(reader, Arc::clone(&watch), KEYS, bed.features().patience));
    }
    tasks.join_all().await.into_iter().collect::<Outcomes>()?;
    let verdict = watch.order.verdict();
    ensure!(verdict.is_valid(), "{verdict}");
    Ok(())
}

/// What the readers of one queue know together.
#[derive(Default)]
struct KeyWatch {
    order: OrderChecker,
    in_hand: Mutex<HashMap<u64, u64>>,
    open: Mutex<u64>,
    released: Mutex<HashSet<u64>>,
}

impl KeyWatch {
    /// Records that a message is in hand: no other of its key may be.
    fn take(&self, key: u64, sequence: u64) -> Outcomes {
        self.order.delivered(&key.to_string(), sequence);
        match lock(&self.in_hand).insert(key, sequence) {
            Some(other) => fail!("{sequence} was handed out while {other} of its key was in hand"),
            None => Ok(()),
        }
    }
}

async fn consume_keys(reader: Reader, watch: Arc<KeyWatch>, keys: u64, patience: Duration) -> Outcomes {
    let mut last = Instant::now();
    while *lock(&watch.open) > 0 {
        let mut in_hand = Vec::new();
        for leased in reader.try_receive(4, Duration::from_millis(100)).await?? {
            let sequence = leased.message.sequence.unwrap_or(u64::MAX);
            watch.take(sequence % keys, sequence)?;
            in_hand.push((sequence, leased));
        }
        // Whoever hands out the next of a key too soon has time to.
        tokio::time::sleep(Duration::from_millis(1)).await;
        for (sequence, leased) in in_hand {
            last = Instant::now();
            lock(&watch.in_hand).remove(&(sequence % keys));
            if sequence.is_multiple_of(10) && lock(&watch.released).insert(sequence) {
                reader.settle(leased, Outcome::Release).await?;
            } else {
                reader.ack(leased).await?;
                *lock(&watch.open) -= 1;
            }
        }
        ensure!(last.elapsed() < patience, "nothing came for {patience:?}, {} are left", lock(&watch.open));
    }
    Ok(())
}

async fn one_at_a_time(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let readers = [bus.reader(&Queue::Priority).await?, bus.reader(&Queue::Priority).await?];
    bus.publish_all(group_of(&Queue::Priority, 1, 4)).await?;
    for (turn, id) in ids(4).iter().enumerate() {
        let (reader, other) = (&readers[turn % 2], &readers[(turn + 1) % 2]);
        let leased = reader.this(id).await?;
        other.none(&format!("{id} of the group is in another's hand")).await?;
        reader.none(&format!("{id} of the group is in hand")).await?;
        reader.ack(leased).await?;
    }
    Ok(())
}

async fn groups_are_apart(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let to = |id: &str, destination: Option<&str>, key: Option<u64>| {
        let mut message = message(id);
        message.destination = destination.map(str::to_owned);
        let group = key.map(|key| Group { key, position: None });
        Publication { group, ..Publication::new(Queue::Priority, message) }
    };
    bus.publish_all(vec![
        to("a", Some("one"), Some(1)),
        to("a-behind", Some("one"), Some(1)),
        to("b", Some("two"), Some(1)),
        to("c", Some("one"), Some(2)),
        to("d", None, Some(1)),
        to("e", Some("one"), None),
        to("f", Some("one"), None),
    ])
    .await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let held = reader.take(6).await?;
    let mut got: Vec<&str> = held.iter().map(|leased| leased.message.id.as_str()).collect();
    got.sort_unstable();
    ensure!(
        got == ["a", "b", "c", "d", "e", "f"],
        "the heads and those without a group were due, {got:?} came"
    );
    reader.none("the rest is behind").await?;
    reader.ack_all(held).await?;
    reader.ack(reader.this("a-behind").await?).await
}

async fn head_comes_back_first(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish_all(group_of(&Queue::Priority, 1, 3)).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    for id in ids(3) {
        reader.settle(reader.this(&id).await?, Outcome::Release).await?;
        drop(reader.this(&id).await?);
        let again = Outcome::Retry { after: Duration::ZERO, reason: Reason::error("tried") };
        reader.settle(reader.this(&id).await?, again).await?;
        reader.ack(reader.this(&id).await?).await?;
    }
    Ok(())
}

async fn lost_lease_blocks(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish_all(group_of(&Queue::Priority, 1, 2)).await?;
    let (late, reader) = (bus.short_lease(&Queue::Priority).await?, bus.reader(&Queue::Priority).await?);
    let stale = late.this("0000").await?;
    let again = reader.this("0000").await?;
    drop(stale);
    reader.none("the head is in hand again").await?;
    reader.ack(again).await?;
    reader.ack(reader.this("0001").await?).await
}

async fn head_waits(bed: Bed) -> Outcomes {
    let (after, reason) = (bed.features().delay, Reason::Saturated);
    let bus = bed.open(&[Queue::Delayed]).await?;
    bus.publish_all(group_of(&Queue::Delayed, 1, 3)).await?;
    let reader = bus.reader(&Queue::Delayed).await?;
    let retry = Outcome::Retry { after, reason: reason.clone() };
    for outcome in [retry, Outcome::Park { after, reason }] {
        let head = reader.this("0000").await?;
        let begun = Instant::now();
        reader.settle(head, outcome).await?;
        bus.publish_all(vec![grouped(&Queue::Delayed, message("beside"), 2)]).await?;
        reader.ack(reader.this("beside").await?).await?;
        let again = reader.this("0000").await?;
        let waited = begun.elapsed();
        ensure!(waited + Duration::from_millis(10) >= after, "the head came after {waited:?} of {after:?}");
        reader.settle(again, Outcome::Release).await?;
    }
    for id in ids(3) {
        reader.ack(reader.this(&id).await?).await?;
    }
    Ok(())
}

async fn delayed_head(bed: Bed) -> Outcomes {
    let delay = bed.features().delay;
    let bus = bed.open(&[Queue::Delayed]).await?;
    let reader = bus.reader(&Queue::Delayed).await?;
    let due = now_ms() + u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    let head = grouped(&Queue::Delayed, message("head").deliver_at(due), 1);
    bus.publish_all(vec![head]).await?;
    bus.publish_all(vec![grouped(&Queue::Delayed, message("behind"), 1)]).await?;
    bus.publish_all(vec![grouped(&Queue::Delayed, message("beside"), 2)]).await?;
    reader.ack(reader.this("beside").await?).await?;
    let leased = reader.this("head").await?;
    ensure!(now_ms() >= due, "the head came {} ms early", due - now_ms());
    reader.none("the head is in hand").await?;
    reader.ack(leased).await?;
    reader.ack(reader.this("behind").await?).await
}

async fn dead_head_lets_go(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish_all(group_of(&Queue::Priority, 1, 3)).await?;
    let (reader, dead) = (bus.reader(&Queue::Priority).await?, bus.reader(&Queue::Dead).await?);
    for id in ids(2) {
        let outcome = Outcome::Dead { reason: Reason::error("reject"), attempts: 1 };
        reader.settle(reader.this(&id).await?, outcome).await?;
    }
    reader.ack(reader.this("0002").await?).await?;
    dead.drain(2).await?;
    Ok(())
}

async fn positions(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Delayed]).await?;
    let at = |id: &str, position: Option<u64>| {
        let group = Some(Group { key: 1, position });
        Publication { group, ..Publication::new(Queue::Delayed, message(id)) }
    };
    let batch = vec![at("last", None), at("30", Some(30)), at("10", Some(10)), at("20", Some(20))];
    bus.publish_all(batch).await?;
    let reader = bus.reader(&Queue::Delayed).await?;
    let first = reader.this("10").await?;
    bus.publish_all(vec![at("5", Some(5)), at("25", Some(25)), at("very-last", None)]).await?;
    reader.none("10 is in hand").await?;
    reader.ack(first).await?;
    for id in ["5", "20", "25", "30", "last", "very-last"] {
        let leased = reader.this(id).await?;
        if let Ok(given) = id.parse::<u64>() {
            let told = leased.position;
            ensure!(
                told.is_none_or(|told| told == given),
                "{given} was given as its place, {told:?} is told"
            );
        }
        reader.ack(leased).await?;
    }
    Ok(())
}

async fn priority(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let with = |id: String, priority: u8| -> Message { message(&id).priority(priority) };
    bus.publish(&Queue::Priority, (0..100).map(|index| with(format!("low-{index}"), 1)).collect()).await?;
    bus.publish(&Queue::Priority, vec![with("high".to_owned(), 9)]).await?;
    let options = ReceiverOptions { prefetch: Some(1), ..Default::default() };
    let reader = bus.reader_with(&Queue::Priority, options).await?;
    let before = overtaken(&reader).await?;
    ensure!(before <= 1, "the high one came after {before} of 100 low ones");
    reader.drain(100 - before).await?;
    Ok(())
}

/// How many low ones came before the high one.
async fn overtaken(reader: &Reader) -> Outcomes<usize> {
    for before in 0..=100 {
        let leased = reader.one().await?;
        let found = leased.message.id == "high";
        reader.ack(leased).await?;
        if found {
            return Ok(before);
        }
    }
    fail!("the high one never came")
}

fn group_of(queue: &Queue, key: u64, count: usize) -> Vec<Publication> {
    numbered(count).into_iter().map(|message| grouped(queue, message, key)).collect()
}
