//! The reference transport against a model: whatever is done to it in whatever order, each message
//! is somewhere, once, and a group goes one at a time and in order.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use busway_conformance::{MemoryStorage, MemoryTransport};
use busway_core::transport::{Declare, Group, Selector, Want};
use busway_core::{Leased, Message, Outcome, Publication, Queue, Reason, Receiver, Transport};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    /// Publishes the next message, in a group or not, with a place in it or not.
    Publish(Option<Group>),
    Receive(usize),
    /// Settles one of those in hand.
    Settle(usize, Outcome),
    Drop(usize),
    Close,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        3 => Just(Outcome::Ack),
        1 => Just(Outcome::Release),
        1 => Just(Outcome::Retry { after: Duration::ZERO, reason: Reason::error("tried") }),
        1 => Just(Outcome::Park { after: Duration::from_millis(1), reason: Reason::Saturated }),
        1 => Just(Outcome::Dead { reason: Reason::error("reject"), attempts: 1 }),
    ];
    let group = (0..3_u64, prop::option::of(0..50_u64)).prop_map(|(key, position)| Group { key, position });
    let step = prop_oneof![
        6 => prop::option::of(group).prop_map(Step::Publish),
        4 => (1..4_usize).prop_map(Step::Receive),
        6 => (any::<prop::sample::Index>(), outcome).prop_map(|(at, what)| Step::Settle(at.index(64), what)),
        1 => (0..64_usize).prop_map(Step::Drop),
        1 => Just(Step::Close),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..80)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Queued,
    InHand,
    Dead,
    Gone,
}

struct Model {
    storage: MemoryStorage,
    transport: MemoryTransport,
    receiver: Arc<dyn Receiver>,
    messages: BTreeMap<u64, (Option<Group>, Place)>,
    held: Vec<Leased>,
    /// What was in hand when its connection ended; nothing that is done with it has an effect.
    stale: Vec<Leased>,
}

async fn open(storage: &MemoryStorage) -> (MemoryTransport, Arc<dyn Receiver>) {
    let transport = MemoryTransport::open("model", storage);
    transport.declare(&[Queue::Priority, Queue::Dead], Declare::Create).await.unwrap();
    let receiver = transport.receiver(&Queue::Priority, Default::default()).await.unwrap();
    (transport, receiver)
}

fn number(leased: &Leased) -> u64 {
    leased.message.id.parse().unwrap()
}

impl Model {
    async fn new() -> Self {
        let storage = MemoryStorage::new();
        let (transport, receiver) = open(&storage).await;
        Self { storage, transport, receiver, messages: BTreeMap::new(), held: Vec::new(), stale: Vec::new() }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Publish(group) => self.publish(group).await,
            Step::Receive(max) => self.receive(max, Duration::ZERO).await,
            Step::Settle(at, outcome) if !self.held.is_empty() => {
                let leased = self.held.swap_remove(at % self.held.len());
                self.settle(leased, outcome).await;
            }
            Step::Drop(at) if !self.held.is_empty() => {
                let leased = self.held.swap_remove(at % self.held.len());
                self.put(number(&leased), Place::Queued);
            }
            Step::Settle(..) | Step::Drop(_) => {}
            Step::Close => {
                self.transport.close().await.unwrap();
                self.reopen().await;
            }
            Step::Crash => self.reopen().await,
        }
        self.check().await;
    }

    async fn publish(&mut self, group: Option<Group>) {
        let id = self.messages.len() as u64;
        let message = Message::new("t", "").id(id.to_string());
        let batch = vec![Publication { group, ..Publication::new(Queue::Priority, message) }];
        self.transport.sender().await.unwrap().publish(batch).await.remove(0).unwrap();
        self.messages.insert(id, (group, Place::Queued));
    }

    async fn receive(&mut self, max: usize, wait: Duration) {
        for leased in self.receiver.receive(Want::new(max, wait)).await.unwrap() {
            let id = number(&leased);
            let (group, place) = self.messages[&id];
            assert_eq!(place, Place::Queued, "{id} was handed out");
            if let Some(group) = group {
                self.is_next(id, group);
            }
            self.put(id, Place::InHand);
            self.held.push(leased);
        }
    }

    /// Nothing of its group is in hand, and nothing stands before it.
    fn is_next(&self, id: u64, group: Group) {
        let order = |id: u64, group: Group| (group.position.unwrap_or(u64::MAX), id);
        for (other, (of, place)) in &self.messages {
            let Some(of) = of.filter(|of| of.key == group.key) else { continue };
            assert_ne!(*place, Place::InHand, "{id} was handed out beside {other}");
            let before = *place == Place::Queued && order(*other, of) < order(id, group);
            assert!(!before, "{id} was handed out before {other}");
        }
    }

    async fn settle(&mut self, leased: Leased, outcome: Outcome) {
        let place = match outcome {
            Outcome::Ack => Place::Gone,
            Outcome::Dead { .. } => Place::Dead,
            _ => Place::Queued,
        };
        let id = number(&leased);
        self.receiver.settle(vec![(leased.receipt, outcome)]).await.remove(0).unwrap();
        self.put(id, place);
    }

    async fn reopen(&mut self) {
        let (transport, receiver) = open(&self.storage).await;
        (self.transport, self.receiver) = (transport, receiver);
        for leased in std::mem::take(&mut self.held) {
            self.put(number(&leased), Place::Queued);
            self.stale.push(leased);
        }
    }

    fn put(&mut self, id: u64, place: Place) {
        self.messages.get_mut(&id).unwrap().1 = place;
    }

    async fn check(&self) {
        let mut expected: HashMap<&str, u64> = HashMap::new();
        for (_, place) in self.messages.values() {
            let name = match place {
                Place::Queued => "queued",
                Place::InHand => "in hand",
                Place::Dead => "dead",
                Place::Gone => "gone",
            };
            *expected.entry(name).or_default() += 1;
        }
        let count = |name| expected.get(name).copied().unwrap_or(0);
        let here = self.transport.inspect(&Queue::Priority, &Selector::All).await.unwrap();
        let dead = self.transport.inspect(&Queue::Dead, &Selector::All).await.unwrap();
        assert_eq!(here.in_flight, Some(count("in hand")));
        assert_eq!(here.ready.unwrap() + here.delayed.unwrap(), count("queued"));
        assert_eq!(dead.ready, Some(count("dead")));
    }

    /// Everything that was not settled comes, and then nothing is left.
    async fn drain(&mut self) {
        self.stale.clear();
        while self.messages.values().any(|(_, place)| matches!(place, Place::Queued | Place::InHand)) {
            while let Some(leased) = self.held.pop() {
                self.settle(leased, Outcome::Ack).await;
            }
            if self.messages.values().any(|(_, place)| *place == Place::Queued) {
                let before = self.held.len();
                self.receive(10, Duration::from_secs(5)).await;
                assert!(self.held.len() > before, "what is left does not come: {:?}", self.messages);
            }
        }
        self.check().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn every_message_is_somewhere_once_and_groups_go_in_order(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut model = Model::new().await;
            for step in steps {
                model.step(step).await;
            }
            model.drain().await;
        });
    }
}
