//! What a store promises, in the simplest way to write it down.

use std::collections::{BTreeMap, BTreeSet};

use busway_core::transport::{Filter, Group, Selector, Standing, mark_dead};
use busway_core::{Message, Queue};

/// A message of the model.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) message: Message,
    pub(super) queue: Queue,
    pub(super) group: Option<Group>,
    /// When the queue took it: what its age counts from where it has no acceptance time.
    pub(super) accepted: u64,
    pub(super) leased: bool,
    /// Kept back after its receipt was dropped, until the next restart.
    pub(super) held: bool,
    pub(super) deliveries: u32,
}

/// A store's messages by their own position.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) items: BTreeMap<u64, Item>,
    pub(super) next: u64,
}

impl State {
    pub(super) fn add(&mut self, queue: Queue, message: Message, group: Option<Group>, now: u64) -> u64 {
        let position = self.next;
        self.next += 1;
        let accepted = message.accepted.unwrap_or(now);
        let item = Item { message, queue, group, accepted, leased: false, held: false, deliveries: 0 };
        self.items.insert(position, item);
        position
    }

    pub(super) fn bury(&mut self, position: u64, reason: busway_core::Reason, attempts: u32, now: u64) {
        let Some(mut item) = self.items.remove(&position) else { panic!("a message in hand") };
        mark_dead(&mut item.message, reason, attempts, &format!("local/{}", item.queue), now);
        self.add(Queue::Dead, item.message, None, now);
    }

    /// After a restart nothing is in hand and nothing is kept back.
    pub(super) fn restart(&mut self) {
        for item in self.items.values_mut() {
            item.leased = false;
            item.held = false;
        }
    }

    /// Its place in the order of messages of one priority.
    pub(super) fn order(&self, position: u64) -> (u64, u64) {
        let placed = self.items[&position].group.and_then(|group| group.position);
        (placed.unwrap_or(position), position)
    }

    pub(super) fn standing(&self, position: u64, now: u64) -> Standing {
        let item = &self.items[&position];
        if item.leased {
            return Standing::InFlight;
        }
        if let Some(group) = item.group {
            let mine = |other: &&u64| {
                let other = &self.items[*other];
                other.queue == item.queue
                    && other.message.destination == item.message.destination
                    && other.group.is_some_and(|other| other.key == group.key)
            };
            let place = |position: &u64| {
                let placed = self.items[position].group.and_then(|group| group.position);
                (placed.unwrap_or(u64::MAX), *position)
            };
            let members: Vec<&u64> = self.items.keys().filter(mine).collect();
            let busy = members.iter().any(|other| self.items[*other].leased);
            let first = members.iter().map(|other| place(other)).min();
            if busy || first != Some(place(&position)) {
                return Standing::Behind;
            }
        }
        match item.message.deliver_at {
            _ if item.held => Standing::Delayed(u64::MAX),
            Some(due) if due > now => Standing::Delayed(due),
            _ => Standing::Ready,
        }
    }

    /// What a receiver can be handed now, best first as for a whole queue.
    pub(super) fn ready(&self, queue: &Queue, selector: &Selector, now: u64) -> Vec<u64> {
        let mut ready: Vec<u64> = self
            .within(queue, selector)
            .filter(|position| self.standing(*position, now) == Standing::Ready)
            .collect();
        ready.sort_by_key(|position| (9 - self.items[position].message.priority, self.order(*position)));
        ready
    }

    pub(super) fn within<'a>(
        &'a self,
        queue: &'a Queue,
        selector: &'a Selector,
    ) -> impl Iterator<Item = u64> + 'a {
        let selected = |message: &Message| match selector {
            Selector::Destination(name) => message.destination.as_deref() == Some(&**name),
            Selector::NoDestination => message.destination.is_none(),
            Selector::Matching(filter) => Filter::matches(filter, message),
            _ => true,
        };
        let wanted = move |item: &Item| item.queue == *queue && selected(&item.message);
        self.items.iter().filter(move |(_, item)| wanted(item)).map(|(position, _)| *position)
    }

    pub(super) fn destinations(&self) -> BTreeSet<Option<String>> {
        self.items.values().map(|item| item.message.destination.clone()).collect()
    }
}
