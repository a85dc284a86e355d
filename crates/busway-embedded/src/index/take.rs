//! Receivers, and what they are handed.

use std::sync::Arc;

use busway_core::transport::{Selector, Turns};

use super::bells::Bell;
use super::cache::Cached;
use super::entry::{Entry, NONE, State};
use super::leases::Token;
use super::ring::{Of, Ring};
use super::{Index, Now, Place};
use crate::log::record::Waiting;

/// Which part of a queue a receiver reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Queue(u16),
    Destination(u32),
    /// It picks messages by their properties; see [`Index::lease_found`].
    Found(u16),
}

/// An open receiver.
pub(crate) struct ReceiverState {
    pub(crate) reach: Reach,
    pub(crate) prefetch: usize,
    /// Messages it has in hand.
    pub(crate) out: usize,
    pub(crate) lease_ms: u64,
    pub(crate) turns: Option<Arc<Turns>>,
    /// Rung when it has room again, and when it is closed.
    pub(crate) own: Arc<Bell>,
    /// Nobody holds it any more; it goes when nothing of it is in hand.
    gone: bool,
}

/// A message handed out, or looked at, whose body is still to be read.
pub(crate) struct Item {
    pub(crate) token: Token,
    pub(crate) slot: u32,
    pub(crate) position: u64,
    pub(crate) order: u64,
    pub(crate) place: Place,
    pub(crate) deliveries: u32,
    pub(crate) waited: Option<Waiting>,
    pub(crate) cached: Option<Box<Cached>>,
}

impl Item {
    /// The same without what was cached.
    pub(crate) fn for_reading(&self) -> Self {
        Self { waited: None, cached: None, ..*self }
    }
}

/// How much is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) max: usize,
    pub(crate) max_bytes: usize,
}

/// What a receiver got.
pub(crate) struct Taken {
    pub(crate) items: Vec<Item>,
    /// It has as many in hand as it may.
    pub(crate) no_room: bool,
    /// Others who read the same part may find something.
    pub(crate) more: bool,
}

impl Index {
    /// Opens a receiver.
    pub(crate) fn open_receiver(
        &mut self,
        queue: u16,
        selector: &Selector,
        prefetch: usize,
        lease_ms: u64,
    ) -> (u32, Arc<Bell>, Arc<Bell>) {
        let reach = match selector {
            Selector::All => Reach::Queue(queue),
            Selector::Destination(name) => Reach::Destination(self.destination(queue, Some(name))),
            Selector::NoDestination => Reach::Destination(self.queues[usize::from(queue)].none),
            _ => Reach::Found(queue),
        };
        let bell = match reach {
            Reach::Queue(queue) | Reach::Found(queue) => self.queues[usize::from(queue)].bell.clone(),
            Reach::Destination(number) => {
                let destination = &mut self.destinations[number];
                destination.receivers += 1;
                destination.bell.clone()
            }
        };
        let own: Arc<Bell> = Arc::default();
        let state =
            ReceiverState { reach, prefetch, out: 0, lease_ms, turns: None, own: own.clone(), gone: false };
        (self.receivers.insert(state), bell, own)
    }

    /// Lets go of a receiver; what it has in hand stays leased.
    pub(crate) fn drop_receiver(&mut self, number: u32) {
        let Some(receiver) = self.receivers.get_mut(number) else { return };
        receiver.gone = true;
        let out = receiver.out;
        if let Reach::Destination(destination) = receiver.reach {
            self.destinations[destination].receivers -= 1;
            self.drop_destination(destination);
        }
        if out == 0 {
            self.receivers.remove(number);
        }
    }

    /// Sets whose turn it is for a receiver.
    pub(crate) fn set_turns(&mut self, number: u32, turns: Arc<Turns>) {
        if let Some(receiver) = self.receivers.get_mut(number) {
            receiver.turns = Some(turns);
        }
    }

    /// Whether a receiver may pass over messages of its part that stand ready.
    pub(crate) fn is_picky(&self, number: u32) -> bool {
        self.receivers.get(number).is_some_and(|receiver| {
            matches!(receiver.reach, Reach::Found(_))
                || receiver.turns.as_ref().is_some_and(|turns| !turns.paused.is_empty())
        })
    }

