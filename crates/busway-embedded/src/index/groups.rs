//! Groups: lines of messages of which only the first is ever in a lane.
//!
//! The messages of a group are linked in a circle through their entries, the table holds the first
//! of each, and that is all a group costs. Which of them is in hand is seen from the first: it is
//! itself, or the first is marked [`Entry::BUSY`] because a message with an earlier place has come
//! since.

use std::hash::BuildHasher;

use super::entry::{Entries, Entry, State};
use super::lane::Lane;
use super::pool::{NumberHash, Pool};
use super::table::Table;
use super::{Index, Now};

/// The first message of every group.
#[derive(Default)]
pub(crate) struct Groups {
    firsts: Table,
    hash: NumberHash,
}

/// A group's destination (which implies the queue) and key.
type Key = (u32, u64);

impl Index {
    /// Lets a message that stands nowhere be seen as its group and its due time allow.
    pub(crate) fn expose(&mut self, slot: u32, now: Now) {
        let entry = self.entries[slot];
        if !entry.has(Entry::GROUPED) {
            self.place(slot, now);
            return;
        }
        let key = self.group_of(slot);
        self.set_state(slot, State::Behind);
        if entry.has(Entry::LINKED) {
            self.leave_group_free(key, slot);
        } else {
            self.link(key, slot);
        }
        self.refresh(key, now);
    }

    /// Takes a message out of its group, if it is in one, and lets the next one be seen.
    pub(super) fn unlink(&mut self, slot: u32, now: Now) {
        let entry = self.entries[slot];
        if !entry.has(Entry::LINKED) {
            return;
        }
        let key = self.group_of(slot);
        self.leave_group_free(key, slot);
        let is_first = self.first_of(key) == Some(slot);
        self.entries[slot].flags &= !(Entry::LINKED | Entry::BUSY);
        if entry.next == slot {
            let (entries, lanes, Groups { firsts, hash }) = (&self.entries, &self.lanes, &mut self.groups);
            let hash_of = |slot: u32| hash.hash_one(key_of(entries, lanes, slot));
            firsts.remove(hash.hash_one(key), |other| other == slot, hash_of);
            return;
        }
        self.entries[entry.previous].next = entry.next;
        self.entries[entry.next].previous = entry.previous;
        if is_first {
            self.set_first(key, slot, entry.next);
            let next = self.entries[entry.next];
            let in_hand = next.state == State::Leased && !next.has(Entry::SEIZED);
            if entry.has(Entry::BUSY) && !in_hand {
                self.entries[entry.next].flags |= Entry::BUSY;
            }
        }
        self.refresh(key, now);
    }

    /// A message of the group that was in hand, or seized, no longer is.
    fn leave_group_free(&mut self, key: Key, slot: u32) {
        if self.entries[slot].has(Entry::SEIZED) {
            self.entries[slot].flags &= !Entry::SEIZED;
            return;
        }
        if let Some(first) = self.first_of(key).filter(|first| *first != slot) {
            self.entries[first].flags &= !Entry::BUSY;
        }
    }

    /// Lets the first message of the group be seen, unless one is in hand.
    fn refresh(&mut self, key: Key, now: Now) {
        let Some(first) = self.first_of(key) else { return };
        let entry = &self.entries[first];
        if !entry.has(Entry::BUSY) && matches!(entry.state, State::Behind | State::Hidden) {
            self.place(first, now);
        }
    }

    /// Puts a message into its group's line at the place that its key gives it.
    fn link(&mut self, key: Key, slot: u32) {
        self.entries[slot].flags |= Entry::LINKED;
        let Some(first) = self.first_of(key) else {
            let entry = &mut self.entries[slot];
            (entry.previous, entry.next) = (slot, slot);
            let (entries, lanes, Groups { firsts, hash }) = (&self.entries, &self.lanes, &mut self.groups);
            let hash_of = |slot: u32| hash.hash_one(key_of(entries, lanes, slot));
            firsts.insert(hash.hash_one(key), slot, hash_of);
            return;
        };
        let own = self.entries[slot].group_key();
        let becomes_first = own < self.entries[first].group_key();
        let mut before = self.entries[first].previous;
        while !becomes_first && self.entries[before].group_key() > own {
            before = self.entries[before].previous;
        }
        let after = self.entries[before].next;
        (self.entries[slot].previous, self.entries[slot].next) = (before, after);
        self.entries[before].next = slot;
        self.entries[after].previous = slot;
        if becomes_first {
            self.precede(key, first, slot);
        }
    }

    /// A message with an earlier place takes the lead of its group.
    fn precede(&mut self, key: Key, first: u32, slot: u32) {
        self.set_first(key, first, slot);
        let old = self.entries[first];
        let in_hand = old.state == State::Leased && !old.has(Entry::SEIZED);
        if in_hand || old.has(Entry::BUSY) {
            self.entries[first].flags &= !Entry::BUSY;
            self.entries[slot].flags |= Entry::BUSY;
        } else if matches!(old.state, State::Ready | State::Delayed) {
            self.hide(first);
            self.set_state(first, State::Behind);
        }
    }

    fn set_first(&mut self, key: Key, old: u32, new: u32) {
        let hash = self.groups.hash.hash_one(key);
        self.groups.firsts.replace(hash, |other| other == old, new);
    }

    fn first_of(&self, key: Key) -> Option<u32> {
        let hash = self.groups.hash.hash_one(key);
        self.groups.firsts.find(hash, |slot| self.group_of(slot) == key)
    }

    fn group_of(&self, slot: u32) -> Key {
        key_of(&self.entries, &self.lanes, slot)
    }
}

fn key_of(entries: &Entries, lanes: &Pool<Lane>, slot: u32) -> Key {
    let entry = &entries[slot];
    (lanes[entry.lane].destination, entry.group)
}
