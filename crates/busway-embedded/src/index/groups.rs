//! Groups: lines of messages of which only the first is ever in a lane.
//!
//! The messages of a group are linked in a circle through their entries, the table holds the first
//! of each, and that is all a group costs. Which of them is in hand is seen from the first: it is
//! itself, or the first is marked [`Entry::BUSY`] because a message with an earlier place has come
//! since.
//!
//! Nearly all messages come in their group's order and are appended. Where one would have to be
//! taken far to the front, the group's messages are sorted in a tree beside the circle until the
//! group is empty: one key whose messages come by priority, place by place apart, would take time
//! by the square of its length otherwise, and hold the whole index locked meanwhile.

use std::collections::{BTreeMap, HashMap};
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
    /// All messages of the groups whose circles are too long to be walked.
    long: HashMap<Key, BTreeMap<GroupKey, u32>, NumberHash>,
}

/// By what the messages of a group are ordered; see [`Entry::group_key`].
type GroupKey = (u64, u64);

/// Steps along a circle before its messages are sorted in a tree.
const WALK: usize = 64;

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
        self.leave_long(key, slot);
        if entry.next == slot {
            let (entries, lanes, Groups { firsts, hash, .. }) =
                (&self.entries, &self.lanes, &mut self.groups);
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
            let (entries, lanes, Groups { firsts, hash, .. }) =
                (&self.entries, &self.lanes, &mut self.groups);
            let hash_of = |slot: u32| hash.hash_one(key_of(entries, lanes, slot));
            firsts.insert(hash.hash_one(key), slot, hash_of);
            return;
        };
        let own = self.entries[slot].group_key();
        let becomes_first = own < self.entries[first].group_key();
        let before = self.last_below(key, first, own);
        let after = self.entries[before].next;
        (self.entries[slot].previous, self.entries[slot].next) = (before, after);
        self.entries[before].next = slot;
        self.entries[after].previous = slot;
        if let Some(line) = self.groups.long.get_mut(&key) {
            line.insert(own, slot);
        }
        if becomes_first {
            self.precede(key, first, slot);
        }
    }

    /// The last message of a group before the place `own`; the last of all where that is the first.
    fn last_below(&mut self, key: Key, first: u32, own: GroupKey) -> u32 {
        let last = self.entries[first].previous;
        if own < self.entries[first].group_key() {
            return last;
        }
        let mut before = last;
        for _ in 0..WALK {
            if self.entries[before].group_key() < own {
                return before;
            }
            before = self.entries[before].previous;
        }
        let (entries, long) = (&self.entries, &mut self.groups.long);
        let line = long.entry(key).or_insert_with(|| {
            let next = |slot: &u32| Some(entries[*slot].next).filter(|next| *next != first);
            let circle = std::iter::successors(Some(first), next);
            circle.map(|slot| (entries[slot].group_key(), slot)).collect()
        });
        line.range(..own).next_back().map_or(last, |(_, slot)| *slot)
    }

    fn leave_long(&mut self, key: Key, slot: u32) {
        if let Some(line) = self.groups.long.get_mut(&key) {
            line.remove(&self.entries[slot].group_key());
            if line.is_empty() {
                self.groups.long.remove(&key);
            }
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