    /// How many more messages a receiver may have in hand.
    pub(crate) fn room(&self, number: u32) -> usize {
        self.receivers.get(number).map_or(0, |receiver| receiver.prefetch.saturating_sub(receiver.out))
    }

    /// Hands messages to a receiver.
    pub(crate) fn take(&mut self, number: u32, ask: Ask, now: Now) -> Taken {
        let mut taken = Taken { items: Vec::new(), no_room: false, more: false };
        let room = self.room(number);
        let ask = Ask { max: ask.max.min(room), ..ask };
        let Some(receiver) = self.receivers.get(number) else { return taken };
        let (reach, turns) = (receiver.reach, receiver.turns.clone());
        match (reach, &turns) {
            (Reach::Queue(queue), None) => self.take_in_order(number, queue, ask, now, &mut taken.items),
            (Reach::Queue(_) | Reach::Destination(_), _) => {
                self.take_in_turn(number, reach, turns.as_deref(), ask, now, &mut taken.items);
            }
            (Reach::Found(_), _) => {}
        }
        taken.no_room = room == taken.items.len();
        taken.more = self.ready_in(reach) > 0;
        taken
    }

    /// Whether a receiver would be handed something now, had it room.
    pub(crate) fn would_take(&self, number: u32) -> bool {
        let Some(receiver) = self.receivers.get(number) else { return false };
        let Some(turns) = receiver.turns.as_ref().filter(|turns| !turns.paused.is_empty()) else {
            return self.ready_in(receiver.reach) > 0;
        };
        let (of, ring) = self.ring_of(receiver.reach);
        let mut lane = ring.head;
        while lane != NONE {
            if !turns.paused.contains(&*self.lanes[lane].account) {
                return true;
            }
            let following = Ring { head: lane, served: 0 }.following(&self.lanes, of);
            lane = if following == ring.head { NONE } else { following };
        }
        false
    }

    /// Hands out messages that were found by their properties, those that still stand ready.
    pub(crate) fn lease_found(&mut self, number: u32, found: &[(u64, u32)], ask: Ask, now: Now) -> Vec<Item> {
        let mut items = Vec::new();
        let mut bytes = 0;
        for (position, slot) in found.iter().copied() {
            if items.len() >= ask.max || bytes >= ask.max_bytes || self.room(number) == 0 {
                break;
            }
            let there = self.locate(slot, position).is_some() && self.entries[slot].state == State::Ready;
            if there && self.may_take(number, slot) {
                self.hide(slot);
                bytes += self.hand_out(number, slot, now, &mut items);
            }
        }
        items
    }

    /// Whether a receiver takes messages of this one's account now.
    pub(crate) fn may_take(&self, number: u32, slot: u32) -> bool {
        let turns = self.receivers.get(number).and_then(|receiver| receiver.turns.as_ref());
        let account = &self.lanes[self.entries[slot].lane].account;
        turns.is_none_or(|turns| !turns.paused.contains(&**account))
    }

    fn take_in_order(&mut self, number: u32, queue: u16, ask: Ask, now: Now, items: &mut Vec<Item>) {
        let mut bytes = 0;
        while items.len() < ask.max && bytes < ask.max_bytes {
            let heads = &self.queues[usize::from(queue)].heads;
            let Some((_, lane)) = heads.first().copied() else { return };
            let Some(slot) = self.pop(lane) else { return };
            bytes += self.hand_out(number, slot, now, items);
        }
    }

    fn take_in_turn(
        &mut self,
        number: u32,
        reach: Reach,
        turns: Option<&Turns>,
        ask: Ask,
        now: Now,
        items: &mut Vec<Item>,
    ) {
        let mut bytes = 0;
        let mut first_paused = NONE;
        while items.len() < ask.max && bytes < ask.max_bytes {
            let (of, ring) = self.ring_of(reach);
            let lane = ring.head;
            if lane == NONE || lane == first_paused {
                return;
            }
            let account = &self.lanes[lane].account;
            let paused = turns.is_some_and(|turns| turns.paused.contains(&**account));
            let weight = turns.and_then(|turns| turns.weights.get(&**account)).copied().unwrap_or(1);
            if paused || ring.served >= weight.max(1) {
                if paused && first_paused == NONE {
                    first_paused = lane;
                }
                self.turn(reach, of);
                continue;
            }
            first_paused = NONE;
            let mut left = weight.max(1) - ring.served;
            while left > 0
                && items.len() < ask.max
                && bytes < ask.max_bytes
                && self.ring_of(reach).1.head == lane
            {
                let Some(slot) = self.pop(lane) else { return };
                bytes += self.hand_out(number, slot, now, items);
                left -= 1;
                let ring = self.ring_mut(reach);
                if ring.head == lane {
                    ring.served += 1;
                }
            }
        }
    }

