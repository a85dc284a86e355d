//! Messages in hand: leases, receipts, prefetch, receives that are cancelled or wait.

use std::time::{Duration, Instant};

use busway_core::reason::Reason;
use busway_core::transport::{ReceiverOptions, Selector, Want};
use busway_core::{ErrorKind, Outcome, Queue, Transport};

use crate::support::{Bench, ack, exactly, ids, message, now, settle};

fn with_lease(millis: u64) -> ReceiverOptions {
    ReceiverOptions { lease: Some(Duration::from_millis(millis)), ..ReceiverOptions::default() }
}

#[tokio::test]
async fn a_message_that_is_not_settled_in_time_returns_and_its_old_receipt_is_worthless() {
    let bench = Bench::new().await;
    bench.put(Queue::Priority, vec![message("a")]).await;
    let reader = bench.reader_of(Queue::Priority, with_lease(60)).await;
    let begun = Instant::now();
    let first = exactly(&reader, 1).await;
    // Its own lease is long, so that it still has the message at the end.
    let later = bench.reader(Queue::Priority).await;
    let again = exactly(&later, 1).await;
    assert!(begun.elapsed() >= Duration::from_millis(60));
    assert_eq!((ids(&again), again[0].deliveries), (vec!["a"], Some(2)));
    let results = reader.settle(first.into_iter().map(|l| (l.receipt, Outcome::Ack)).collect()).await;
    assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::LeaseLost);
    let depth = bench.depth(Queue::Priority).await;
    assert_eq!((depth.ready, depth.in_flight), (Some(0), Some(1)), "the later holder still has it");
    ack(&later, again).await;
}

