//! Slots of one lane and priority, in order.

use std::collections::VecDeque;

/// Ascending slots. New ones nearly always come last and returned ones nearly first, so both ends
/// are cheap and four bytes a message are enough.
#[derive(Default)]
pub(crate) struct Line(VecDeque<u32>);

impl Line {
    pub(crate) fn first(&self) -> Option<u32> {
        self.0.front().copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a slot at the place that its key gives it.
    pub(crate) fn insert(&mut self, slot: u32, key: impl Fn(u32) -> (u64, u64)) {
        let own = key(slot);
        if self.0.back().is_none_or(|last| key(*last) < own) {
            self.0.push_back(slot);
        } else if self.0.front().is_some_and(|first| key(*first) > own) {
            self.0.push_front(slot);
        } else {
            let at = self.0.partition_point(|other| key(*other) < own);
            self.0.insert(at, slot);
        }
    }

    /// Adds slots of ascending order that come after `before`, which is in it.
    pub(crate) fn extend(&mut self, before: u32, slots: &[u32], key: impl Fn(u32) -> (u64, u64)) {
        if self.0.back() == Some(&before) {
            self.0.extend(slots);
        } else {
            slots.iter().for_each(|slot| self.insert(*slot, &key));
        }
    }

    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }

    pub(crate) fn pop(&mut self) -> Option<u32> {
        let slot = self.0.pop_front();
        self.shrink();
        slot
    }

    /// Takes a slot out; whether it was there.
    pub(crate) fn remove(&mut self, slot: u32, key: impl Fn(u32) -> (u64, u64)) -> bool {
        let own = key(slot);
        let at = self.0.partition_point(|other| key(*other) < own);
        if self.0.get(at) != Some(&slot) {
            return false;
        }
        self.0.remove(at);
        self.shrink();
        true
    }

    fn shrink(&mut self) {
        let capacity = self.0.capacity();
        if capacity > 1024 && self.0.len() < capacity / 4 {
            self.0.shrink_to(capacity / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_stay_in_the_order_of_their_keys() {
        let key = |slot: u32| (u64::from(slot), 0);
        let mut line = Line::default();
        for slot in [5, 9, 1, 7, 3, 8, 0] {
            line.insert(slot, key);
        }
        assert!(line.remove(7, key));
        assert!(!line.remove(6, key));
        let mut seen = Vec::new();
        while let Some(slot) = line.pop() {
            seen.push(slot);
        }
        assert_eq!(seen, [0, 1, 3, 5, 8, 9]);
    }
}
