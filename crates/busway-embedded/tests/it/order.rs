//! Who comes first: priority, position, groups, accounts in turn, due times.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use busway_core::clock::now_ms;
use busway_core::reason::Reason;
use busway_core::transport::{Filter, Group, ReceiverOptions, Selector, Standing, Turns, Want};
use busway_core::{Message, Outcome, Publication, Queue, Transport};

use crate::support::{Bench, ack, exactly, ids, message, now, settle};

fn of(destination: &str) -> ReceiverOptions {
    let selector = Selector::Destination(destination.into());
    ReceiverOptions { selector, ..ReceiverOptions::default() }
}

fn to(destination: &str, account: &str, id: String) -> Message {
    let mut message = message(id).account(account);
    message.destination = Some(destination.to_owned());
    message
}

fn grouped(id: &str, key: u64, position: Option<u64>) -> Publication {
    let mut publication = Publication::new(Queue::Delayed, to("d", "acme", id.to_owned()));
    publication.group = Some(Group { key, position });
    publication
}

async fn put_all(bench: &Bench, batch: Vec<Publication>) {
    for result in bench.publish(batch).await {
        result.unwrap();
    }
}

#[tokio::test]
async fn a_high_priority_overtakes_a_backlog_across_accounts_and_the_rest_keep_their_order() {
    let bench = Bench::new().await;
    let make = |n: usize| message(format!("low{n}")).account(format!("a{}", n % 3));
    bench.put(Queue::Priority, (0..50).map(make).collect()).await;
    let high = vec![message("high0").priority(9), message("high1").priority(9), message("mid").priority(6)];
    bench.put(Queue::Priority, high).await;
    let reader = bench.reader(Queue::Priority).await;
    let got = exactly(&reader, 53).await;
    let mut expected = vec!["high0".to_owned(), "high1".to_owned(), "mid".to_owned()];
    expected.extend((0..50).map(|n| format!("low{n}")));
    assert_eq!(ids(&got), expected.iter().map(String::as_str).collect::<Vec<_>>());
    let positions: Vec<u64> = got[3..].iter().map(|leased| leased.position.unwrap()).collect();
    assert!(positions.is_sorted());
}

#[tokio::test]
async fn a_released_message_returns_to_its_old_place() {
    let bench = Bench::new().await;
    bench.put(Queue::Priority, (0..6).map(|n| message(format!("m{n}"))).collect()).await;
    let reader = bench.reader(Queue::Priority).await;
    let mut leased = exactly(&reader, 4).await;
    settle(&reader, vec![leased.remove(2), leased.remove(0)], Outcome::Release).await;
    assert_eq!(ids(&exactly(&reader, 4).await), ["m0", "m2", "m4", "m5"]);
}

#[tokio::test]
async fn of_a_group_one_at_a_time_is_handed_out_in_order_of_position() {
    let bench = Bench::new().await;
    let batch = vec![
        grouped("third", 7, Some(30)),
        grouped("last", 7, None),
        grouped("first", 7, Some(10)),
        grouped("other", 8, Some(99)),
    ];
    put_all(&bench, batch).await;
    put_all(&bench, vec![grouped("second", 7, Some(20))]).await;
    let reader = bench.reader_of(Queue::Delayed, of("d")).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let mut got = exactly(&reader, 1).await;
        got.extend(now(&reader, 10).await);
        got.retain(|leased| leased.message.id != "other");
        assert!(got.len() <= 1, "one of the group at a time: {:?}", ids(&got));
        for leased in got {
            seen.push((leased.message.id.clone(), leased.position.unwrap()));
            ack(&reader, vec![leased]).await;
        }
    }
    let names: Vec<&str> = seen.iter().map(|(id, _)| id.as_str()).collect();
    assert!(["first", "second", "third", "last"].starts_with(&names) && names.len() >= 3, "{names:?}");
    assert_eq!((seen[0].1, seen[1].1), (10, 20));
}

