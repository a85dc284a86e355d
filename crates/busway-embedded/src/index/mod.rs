//! What the store knows in memory: where every message stands, in which order, and who holds it.
//! It is rebuilt from the log at start, and changed only after the log has been.
//!
//! ```text
//! queue -> destination -> lane (one account) -> lines (one a priority) -> slots
//!            \ due times                                                   |
//!   groups (queue, destination, key) -- only a group's head is in a lane -- entries
//! ```
//! A message costs its [`Entry`], a slot in its line or its due time, and its share of the lane's
//! count of acceptance times. Bodies, ids and texts stay on disk.

mod ages;
mod bells;
mod cache;
mod counts;
mod depth;
mod due;
pub(crate) mod entry;
mod groups;
mod held;
mod lane;
mod leases;
mod line;
mod moves;
mod place;
pub(crate) mod pool;
mod reasons;
mod ring;
mod run;
mod search;
mod table;
mod take;
mod uncounted;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use busway_core::Queue;
use busway_core::reason::Reason;
use busway_core::transport::Group;

use crate::clean::Export;
use crate::log::record::{Meta, Waiting};
pub(crate) use bells::{Bell, Bells};
use cache::Cache;
pub(crate) use cache::Cached;
use entry::{Entries, Entry, NONE, State};
use groups::Groups;
use held::Held;
use lane::{Destination, Lane, QueueState};
use leases::Leases;
pub(crate) use leases::Token;
use pool::Pool;
use reasons::Reasons;
pub(crate) use run::is_plain;
pub(crate) use search::Search;
use take::ReceiverState;
pub(crate) use take::{Ask, Item, Taken};
use uncounted::Uncounted;

/// Messages that stand ready in a queue whose new ones are likely to be read soon.
const SHORT: u64 = 16_384;

/// The two clocks, read together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Milliseconds since the Unix epoch.
    pub(crate) wall: u64,
    /// Milliseconds since the store was opened, never set back.
    pub(crate) steady: u64,
}

/// Where a message's body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
    pub(crate) length: u32,
}

/// A message that enters the index.
pub(crate) struct Arrival<'a> {
    pub(crate) position: u64,
    pub(crate) meta: &'a Meta,
    pub(crate) place: Place,
    pub(crate) destination: Option<&'a str>,
    pub(crate) account: Option<&'a str>,
    pub(crate) waited: Option<(u64, Reason)>,
    pub(crate) deliveries: u32,
}

/// Everything known of the stored messages.
pub(crate) struct Index {
    pub(crate) entries: Entries,
    pub(crate) next_position: u64,
    queues: Vec<QueueState>,
    names: HashMap<Queue, u16>,
    destinations: Pool<Destination>,
    lanes: Pool<Lane>,
    groups: Groups,
    reasons: Reasons,
    held: Held,
    /// The first due time of every destination that has one.
    alarms: BTreeSet<(u64, u32)>,
    pub(crate) leases: Leases,
    receivers: Pool<ReceiverState>,
    uncounted: Uncounted,
    cache: Cache,
    /// Live bytes by log file.
    usage: BTreeMap<u32, u64>,
    bells: Bells,
    last_lane: u32,
}

impl Index {
    pub(crate) fn new(cache_bytes: usize) -> Self {
        Self {
            entries: Entries::default(),
            next_position: 1,
            queues: Vec::new(),
            names: HashMap::new(),
            destinations: Pool::default(),
            lanes: Pool::default(),
            groups: Groups::default(),
            reasons: Reasons::default(),
            held: Held::default(),
            alarms: BTreeSet::new(),
            leases: Leases::default(),
            receivers: Pool::default(),
            uncounted: Uncounted::new(),
            cache: Cache::new(cache_bytes),
            usage: BTreeMap::new(),
            bells: Bells::default(),
            last_lane: NONE,
        }
    }

    /// The queues and their numbers.
    pub(crate) fn queues(&self) -> impl Iterator<Item = (u16, &Queue)> {
        (0..).zip(self.queues.iter().map(|state| &state.queue))
    }

