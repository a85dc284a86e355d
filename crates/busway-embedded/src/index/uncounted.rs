//! Deliveries that the log does not know of yet. Most messages are gone before they would be
//! counted, and cost nothing then.

use std::collections::VecDeque;

use super::{Index, Now};

/// A message that was handed out: when, its slot and its position.
pub(crate) type Uncounted = VecDeque<(u64, u32, u64)>;

impl Index {
    /// Since when the log has not known of a delivery.
    pub(crate) fn uncounted_since(&self) -> Option<u64> {
        self.uncounted.front().map(|(since, ..)| *since)
    }

    /// Forgets deliveries of messages that are gone.
    pub(crate) fn forget_settled(&mut self) {
        while let Some((_, slot, position)) = self.uncounted.front()
            && self.locate(*slot, *position).is_none()
        {
            self.uncounted.pop_front();
        }
    }

    /// Takes the slots and positions of messages that were handed out by `by` and still exist.
    pub(crate) fn take_uncounted(&mut self, by: u64) -> Vec<(u32, u64)> {
        let count = self.uncounted.partition_point(|(since, ..)| *since <= by);
        let taken: Vec<_> = self.uncounted.drain(..count).collect();
        let there = taken.into_iter().filter(|(_, slot, position)| self.locate(*slot, *position).is_some());
        there.map(|(_, slot, position)| (slot, position)).collect()
    }

    /// The log does not know of these deliveries after all.
    pub(crate) fn count_again(&mut self, counted: &[(u32, u64)], now: Now) {
        self.uncounted.extend(counted.iter().map(|(slot, position)| (now.steady, *slot, *position)));
    }
}