#[tokio::test]
async fn a_head_that_waits_holds_its_group_and_keeps_its_place_and_a_dead_one_lets_it_go() {
    let bench = Bench::new().await;
    put_all(&bench, vec![grouped("a", 1, None), grouped("b", 1, None), grouped("free", 2, None)]).await;
    let reader = bench.reader_of(Queue::Delayed, of("d")).await;
    let mut got = exactly(&reader, 2).await;
    assert_eq!(ids(&got), ["a", "free"]);
    let retry = |millis| Outcome::Retry { after: Duration::from_millis(millis), reason: Reason::error("x") };
    settle(&reader, vec![got.remove(0)], retry(2_000)).await;
    assert!(now(&reader, 10).await.is_empty(), "b waits behind a");
    let rows = bench.transport.peek(&Queue::Delayed, &Selector::All, 0, 10).await.unwrap();
    assert!(matches!(rows[0].standing, Standing::Delayed(_)));
    assert_eq!((&rows[1].standing, &rows[2].standing), (&Standing::Behind, &Standing::InFlight));
    let depth = bench.depth(Queue::Delayed).await;
    assert_eq!((depth.ready, depth.in_flight, depth.delayed), (Some(0), Some(1), Some(2)));
    let again = exactly(&reader, 1).await;
    assert_eq!(ids(&again), ["a"]);
    drop(reader);
    let bench = bench.reopen().await;
    let reader = bench.reader_of(Queue::Delayed, of("d")).await;
    let got = exactly(&reader, 2).await;
    assert_eq!(ids(&got), ["a", "free"]);
    settle(&reader, got, Outcome::Dead { reason: Reason::error("x"), attempts: 2 }).await;
    assert_eq!(ids(&exactly(&reader, 1).await), ["b"]);
}

#[tokio::test]
async fn a_late_message_with_an_earlier_place_goes_first_unless_one_is_in_hand() {
    let bench = Bench::new().await;
    put_all(&bench, vec![grouped("b", 1, Some(20))]).await;
    let reader = bench.reader_of(Queue::Delayed, of("d")).await;
    let b = exactly(&reader, 1).await;
    put_all(&bench, vec![grouped("a", 1, Some(10)), grouped("c", 1, Some(30))]).await;
    assert!(now(&reader, 10).await.is_empty(), "b is in hand");
    settle(&reader, b, Outcome::Release).await;
    for expected in ["a", "b", "c"] {
        let got = exactly(&reader, 1).await;
        assert_eq!(ids(&got), [expected]);
        ack(&reader, got).await;
    }
}

#[tokio::test]
async fn accounts_take_turns_by_weight_and_paused_ones_wait() {
    let bench = Bench::new().await;
    bench.put(Queue::Delayed, (0..60).map(|n| to("d", "loud", format!("l{n}"))).collect()).await;
    bench.put(Queue::Delayed, (0..20).map(|n| to("d", "quiet", format!("q{n}"))).collect()).await;
    bench.put(Queue::Delayed, (0..5).map(|n| to("d", "paused", format!("p{n}"))).collect()).await;
    let reader = bench.reader_of(Queue::Delayed, of("d")).await;
    let weights = HashMap::from([("loud".to_owned(), 3)]);
    reader.set_turns(Turns { paused: ["paused".to_owned()].into(), weights: weights.clone() }).unwrap();
    let got = exactly(&reader, 40).await;
    let loud = got.iter().filter(|leased| leased.message.account.as_deref() == Some("loud")).count();
    assert_eq!(loud, 30);
    for account in ["l", "q"] {
        let own: Vec<usize> =
            got.iter().filter_map(|leased| leased.message.id.strip_prefix(account)?.parse().ok()).collect();
        assert!(own.is_sorted(), "an account's own messages keep their order");
    }
    ack(&reader, got).await;
    let rest = exactly(&reader, 40).await;
    assert!(rest.iter().all(|leased| leased.message.account.as_deref() != Some("paused")));
    ack(&reader, rest).await;
    let waiting = {
        let reader = reader.clone();
        tokio::spawn(async move { exactly(&reader, 5).await.len() })
    };
    tokio::task::yield_now().await;
    reader.set_turns(Turns { paused: ["other".to_owned()].into(), weights }).unwrap();
    assert_eq!(waiting.await.unwrap(), 5, "the end of a pause wakes who waits");
}

