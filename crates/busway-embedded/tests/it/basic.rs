//! Publish, receive, settle, open again.

use busway_core::reason::Reason;
use busway_core::transport::{Declare, Group, ReceiverOptions, Selector};
use busway_core::{ErrorKind, Message, Outcome, Publication, Queue, Transport};
use std::time::Duration;

use crate::support::{Bench, ack, exactly, ids, message, now, settle};

#[tokio::test]
async fn what_was_published_is_received_as_it_was_and_is_gone_after_the_ack() {
    let bench = Bench::new().await;
    let mut sent = Message::new("item.updated", vec![0_u8, 255, 7]).account("acme").subject("s");
    sent.extensions.insert("traceparent".into(), busway_core::AttributeValue::String("00-1".into()));
    bench.put(Queue::Priority, vec![sent.clone()]).await;
    let reader = bench.reader(Queue::Priority).await;
    let leased = exactly(&reader, 1).await;
    assert_eq!(leased[0].message, sent);
    assert_eq!(leased[0].deliveries, Some(1));
    let depth = bench.depth(Queue::Priority).await;
    assert_eq!((depth.ready, depth.in_flight, depth.delayed), (Some(0), Some(1), Some(0)));
    ack(&reader, leased).await;
    assert_eq!(bench.depth(Queue::Priority).await.in_flight, Some(0));
    drop(reader);
    let bench = bench.reopen().await;
    assert_eq!(bench.depth(Queue::Priority).await.ready, Some(0));
}

/// A long batch is taken into the index in runs; a start reads it message by message.
#[tokio::test]
async fn a_long_batch_of_many_kinds_is_known_as_after_a_start() {
    let bench = Bench::with(|config| config.cache_bytes = 0).await;
    let later = busway_core::clock::now_ms() + 3_600_000;
    let make = |n: u64| {
        let mut message = Message::new("test.made", format!("{n:0width$}", width = 1 + n as usize % 90));
        message.id = format!("m{n}");
        message.account = [None, Some("acme"), Some("bolt")][n as usize / 7 % 3].map(str::to_owned);
        message.destination = (n / 50 % 2 == 1).then(|| "shop".to_owned());
        message.priority = 3 + (n / 20 % 3) as u8;
        message.accepted = Some(1_700_000_000_000 + n * 37);
        message.deliver_at = n.is_multiple_of(31).then_some(later);
        let queue =
            if (n / 400).is_multiple_of(2) { Queue::Priority } else { Queue::parse("unknown").unwrap() };
        let mut publication = Publication::new(queue, message);
        publication.group = (n % 45 == 9).then_some(Group { key: n / 90, position: None });
        publication
    };
    let sent: Vec<_> = (0..5_000).map(make).collect();
    let there = sent.iter().filter(|publication| publication.queue == Queue::Priority).count();
    let results = bench.publish(sent.clone()).await;
    for (publication, result) in sent.iter().zip(results) {
        assert_eq!(result.is_ok(), publication.queue == Queue::Priority);
    }
    let mut known = Vec::new();
    let mut bench = Some(bench);
    for _ in 0..2 {
        let store = bench.take().unwrap();
        let depth = store.depth(Queue::Priority).await;
        let lanes = store.transport.breakdown(&Queue::Priority, 100).await.unwrap();
        let reader = store.reader(Queue::Priority).await;
        let leased = exactly(&reader, depth.ready.unwrap() as usize).await;
        assert_eq!(
            Some(there as u64),
            depth.ready.zip(depth.delayed).map(|(ready, delayed)| ready + delayed)
        );
        for leased in &leased {
            let n: usize = leased.message.id[1..].parse().unwrap();
            assert_eq!(leased.message, sent[n].message);
        }
        let order: Vec<_> = ids(&leased).into_iter().map(str::to_owned).collect();
        known.push((format!("{depth:?}"), format!("{lanes:?}"), order));
        settle(&reader, leased, Outcome::Release).await;
        drop(reader);
        bench = Some(store.reopen().await);
    }
    assert_eq!(known[0], known[1]);
}

#[tokio::test]
async fn what_was_not_settled_is_there_after_a_restart_with_its_deliveries_counted() {
    let bench = Bench::new().await;
    bench.put(Queue::Priority, (0..10).map(|n| message(format!("m{n}"))).collect()).await;
    let reader = bench.reader(Queue::Priority).await;
    let leased = exactly(&reader, 5).await;
    let (first, rest): (Vec<_>, Vec<_>) = leased.into_iter().partition(|l| l.message.id.as_str() < "m2");
    ack(&reader, first).await;
    std::mem::forget(rest);
    drop(reader);
    let bench = bench.reopen().await;
    let reader = bench.reader(Queue::Priority).await;
    let again = exactly(&reader, 8).await;
    assert_eq!(ids(&again), ["m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"]);
    let counts: Vec<_> = again.iter().map(|leased| leased.deliveries.unwrap()).collect();
    assert_eq!(counts, [2, 2, 2, 1, 1, 1, 1, 1]);
}