    /// Leases a message that stands nowhere, unless it is not due after all: the clock may have
    /// been set back since it became ready. Answers its weight.
    fn hand_out(&mut self, number: u32, slot: u32, now: Now, items: &mut Vec<Item>) -> usize {
        if self.entries[slot].due > now.wall {
            self.place(slot, now);
            return 0;
        }
        let weight = self.entries[slot].weight as usize;
        items.push(self.lease(number, slot, now));
        weight
    }

    fn lease(&mut self, number: u32, slot: u32, now: Now) -> Item {
        self.set_state(slot, State::Leased);
        let receiver = &mut self.receivers[number];
        receiver.out += 1;
        let until = now.steady.saturating_add(receiver.lease_ms).saturating_add(1);
        let token = self.leases.begin(slot, number, until);
        self.uncounted.push_back((now.steady, slot, self.entries[slot].position));
        let entry = &mut self.entries[slot];
        entry.deliveries = entry.deliveries.saturating_add(1);
        let mut item = self.describe(slot);
        item.token = token;
        if self.entries[slot].has(Entry::CACHED) {
            self.entries[slot].flags &= !Entry::CACHED;
            item.cached = self.cache.take(slot);
        }
        item
    }

    /// What is needed to read a message.
    pub(crate) fn describe(&self, slot: u32) -> Item {
        let entry = &self.entries[slot];
        Item {
            token: 0,
            slot,
            position: entry.position,
            order: entry.order,
            place: Place { segment: entry.segment, offset: entry.offset, length: entry.length },
            deliveries: entry.deliveries,
            waited: self.waiting(slot),
            cached: None,
        }
    }

    /// Where a message stands in the log now, if it still exists.
    pub(crate) fn locate(&self, slot: u32, position: u64) -> Option<Place> {
        let entry = self.entries.get(slot).filter(|entry| entry.position == position)?;
        Some(Place { segment: entry.segment, offset: entry.offset, length: entry.length })
    }

    /// Counts a message of a receiver as no longer in hand.
    pub(super) fn leave_hand(&mut self, number: u32) {
        let Some(receiver) = self.receivers.get_mut(number) else { return };
        let was_full = receiver.out >= receiver.prefetch;
        receiver.out = receiver.out.saturating_sub(1);
        if receiver.gone && receiver.out == 0 {
            self.receivers.remove(number);
        } else if was_full {
            self.bells.rooms.push(receiver.own.clone());
        }
    }

    fn ready_in(&self, reach: Reach) -> u64 {
        match reach {
            Reach::Queue(queue) | Reach::Found(queue) => self.queues[usize::from(queue)].counts.ready,
            Reach::Destination(number) => self.destinations[number].counts.ready,
        }
    }

    fn ring_of(&self, reach: Reach) -> (Of, Ring) {
        match reach {
            Reach::Queue(queue) | Reach::Found(queue) => (Of::Queue, self.queues[usize::from(queue)].ring),
            Reach::Destination(number) => (Of::Destination, self.destinations[number].ring),
        }
    }

    fn ring_mut(&mut self, reach: Reach) -> &mut Ring {
        match reach {
            Reach::Queue(queue) | Reach::Found(queue) => &mut self.queues[usize::from(queue)].ring,
            Reach::Destination(number) => &mut self.destinations[number].ring,
        }
    }

    fn turn(&mut self, reach: Reach, of: Of) {
        let mut ring = self.ring_of(reach).1;
        ring.turn(&self.lanes, of);
        *self.ring_mut(reach) = ring;
    }
}
