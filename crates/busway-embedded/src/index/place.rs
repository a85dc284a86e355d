//! Where a message stands: in its lane, among those that wait for their time, or nowhere.

use super::entry::{Entries, Entry, State};
use super::held::Held;
use super::{Index, Now};

impl Index {
    /// Changes where a message stands, in the counts of everything it belongs to.
    pub(super) fn set_state(&mut self, slot: u32, to: State) {
        let entry = &mut self.entries[slot];
        let from = std::mem::replace(&mut entry.state, to);
        if from == to {
            return;
        }
        let lane = &mut self.lanes[entry.lane];
        let destination = &mut self.destinations[lane.destination];
        let queue = &mut self.queues[usize::from(destination.queue)];
        for counts in [&mut lane.counts, &mut destination.counts, &mut queue.counts] {
            counts.change(from, to);
        }
    }

    /// Puts a message that stands nowhere into its lane, or where messages wait for their time.
    pub(super) fn place(&mut self, slot: u32, now: Now) {
        let entry = self.entries[slot];
        let mut when = entry.due;
        if entry.has(Entry::HELD) {
            match self.held.until.get(&slot) {
                Some(until) if *until > now.wall => when = when.max(*until),
                _ => {
                    self.held.until.remove(&slot);
                    self.entries[slot].flags &= !Entry::HELD;
                }
            }
        }
        if when > now.wall {
            self.set_state(slot, State::Delayed);
            let destination = self.lanes[entry.lane].destination;
            self.destinations[destination].due.push(when, slot);
            self.reset_alarm(destination);
        } else {
            self.set_state(slot, State::Ready);
            self.lanes[entry.lane].push(entry.priority, slot, &self.entries);
            self.reset_head(entry.lane);
            self.ring(entry.lane);
        }
    }

    /// Takes a message out of its lane or from among those that wait.
    pub(super) fn hide(&mut self, slot: u32) {
        let entry = self.entries[slot];
        match entry.state {
            State::Ready => {
                self.lanes[entry.lane].take(entry.priority, slot, &self.entries);
                self.reset_head(entry.lane);
            }
            State::Delayed => {
                let number = self.lanes[entry.lane].destination;
                self.set_state(slot, State::Hidden);
                self.destinations[number].due.forget_one();
                self.reset_alarm(number);
            }
            State::Free | State::Hidden | State::Behind | State::Leased => {}
        }
        self.set_state(slot, State::Hidden);
    }

    /// Takes the first message out of a lane.
    pub(super) fn pop(&mut self, lane: u32) -> Option<u32> {
        let slot = self.lanes[lane].pop()?;
        self.reset_head(lane);
        self.set_state(slot, State::Hidden);
        Some(slot)
    }

    /// Lets everything that is due by now be seen, at most `max` messages; whether there is more.
    pub(crate) fn ripen(&mut self, now: Now, max: usize) -> bool {
        for _ in 0..max {
            let Some((when, number)) = self.alarms.first().copied() else { return false };
            if when > now.wall {
                return false;
            }
            let destination = &mut self.destinations[number];
            if let Some((_, slot)) = destination.due.pop() {
                self.set_state(slot, State::Hidden);
                self.place(slot, now);
            }
            self.reset_alarm(number);
        }
        true
    }

    /// The next moment at which something is due.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.alarms.first().map(|(when, _)| *when)
    }

    fn reset_alarm(&mut self, number: u32) {
        let destination = &mut self.destinations[number];
        let (entries, held) = (&self.entries, &self.held);
        destination.due.sweep(|slot| waits_until(entries, held, slot));
        let first = destination.due.first();
        let old = std::mem::replace(&mut destination.alarm, first);
        if old == first {
            return;
        }
        if let Some(when) = old {
            self.alarms.remove(&(when, number));
        }
        if let Some(when) = first {
            self.alarms.insert((when, number));
        }
    }
}

/// Until when a message waits, where it does.
pub(super) fn waits_until(entries: &Entries, held: &Held, slot: u32) -> Option<u64> {
    let entry = entries.get(slot).filter(|entry| entry.state == State::Delayed)?;
    let until = held.until.get(&slot).copied().filter(|_| entry.has(Entry::HELD));
    Some(until.map_or(entry.due, |until| until.max(entry.due)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
