//! Queues, their destinations, and the lanes of one account in which messages stand ready.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use busway_core::Queue;

use super::Index;
use super::ages::Ages;
use super::bells::Bell;
use super::counts::Counts;
use super::due::Due;
use super::entry::{Entries, Entry, NONE};
use super::line::Line;
use super::ring::{Link, Of, Ring};

/// A queue.
pub(crate) struct QueueState {
    pub(crate) queue: Queue,
    pub(crate) counts: Counts,
    pub(crate) destinations: HashMap<Arc<str>, u32>,
    /// The part without a destination.
    pub(crate) none: u32,
    /// The first message of every lane with something ready: least first is best first.
    pub(super) heads: BTreeSet<(Rank, u32)>,
    pub(super) ring: Ring,
    pub(crate) bell: Arc<Bell>,
    pub(super) ringing: bool,
}

/// Higher priority first, then the lower place.
pub(super) type Rank = (u8, u64, u64);

impl QueueState {
    pub(super) fn new(queue: Queue, none: u32) -> Self {
        Self {
            queue,
            counts: Counts::default(),
            destinations: HashMap::new(),
            none,
            heads: BTreeSet::new(),
            ring: Ring::default(),
            bell: Arc::default(),
            ringing: false,
        }
    }
}

/// The part of a queue that is for one destination, or for none yet.
pub(crate) struct Destination {
    pub(crate) queue: u16,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) counts: Counts,
    pub(crate) accounts: HashMap<Arc<str>, u32>,
    pub(super) ring: Ring,
    /// What waits for its time.
    pub(super) due: Due,
    pub(super) alarm: Option<u64>,
    pub(crate) bell: Arc<Bell>,
    pub(super) ringing: bool,
    /// Receivers that read it.
    pub(super) receivers: usize,
}

impl Destination {
    pub(super) fn new(queue: u16, name: Option<Arc<str>>) -> Self {
        Self {
            queue,
            name,
            counts: Counts::default(),
            accounts: HashMap::new(),
            ring: Ring::default(),
            due: Due::default(),
            alarm: None,
            bell: Arc::default(),
            ringing: false,
            receivers: 0,
        }
    }
}

/// The messages of one account for one destination.
pub(crate) struct Lane {
    pub(crate) destination: u32,
    pub(crate) account: Arc<str>,
    pub(crate) counts: Counts,
    pub(crate) messages: u64,
    pub(super) ages: Ages,
    /// What is ready, by priority, highest first.
    pub(super) lines: Vec<(u8, Line)>,
    head: Option<Rank>,
    pub(super) links: [Link; 2],
}

impl Lane {
    fn new(destination: u32, account: Arc<str>) -> Self {
        Self {
            destination,
            account,
            counts: Counts::default(),
            messages: 0,
            ages: Ages::default(),
            lines: Vec::new(),
            head: None,
            links: [Link { previous: NONE, next: NONE }; 2],
        }
    }

    pub(super) fn push(&mut self, priority: u8, slot: u32, entries: &Entries) {
        let at = self.lines.partition_point(|(other, _)| *other > priority);
        if self.lines.get(at).is_none_or(|(other, _)| *other != priority) {
            self.lines.reserve_exact(1);
            self.lines.insert(at, (priority, Line::default()));
        }
        self.lines[at].1.insert(slot, |slot| entries[slot].key());
    }

    /// Adds slots of ascending order to one line.
    pub(super) fn push_all(&mut self, priority: u8, slots: &[u32], entries: &Entries) {
        let Some((first, others)) = slots.split_first() else { return };
        self.push(priority, *first, entries);
        let at = self.lines.partition_point(|(other, _)| *other > priority);
        self.lines[at].1.extend(*first, others, |slot| entries[slot].key());
    }

    pub(super) fn pop(&mut self) -> Option<u32> {
        let (_, line) = self.lines.first_mut()?;
        let slot = line.pop();
        if line.is_empty() {
            self.lines.remove(0);
        }
        slot
    }

    pub(super) fn take(&mut self, priority: u8, slot: u32, entries: &Entries) {
        let Some(at) = self.lines.iter().position(|(other, _)| *other == priority) else { return };
        self.lines[at].1.remove(slot, |slot| entries[slot].key());
        if self.lines[at].1.is_empty() {
            self.lines.remove(at);
        }
    }

    fn first(&self, entries: &Entries) -> Option<Rank> {
        let (priority, line) = self.lines.first()?;
        let (order, position) = entries[line.first()?].key();
        Some((u8::MAX - priority, order, position))
    }
}