    /// A queue's number, where it was declared.
    pub(crate) fn queue_number(&self, queue: &Queue) -> Option<u16> {
        self.names.get(queue).copied()
    }

    /// The queue that a message is in.
    pub(crate) fn queue_of(&self, slot: u32) -> Queue {
        let destination = self.lanes[self.entries[slot].lane].destination;
        self.queues[usize::from(self.destinations[destination].queue)].queue.clone()
    }

    /// Adds a queue under the next number; repeating it changes nothing.
    pub(crate) fn declare(&mut self, queue: &Queue) -> u16 {
        if let Some(number) = self.names.get(queue) {
            return *number;
        }
        let number = self.queues.len() as u16;
        let none = self.destinations.insert(Destination::new(number, None));
        self.queues.push(QueueState::new(queue.clone(), none));
        self.names.insert(queue.clone(), number);
        number
    }

    /// Bytes of the log that hold messages which still exist, the file `segment` alone or all.
    pub(crate) fn live_bytes(&self, segment: Option<u32>) -> u64 {
        match segment {
            Some(segment) => self.usage.get(&segment).copied().unwrap_or(0),
            None => self.usage.values().sum(),
        }
    }

    /// Adds a message and lets it be seen.
    pub(crate) fn add(&mut self, arrival: &Arrival<'_>, now: Now) -> u32 {
        let slot = self.restore(arrival);
        self.expose(slot, now);
        slot
    }

    /// Adds a message that is not to be seen before [`Index::expose`].
    pub(crate) fn restore(&mut self, arrival: &Arrival<'_>) -> u32 {
        let account = arrival.account.unwrap_or("-");
        let meta = arrival.meta;
        let lane = self.lane(meta.queue, arrival.destination, account);
        let placed = meta.group.and_then(|group| group.position);
        let mut flags = 0;
        if meta.group.is_some() {
            flags |= Entry::GROUPED;
        }
        if placed.is_some() {
            flags |= Entry::PLACED;
        }
        let slot = self.entries.insert(Entry {
            position: arrival.position,
            order: placed.unwrap_or(arrival.position),
            due: meta.due,
            accepted: meta.accepted,
            parked: 0,
            group: meta.group.map_or(0, |group| group.key),
            segment: arrival.place.segment,
            offset: arrival.place.offset,
            length: arrival.place.length,
            weight: meta.weight,
            lane,
            reason: NONE,
            attempt: meta.attempt,
            deliveries: arrival.deliveries,
            previous: NONE,
            next: NONE,
            priority: meta.priority,
            flags,
            state: State::Hidden,
        });
        self.next_position = self.next_position.max(arrival.position + 1);
        self.note_usage(arrival.place, true);
        self.count_in(slot);
        if let Some((parked, reason)) = &arrival.waited {
            let waiting =
                Waiting { due: meta.due, attempt: meta.attempt, parked: *parked, reason: reason.clone() };
            self.set_waiting(slot, &waiting);
        }
        slot
    }

    /// Notes that a message's record has been copied to another place in the log.
    pub(crate) fn moved(&mut self, slot: u32, place: Place) {
        let entry = &mut self.entries[slot];
        let old = Place { segment: entry.segment, offset: entry.offset, length: entry.length };
        (entry.segment, entry.offset, entry.length) = (place.segment, place.offset, place.length);
        self.note_usage(old, false);
        self.note_usage(place, true);
    }

    /// Notes what a message waits for from now on, in a message that is not to be seen.
    pub(crate) fn set_waiting(&mut self, slot: u32, waiting: &Waiting) {
        let number = self.reasons.number(&waiting.reason);
        let entry = &mut self.entries[slot];
        let old = std::mem::replace(&mut entry.reason, number);
        entry.due = waiting.due;
        entry.attempt = waiting.attempt;
        entry.parked = waiting.parked;
        entry.flags |= Entry::WAITED;
        self.reasons.release(old);
    }

    /// What a message waits or waited for, where it was put back to wait.
    pub(crate) fn waiting(&self, slot: u32) -> Option<Waiting> {
        let entry = &self.entries[slot];
        let reason = self.reasons.get(entry.reason).filter(|_| entry.has(Entry::WAITED))?;
        Some(Waiting { due: entry.due, attempt: entry.attempt, parked: entry.parked, reason: reason.clone() })
    }

