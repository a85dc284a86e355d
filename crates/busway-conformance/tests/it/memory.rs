//! The reference transport, where the suite does not look: group order by position, restarts.

use std::sync::Arc;
use std::time::Duration;

use busway_conformance::{MemoryStorage, MemoryTransport};
use busway_core::transport::{Declare, Depth, Group, ReceiverOptions, Selector, Standing, Want};
use busway_core::{Leased, Message, Outcome, Publication, Queue, Reason, Receiver, Transport};

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(40);

async fn publish(transport: &MemoryTransport, ids: &[(&str, Option<Group>)]) {
    let publication = |(id, group): &(&str, Option<Group>)| Publication {
        queue: Queue::Delayed,
        message: Message::new("t", "").id(*id),
        group: *group,
    };
    for result in transport.sender().await.unwrap().publish(ids.iter().map(publication).collect()).await {
        result.unwrap();
    }
}

async fn open(storage: &MemoryStorage) -> (MemoryTransport, Arc<dyn Receiver>) {
    let transport = MemoryTransport::open("local", storage);
    transport.declare(&[Queue::Delayed, Queue::Dead], Declare::Create).await.unwrap();
    let receiver = transport.receiver(&Queue::Delayed, ReceiverOptions::default()).await.unwrap();
    (transport, receiver)
}

async fn one(receiver: &Arc<dyn Receiver>, wait: Duration) -> Option<Leased> {
    receiver.receive(Want::new(1, wait)).await.unwrap().pop()
}

async fn settle(receiver: &Arc<dyn Receiver>, leased: Leased, outcome: Outcome) {
    receiver.settle(vec![(leased.receipt, outcome)]).await.remove(0).unwrap();
}

fn group(key: u64, position: Option<u64>) -> Option<Group> {
    Some(Group { key, position })
}

#[tokio::test]
async fn a_group_goes_by_position_one_at_a_time_and_a_waiting_head_blocks_it() {
    let (transport, receiver) = open(&MemoryStorage::new()).await;
    publish(&transport, &[("last", group(1, None)), ("b", group(1, Some(7))), ("a", group(1, Some(3)))])
        .await;
    let a = one(&receiver, LONG).await.unwrap();
    assert_eq!(a.message.id, "a");
    assert!(one(&receiver, SHORT).await.is_none(), "b was handed out beside a");
    publish(&transport, &[("first", group(1, Some(1))), ("other", group(2, None))]).await;
    let other = one(&receiver, LONG).await.unwrap();
    assert_eq!(other.message.id, "other");
    settle(&receiver, other, Outcome::Ack).await;
    assert!(one(&receiver, SHORT).await.is_none(), "first was handed out beside a");
    settle(&receiver, a, Outcome::Park { after: Duration::from_millis(1_500), reason: Reason::Saturated })
        .await;
    let first = one(&receiver, LONG).await.unwrap();
    assert_eq!(first.message.id, "first");
    settle(&receiver, first, Outcome::Ack).await;
    assert!(one(&receiver, SHORT).await.is_none(), "b overtook its parked head");
    for id in ["a", "b", "last"] {
        let next = one(&receiver, LONG).await.unwrap();
        assert_eq!(next.message.id, id);
        settle(&receiver, next, Outcome::Ack).await;
    }
}

#[tokio::test]
async fn figures_tell_apart_what_waits_for_its_time_and_what_waits_for_its_group() {
    let (transport, receiver) = open(&MemoryStorage::new()).await;
    publish(&transport, &[("a", group(1, None)), ("b", group(1, None)), ("c", None)]).await;
    let a = one(&receiver, LONG).await.unwrap();
    let inspect = || transport.inspect(&Queue::Delayed, &Selector::All);
    let figures = |depth: Depth| (depth.ready.unwrap(), depth.in_flight.unwrap(), depth.delayed.unwrap());
    assert_eq!(figures(inspect().await.unwrap()), (2, 1, 0));
    let peeked = transport.peek(&Queue::Delayed, &Selector::All, 1, 9).await.unwrap();
    assert_eq!(peeked.iter().map(|p| p.standing).collect::<Vec<_>>(), [Standing::Behind, Standing::Ready]);
    settle(&receiver, a, Outcome::Retry { after: LONG, reason: Reason::error("timeout") }).await;
    assert_eq!(figures(inspect().await.unwrap()), (1, 0, 2));
    assert_eq!(inspect().await.unwrap().lowest_ready, Some(2));
}

#[tokio::test]
async fn what_was_in_hand_returns_at_once_when_its_connection_is_dropped() {
    let storage = MemoryStorage::new();
    let (first, receiver) = open(&storage).await;
    publish(&first, &[("a", None)]).await;
    let held = one(&receiver, LONG).await.unwrap();
    drop((first, receiver));
    let (_second, receiver) = open(&storage).await;
    let again = one(&receiver, SHORT).await.expect("it did not return");
    drop(held);
    assert_eq!((again.message.id.as_str(), again.deliveries), ("a", Some(2)));
    settle(&receiver, again, Outcome::Ack).await;
    assert!(one(&receiver, SHORT).await.is_none());
}