impl Index {
    /// The number of a queue's destination; makes it where it is new.
    pub(super) fn destination(&mut self, queue: u16, name: Option<&str>) -> u32 {
        let state = &mut self.queues[usize::from(queue)];
        let Some(name) = name else { return state.none };
        if let Some(number) = state.destinations.get(name) {
            return *number;
        }
        let name: Arc<str> = name.into();
        let number = self.destinations.insert(Destination::new(queue, Some(name.clone())));
        state.destinations.insert(name, number);
        number
    }

    /// The lane of an account; makes it where it is new.
    pub(super) fn lane(&mut self, queue: u16, destination: Option<&str>, account: &str) -> u32 {
        if let Some(lane) = self.lanes.get(self.last_lane)
            && *lane.account == *account
        {
            let last = &self.destinations[lane.destination];
            if last.queue == queue && last.name.as_deref() == destination {
                return self.last_lane;
            }
        }
        let destination = self.destination(queue, destination);
        let accounts = &mut self.destinations[destination].accounts;
        self.last_lane = match accounts.get(account) {
            Some(lane) => *lane,
            None => {
                let account: Arc<str> = account.into();
                let lane = self.lanes.insert(Lane::new(destination, account.clone()));
                accounts.insert(account, lane);
                lane
            }
        };
        self.last_lane
    }

    /// Counts a new message that stands nowhere yet.
    pub(super) fn count_in(&mut self, slot: u32) {
        let Entry { lane, length, accepted, .. } = self.entries[slot];
        let lane = &mut self.lanes[lane];
        lane.messages += 1;
        lane.ages.add(accepted);
        let destination = &mut self.destinations[lane.destination];
        let queue = &mut self.queues[usize::from(destination.queue)];
        for counts in [&mut lane.counts, &mut destination.counts, &mut queue.counts] {
            counts.bytes += u64::from(length);
        }
    }

    /// Counts a message that stands nowhere any more out, and lets go of what was only there for
    /// it.
    pub(super) fn count_out(&mut self, slot: u32) {
        let Entry { lane: number, length, accepted, .. } = self.entries[slot];
        let lane = &mut self.lanes[number];
        lane.messages -= 1;
        lane.ages.remove(accepted);
        let empty = lane.messages == 0;
        let of = lane.destination;
        let destination = &mut self.destinations[of];
        let queue = &mut self.queues[usize::from(destination.queue)];
        for counts in [&mut lane.counts, &mut destination.counts, &mut queue.counts] {
            counts.bytes -= u64::from(length);
        }
        if empty && let Some(lane) = self.lanes.remove(number) {
            destination.accounts.remove(&lane.account);
            if self.last_lane == number {
                self.last_lane = NONE;
            }
            self.drop_destination(of);
        }
    }

    /// Forgets a destination that nobody reads and nothing waits for.
    pub(super) fn drop_destination(&mut self, number: u32) {
        let destination = &self.destinations[number];
        if destination.receivers > 0 || !destination.accounts.is_empty() {
            return;
        }
        if let Some(name) = &destination.name {
            self.queues[usize::from(destination.queue)].destinations.remove(name);
            self.destinations.remove(number);
        }
    }

    /// Keeps the queue's order of lanes and the rings true after a change of a lane.
    pub(super) fn reset_head(&mut self, number: u32) {
        let lane = &mut self.lanes[number];
        let first = lane.first(&self.entries);
        let old = std::mem::replace(&mut lane.head, first);
        if old == first {
            return;
        }
        let destination = &mut self.destinations[lane.destination];
        let queue = &mut self.queues[usize::from(destination.queue)];
        if let Some(rank) = old {
            queue.heads.remove(&(rank, number));
        }
        if let Some(rank) = first {
            queue.heads.insert((rank, number));
        }
        if old.is_none() {
            destination.ring.push(&mut self.lanes, Of::Destination, number);
            queue.ring.push(&mut self.lanes, Of::Queue, number);
        } else if first.is_none() {
            destination.ring.remove(&mut self.lanes, Of::Destination, number);
            queue.ring.remove(&mut self.lanes, Of::Queue, number);
        }
    }

    /// Notes that those who wait for this lane's messages have to be woken.
    pub(super) fn ring(&mut self, lane: u32) {
        let number = self.lanes[lane].destination;
        let destination = &mut self.destinations[number];
        if !std::mem::replace(&mut destination.ringing, true) {
            self.bells.destinations.push(number);
        }
        let queue = &mut self.queues[usize::from(destination.queue)];
        if !std::mem::replace(&mut queue.ringing, true) {
            self.bells.queues.push(destination.queue);
        }
    }
}