    /// All that is known of a message, for a copy of its record; `None` where it is gone.
    pub(crate) fn export(&self, slot: u32, position: u64) -> Option<Export> {
        let entry = self.entries.get(slot).filter(|entry| entry.position == position)?;
        let group = entry
            .has(Entry::GROUPED)
            .then(|| Group { key: entry.group, position: entry.has(Entry::PLACED).then_some(entry.order) });
        let meta = Meta {
            queue: self.destinations[self.lanes[entry.lane].destination].queue,
            priority: entry.priority,
            weight: entry.weight,
            attempt: entry.attempt,
            due: entry.due,
            accepted: entry.accepted,
            group,
        };
        let place = Place { segment: entry.segment, offset: entry.offset, length: entry.length };
        let waited = self.waiting(slot).map(|waiting| (waiting.parked, waiting.reason));
        Some(Export { meta, place, waited, deliveries: entry.deliveries })
    }

    /// Removes a message, wherever it stands.
    pub(crate) fn remove(&mut self, slot: u32, now: Now) {
        self.hide(slot);
        self.unlink(slot, now);
        let entry = self.entries[slot];
        if entry.has(Entry::HELD) {
            self.held.until.remove(&slot);
        }
        if entry.has(Entry::CACHED) {
            self.bells.trash.extend(self.cache.take(slot));
        }
        self.reasons.release(entry.reason);
        let place = Place { segment: entry.segment, offset: entry.offset, length: entry.length };
        self.note_usage(place, false);
        self.count_out(slot);
        self.entries.remove(slot);
    }

    /// Whether a message that comes now is likely to be read before many others.
    pub(crate) fn is_short(&self, queue: u16) -> bool {
        self.queues[usize::from(queue)].counts.ready < SHORT
    }

    /// Keeps the message that was just published for its first reader, where it is likely to be
    /// read soon.
    pub(crate) fn remember(&mut self, slot: u32, cached: Box<Cached>) {
        let entry = &self.entries[slot];
        let soon = entry.state == State::Ready
            && self.is_short(self.destinations[self.lanes[entry.lane].destination].queue);
        let (weight, position) = (entry.weight as usize, entry.position);
        if !soon || !self.cache.fits(weight) {
            self.bells.trash.push(cached);
            return;
        }
        for (evicted, message) in self.cache.put(slot, position, weight, cached) {
            self.entries[evicted].flags &= !Entry::CACHED;
            self.bells.trash.push(message);
        }
        self.entries[slot].flags |= Entry::CACHED;
    }

    /// The bells that have to be rung once the index is no longer locked.
    pub(crate) fn take_bells(&mut self) -> Bells {
        for destination in self.bells.destinations.drain(..) {
            if let Some(destination) = self.destinations.get_mut(destination) {
                destination.ringing = false;
                self.bells.list.push(destination.bell.clone());
            }
        }
        for queue in self.bells.queues.drain(..) {
            let queue = &mut self.queues[usize::from(queue)];
            queue.ringing = false;
            self.bells.list.push(queue.bell.clone());
        }
        std::mem::take(&mut self.bells)
    }

    /// All bells there are, for the end of the store.
    pub(crate) fn all_bells(&self) -> Vec<Arc<Bell>> {
        let queues = self.queues.iter().map(|queue| queue.bell.clone());
        let destinations = self.destinations.iter().map(|(_, destination)| destination.bell.clone());
        let receivers = self.receivers.iter().map(|(_, receiver)| receiver.own.clone());
        queues.chain(destinations).chain(receivers).collect()
    }

    fn note_usage(&mut self, place: Place, added: bool) {
        let bytes = u64::from(place.length) + crate::log::record::MESSAGE_OVERHEAD;
        let usage = self.usage.entry(place.segment).or_default();
        *usage = if added { *usage + bytes } else { usage.saturating_sub(bytes) };
        if *usage == 0 {
            self.usage.remove(&place.segment);
        }
    }
}