#[tokio::test]
async fn a_reader_that_passes_over_a_message_leaves_it_to_another() {
    let bench = Bench::new().await;
    let picky = bench.reader_of(Queue::Delayed, of("d")).await;
    picky.set_turns(Turns { paused: ["acme".to_owned()].into(), ..Turns::default() }).unwrap();
    let other = bench.reader_of(Queue::Delayed, of("d")).await;
    let first = tokio::spawn(async move { picky.receive(Want::new(1, Duration::from_millis(300))).await });
    let second = tokio::spawn(async move { exactly(&other, 1).await.len() });
    tokio::task::yield_now().await;
    bench.put(Queue::Delayed, vec![to("d", "acme", "a".to_owned())]).await;
    assert_eq!(second.await.unwrap(), 1);
    assert!(first.await.unwrap().unwrap().is_empty());
}

#[tokio::test]
async fn nothing_is_early_by_a_millisecond_and_due_times_survive_a_restart() {
    let bench = Bench::new().await;
    let first = now_ms() + 3_000;
    let make = |n: u64| message(format!("m{n}")).deliver_at(first + 7 * n);
    bench.put(Queue::Delayed, (0..40).map(make).collect()).await;
    assert_eq!(bench.depth(Queue::Delayed).await.next_due, Some(first));
    let bench = bench.reopen().await;
    let reader = bench.reader(Queue::Delayed).await;
    let mut seen = Vec::new();
    while seen.len() < 40 {
        for leased in exactly(&reader, 1).await {
            let due = leased.message.deliver_at.unwrap();
            assert!(now_ms() >= due, "{} ms early", due - now_ms());
            assert_eq!(leased.message.id, format!("m{}", seen.len()));
            seen.push(leased);
        }
    }
    let late = now_ms() - (first + 7 * 39);
    assert!(late < 20_000, "{late} ms late");
    ack(&reader, seen).await;
}

#[tokio::test]
async fn a_wait_of_less_than_a_millisecond_is_rounded_up() {
    let bench = Bench::new().await;
    bench.put(Queue::Delayed, vec![message("a")]).await;
    let reader = bench.reader(Queue::Delayed).await;
    for _ in 0..50 {
        let got = exactly(&reader, 1).await;
        let begun = Instant::now();
        let after = Duration::from_micros(1500);
        settle(&reader, got, Outcome::Park { after, reason: Reason::Share }).await;
        let got = exactly(&reader, 1).await;
        assert!(begun.elapsed() >= after, "{:?}", begun.elapsed());
        settle(&reader, got, Outcome::Release).await;
    }
}

#[tokio::test]
async fn a_batch_to_several_queues_is_all_there_or_not_at_all_by_order_of_confirmation() {
    let bench = Bench::new().await;
    let batch = vec![
        Publication::new(Queue::Delayed, message("d")),
        Publication::new(Queue::Priority, message("p")),
        Publication::new(Queue::Dead, message("x")),
    ];
    put_all(&bench, batch).await;
    let bench = bench.reopen().await;
    for (queue, id) in [(Queue::Delayed, "d"), (Queue::Priority, "p"), (Queue::Dead, "x")] {
        assert_eq!(ids(&exactly(&bench.reader(queue).await, 1).await), [id]);
    }
}

#[tokio::test]
async fn readers_that_search_compete_for_what_they_find_and_pass_over_paused_accounts() {
    let bench = Bench::new().await;
    bench.put(Queue::Dead, (0..300).map(|n| to("d", "acme", format!("m{n}"))).collect()).await;
    bench.put(Queue::Dead, (0..5).map(|n| to("d", "beta", format!("b{n}"))).collect()).await;
    let filter = || Filter {
        destination: Some("d".to_owned()),
        r#type: Some("test.made".to_owned()),
        ..Filter::default()
    };
    let options = || ReceiverOptions { selector: Selector::Matching(filter()), ..ReceiverOptions::default() };
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let reader = bench.reader_of(Queue::Dead, options()).await;
        reader.set_turns(Turns { paused: ["beta".to_owned()].into(), ..Turns::default() }).unwrap();
        readers.spawn(async move {
            let mut count = 0;
            while count < 30 {
                let got = exactly(&reader, 1).await;
                assert_eq!(got[0].message.account.as_deref(), Some("acme"));
                count += got.len();
                ack(&reader, got).await;
            }
        });
    }
    readers.join_all().await;
    let reader = bench.reader_of(Queue::Dead, options()).await;
    assert_eq!(now(&reader, 100).await.len(), 5);
}
