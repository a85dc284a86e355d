//! What waits for its time, soonest first, in twelve bytes a message.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A moment in two halves, for density, and a slot.
type Row = Reverse<(u32, u32, u32)>;

/// Slots by the moment they wait for. Rows of messages that no longer wait for that moment are
/// dropped when they come to the top, or when they are many.
#[derive(Default)]
pub(crate) struct Due {
    rows: BinaryHeap<Row>,
    /// Rows that are to be dropped.
    stale: usize,
}

impl Due {
    pub(crate) fn push(&mut self, when: u64, slot: u32) {
        self.rows.push(Reverse(((when >> 32) as u32, when as u32, slot)));
    }

    /// The soonest moment. Right after [`Due::sweep`].
    pub(crate) fn first(&self) -> Option<u64> {
        self.rows.peek().map(|row| split(row).0)
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, u32)> {
        self.rows.pop().map(|row| split(&row))
    }

    /// A message no longer waits.
    pub(crate) fn forget_one(&mut self) {
        self.stale += 1;
    }

    /// Drops what no longer waits from the top; `waits` tells until when a slot waits, if it does.
    pub(crate) fn sweep(&mut self, waits: impl Fn(u32) -> Option<u64>) {
        let valid = |row: &Row| waits(split(row).1) == Some(split(row).0);
        if self.stale > 64 && self.stale > self.rows.len() / 2 {
            self.rows.retain(valid);
            self.rows.shrink_to(2 * self.rows.len());
            self.stale = 0;
        }
        while self.rows.peek().is_some_and(|row| !valid(row)) {
            self.rows.pop();
            self.stale = self.stale.saturating_sub(1);
        }
        if self.rows.is_empty() {
            *self = Self::default();
        }
    }

    /// All rows in no order, those to be dropped included.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u32)> {
        self.rows.iter().map(split)
    }
}

fn split(Reverse((high, low, slot)): &Row) -> (u64, u32) {
    (u64::from(*high) << 32 | u64::from(*low), *slot)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn what_no_longer_waits_is_dropped_and_the_rest_comes_in_order() {
        let mut waiting: HashMap<u32, u64> =
            (0..1000).map(|slot| (slot, u64::from(slot * 7919 % 1000))).collect();
        let mut due = Due::default();
        for (slot, when) in &waiting {
            due.push(*when, *slot);
        }
        for slot in (0..1000).filter(|slot| slot % 10 != 3) {
            waiting.remove(&slot);
            due.forget_one();
            due.sweep(|slot| waiting.get(&slot).copied());
            assert_eq!(due.first(), waiting.values().min().copied());
        }
        assert!(due.iter().count() <= 200);
        let mut last = 0;
        while let Some((when, slot)) = due.pop() {
            assert!(when >= last && waiting.remove(&slot) == Some(when));
            last = when;
            due.sweep(|slot| waiting.get(&slot).copied());
        }
        assert!(waiting.is_empty());
    }
}