#[tokio::test]
async fn a_retried_message_waits_and_carries_its_attempt_and_reason() {
    let bench = Bench::new().await;
    bench.put(Queue::Delayed, vec![message("a")]).await;
    let reader = bench.reader(Queue::Delayed).await;
    let leased = exactly(&reader, 1).await;
    let outcome = Outcome::Retry { after: Duration::from_secs(2), reason: Reason::error("timeout") };
    let begun = busway_core::clock::now_ms();
    settle(&reader, leased, outcome).await;
    assert!(now(&reader, 1).await.is_empty());
    assert_eq!(bench.depth(Queue::Delayed).await.delayed, Some(1));
    let leased = exactly(&reader, 1).await;
    assert!(busway_core::clock::now_ms() >= begun + 2_000);
    let message = &leased[0].message;
    assert_eq!(message.attempt, 1);
    assert_eq!(message.reason, Some(Reason::error("timeout")));
    assert!(message.deliver_at.unwrap() >= begun + 2_000);
    assert!(message.parked.unwrap() >= begun);
}

#[tokio::test]
async fn a_dead_message_moves_with_its_reason_and_origin() {
    let bench = Bench::new().await;
    bench.put(Queue::Delayed, vec![message("a").account("acme")]).await;
    let reader = bench.reader(Queue::Delayed).await;
    let leased = exactly(&reader, 1).await;
    settle(&reader, leased, Outcome::Dead { reason: Reason::error("decode"), attempts: 3 }).await;
    drop(reader);
    let bench = bench.reopen().await;
    assert_eq!(bench.depth(Queue::Delayed).await.ready, Some(0));
    let peeked = bench.transport.peek(&Queue::Dead, &Selector::All, 0, 10).await.unwrap();
    assert_eq!(peeked.len(), 1);
    let dead = &peeked[0].message;
    assert_eq!(dead.origin.as_deref(), Some("local/delayed"));
    assert_eq!((dead.attempt, dead.account.as_deref()), (3, Some("acme")));
    assert_eq!(dead.reason, Some(Reason::error("decode")));
    assert!(dead.parked.is_some() && dead.deliver_at.is_none());
}

#[tokio::test]
async fn what_was_never_declared_is_not_found() {
    let bench = Bench::new().await;
    let queue = Queue::parse("audit").unwrap();
    let results = bench
        .publish(vec![
            Publication::new(queue.clone(), message("a")),
            Publication::new(Queue::Dead, message("b")),
        ])
        .await;
    assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::NotFound);
    assert!(results[1].is_ok());
    let error = bench.transport.receiver(&queue, ReceiverOptions::default()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = bench.transport.declare(std::slice::from_ref(&queue), Declare::Verify).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    bench.transport.declare(std::slice::from_ref(&queue), Declare::Create).await.unwrap();
    bench.transport.declare(std::slice::from_ref(&queue), Declare::Verify).await.unwrap();
    let bench = bench.reopen().await;
    bench.transport.declare(&[queue], Declare::Verify).await.unwrap();
}

#[tokio::test]
async fn a_closed_store_answers_closed() {
    let bench = Bench::new().await;
    let reader = bench.reader(Queue::Priority).await;
    let waiting = {
        let reader = reader.clone();
        tokio::spawn(async move {
            reader.receive(busway_core::transport::Want::new(1, Duration::from_secs(30))).await
        })
    };
    bench.put(Queue::Priority, vec![message("a")]).await;
    let leased = waiting.await.unwrap().unwrap();
    bench.transport.close().await.unwrap();
    assert_eq!(bench.transport.close().await.unwrap_err().kind(), ErrorKind::Closed);
    let results = bench.publish_after_close().await;
    assert_eq!(results.unwrap_err().kind(), ErrorKind::Closed);
    let results = reader.settle(leased.into_iter().map(|l| (l.receipt, Outcome::Ack)).collect()).await;
    assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::Closed);
    let error =
        reader.receive(busway_core::transport::Want::new(1, Duration::from_secs(30))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

impl Bench {
    async fn publish_after_close(&self) -> busway_core::Result<()> {
        self.transport.sender().await.map(drop)
    }
}