#[tokio::test]
async fn a_receiver_without_room_leaves_what_comes_to_another() {
    let bench = Bench::new().await;
    bench.put(Queue::Priority, vec![message("a")]).await;
    let narrow = ReceiverOptions { prefetch: Some(1), ..ReceiverOptions::default() };
    let full = bench.reader_of(Queue::Priority, narrow).await;
    let in_hand = exactly(&full, 1).await;
    // Takes the call that nobody had waited for.
    assert!(now(&full, 1).await.is_empty());
    let waits = {
        let full = full.clone();
        tokio::spawn(async move { full.receive(Want::new(1, Duration::from_secs(60))).await })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    let other = bench.reader(Queue::Priority).await;
    let comes = tokio::spawn(async move { other.receive(Want::new(1, Duration::from_secs(5))).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    bench.put(Queue::Priority, vec![message("b")]).await;
    let leased = comes.await.unwrap().unwrap();
    assert_eq!(ids(&leased), ["b"]);
    drop(in_hand);
    waits.abort();
}

#[tokio::test]
async fn an_extended_lease_holds_as_long_as_was_asked_for() {
    let bench = Bench::new().await;
    bench.put(Queue::Priority, vec![message("a"), message("b")]).await;
    let reader = bench.reader_of(Queue::Priority, with_lease(2_000)).await;
    let leased = exactly(&reader, 2).await;
    let long = Duration::from_secs(60);
    let results = reader.extend(&[leased[0].receipt.token()], long).await;
    assert!(results[0].is_ok());
    let back = exactly(&reader, 1).await;
    assert_eq!(ids(&back), ["b"]);
    let results = reader.extend(&[leased[1].receipt.token(), leased[0].receipt.token()], long).await;
    assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::LeaseLost);
    assert!(results[1].is_ok());
    let mut leased = leased.into_iter();
    ack(&reader, leased.next().into_iter().collect()).await;
}

#[tokio::test]
async fn a_dropped_receipt_brings_the_message_back_after_a_growing_back_off_in_its_old_place() {
    let bench = Bench::with(|config| config.backoff_first = Duration::from_millis(40)).await;
    bench.put(Queue::Priority, vec![message("a"), message("b")]).await;
    let reader = bench.reader(Queue::Priority).await;
    for round in 0..3 {
        let leased = exactly(&reader, 1).await;
        assert_eq!(ids(&leased), ["a"]);
        assert_eq!(leased[0].deliveries, Some(round + 1));
        let begun = Instant::now();
        drop(leased);
        let wait = Duration::from_millis(40 << round);
        let deadline = begun + Duration::from_secs(60);
        while bench.depth(Queue::Priority).await.ready != Some(2) {
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(begun.elapsed() + Duration::from_millis(2) >= wait, "{:?} after {round}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_receipt_that_outlives_its_store_does_no_harm() {
    let bench = Bench::new().await;
    bench.put(Queue::Priority, vec![message("a")]).await;
    let reader = bench.reader(Queue::Priority).await;
    let leased = exactly(&reader, 1).await;
    drop(reader);
    let bench = bench.reopen().await;
    let reader = bench.reader(Queue::Priority).await;
    let again = exactly(&reader, 1).await;
    let results = reader.settle(leased.into_iter().map(|l| (l.receipt, Outcome::Ack)).collect()).await;
    assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(bench.depth(Queue::Priority).await.in_flight, Some(1));
    ack(&reader, again).await;
}

#[tokio::test]
async fn prefetch_bounds_what_is_in_hand_exactly_and_room_wakes_a_waiting_receive() {
    let bench = Bench::with(|config| config.backoff_first = Duration::from_secs(10)).await;
    bench.put(Queue::Priority, (0..10).map(|n| message(format!("m{n}"))).collect()).await;
    let options = ReceiverOptions { prefetch: Some(3), ..ReceiverOptions::default() };
    let reader = bench.reader_of(Queue::Priority, options).await;
    let mut leased = exactly(&reader, 3).await;
    assert!(now(&reader, 5).await.is_empty());
    let waiting = {
        let reader = reader.clone();
        tokio::spawn(async move { reader.receive(Want::new(5, Duration::from_secs(20))).await.unwrap() })
    };
    tokio::task::yield_now().await;
    assert_eq!(bench.depth(Queue::Priority).await.in_flight, Some(3));
    ack(&reader, vec![leased.remove(1)]).await;
    let next = waiting.await.unwrap();
    assert_eq!(ids(&next), ["m3"]);
    drop(next);
    let next = exactly(&reader, 1).await;
    assert_eq!(ids(&next), ["m4"], "a dropped receipt makes room at once, its message comes later");
    let other = bench.reader(Queue::Priority).await;
    assert_eq!(ids(&exactly(&other, 2).await), ["m5", "m6"], "the bound is each receiver's own");
}

#[tokio::test]
async fn a_receive_that_is_cancelled_loses_nothing_and_counts_nothing() {
    let bench = Bench::with(|config| config.cache_bytes = 0).await;
    let body = ".".repeat(20_000);
    let make = |n: usize| busway_core::Message::new("t", body.clone()).id(format!("m{n:03}"));
    bench.put(Queue::Priority, (0..200).map(make).collect()).await;
    let reader = bench.reader(Queue::Priority).await;
    let mut cancelled = 0;
    for round in 0..200 {
        let receive = reader.receive(Want::new(200, Duration::from_secs(20)));
        let patience = Duration::from_micros(20 * round);
        match tokio::time::timeout(patience, receive).await {
            Err(_) => cancelled += 1,
            Ok(leased) => settle(&reader, leased.unwrap(), Outcome::Release).await,
        }
    }
    assert!(cancelled > 0, "some were cancelled while they read");
    let all = exactly(&reader, 200).await;
    let expected: Vec<String> = (0..200).map(|n| format!("m{n:03}")).collect();
    assert_eq!(ids(&all), expected.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(all.iter().all(|leased| leased.deliveries.unwrap() <= 200 - cancelled + 1));
}

#[tokio::test]
async fn a_message_wakes_one_who_waits_for_it_and_none_is_left_asleep() {
    let bench = Bench::new().await;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let reader = bench.reader(Queue::Priority).await;
        waiting.spawn(async move {
            let got = exactly(&reader, 1).await;
            let id = got[0].message.id.clone();
            ack(&reader, got).await;
            id
        });
    }
    // One of each pair below is woken by what the other leaves.
    for n in 0..50 {
        bench.put(Queue::Priority, vec![message(format!("a{n}")), message(format!("b{n}"))]).await;
    }
    let mut all = waiting.join_all().await;
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 100);
}

#[tokio::test]
async fn three_hundred_idle_readers_of_parts_get_each_their_own() {
    let bench = Bench::new().await;
    let mut waiting = tokio::task::JoinSet::new();
    for n in 0..300 {
        let selector = Selector::Destination(format!("d{n}").as_str().into());
        let options = ReceiverOptions { selector, ..ReceiverOptions::default() };
        let reader = bench.reader_of(Queue::Delayed, options).await;
        waiting.spawn(async move {
            let got = exactly(&reader, 1).await;
            assert_eq!(got[0].message.destination.as_deref(), Some(format!("d{n}").as_str()));
            ack(&reader, got).await;
        });
    }
    let messages = (0..300).map(|n| {
        let mut message = message(format!("m{n}"));
        message.destination = Some(format!("d{n}"));
        message
    });
    bench.put(Queue::Delayed, messages.collect()).await;
    waiting.join_all().await;
}

#[tokio::test]
async fn a_cancelled_waiter_passes_its_wake_up_on() {
    let bench = Bench::new().await;
    for round in 0..200 {
        let first = bench.reader(Queue::Priority).await;
        let second = bench.reader(Queue::Priority).await;
        let cancelled =
            tokio::spawn(async move { first.receive(Want::new(1, Duration::from_secs(20))).await });
        let waits = tokio::spawn(async move {
            let got = exactly(&second, 1).await;
            ack(&second, got).await;
        });
        tokio::task::yield_now().await;
        let publish = bench.put(Queue::Priority, vec![message(format!("m{round}"))]);
        cancelled.abort();
        publish.await;
        if let Ok(Ok(got)) = cancelled.await {
            drop(got);
        }
        waits.await.unwrap();
    }
}

#[tokio::test]
async fn ready_waits_until_there_is_something_and_takes_nothing() {
    let bench = Bench::new().await;
    let reader = bench.reader(Queue::Priority).await;
    let soon = || Instant::now() + Duration::from_millis(30);
    assert!(!reader.ready(soon()).await.unwrap());
    let waiting = {
        let reader = reader.clone();
        tokio::spawn(async move { reader.ready(Instant::now() + Duration::from_secs(20)).await.unwrap() })
    };
    tokio::task::yield_now().await;
    bench.put(Queue::Priority, vec![message("a")]).await;
    assert!(waiting.await.unwrap());
    assert!(reader.ready(soon()).await.unwrap());
    assert_eq!(bench.depth(Queue::Priority).await.ready, Some(1));
}

#[tokio::test]
async fn a_closed_receiver_answers_closed_and_what_it_gave_out_can_still_be_settled() {
    let bench = Bench::new().await;
    bench.put(Queue::Priority, vec![message("a")]).await;
    let reader = bench.reader(Queue::Priority).await;
    let leased = exactly(&reader, 1).await;
    let waiting = {
        let reader = reader.clone();
        tokio::spawn(async move { reader.receive(Want::new(1, Duration::from_secs(60))).await })
    };
    tokio::task::yield_now().await;
    reader.close().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(reader.close().await.unwrap_err().kind(), ErrorKind::Closed);
    let error = reader.receive(Want::new(1, Duration::ZERO)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    ack(&reader, leased).await;
}

#[tokio::test]
async fn bytes_bound_a_receive_but_one_message_always_comes() {
    let bench = Bench::new().await;
    let make = |n: usize| busway_core::Message::new("t", ".".repeat(5000)).id(format!("m{n}"));
    bench.put(Queue::Priority, (0..10).map(make).collect()).await;
    let weight = make(0).weight();
    let reader = bench.reader(Queue::Priority).await;
    let want = |max_bytes| Want { max: 10, max_bytes, until: Instant::now() };
    assert_eq!(reader.receive(want(1)).await.unwrap().len(), 1);
    let bench = bench.reopen().await;
    let reader = bench.reader(Queue::Priority).await;
    assert_eq!(reader.receive(want(3 * weight)).await.unwrap().len(), 3);
    assert_eq!(reader.receive(want(3 * weight + 1)).await.unwrap().len(), 4);
}

#[tokio::test]
async fn settling_at_once_in_many_tasks_is_all_durable() {
    let bench = Bench::new().await;
    bench.put(Queue::Priority, (0..500).map(|n| message(format!("m{n}"))).collect()).await;
    let reader = bench.reader(Queue::Priority).await;
    let mut tasks = tokio::task::JoinSet::new();
    for (n, leased) in exactly(&reader, 500).await.into_iter().enumerate() {
        let reader = reader.clone();
        tasks.spawn(async move {
            let reason = Reason::Saturated;
            let outcome = match n % 4 {
                0 => Outcome::Ack,
                1 => Outcome::Release,
                2 => Outcome::Park { after: Duration::from_secs(3600), reason },
                _ => Outcome::Dead { reason, attempts: 1 },
            };
            settle(&reader, vec![leased], outcome).await;
        });
    }
    tasks.join_all().await;
    drop(reader);
    let bench = bench.reopen().await;
    let depth = bench.depth(Queue::Priority).await;
    assert_eq!((depth.ready, depth.delayed), (Some(125), Some(125)));
    assert_eq!(bench.depth(Queue::Dead).await.ready, Some(125));
    assert!(bench.transport.receiver(&Queue::Dead, ReceiverOptions::default()).await.is_ok());
}
