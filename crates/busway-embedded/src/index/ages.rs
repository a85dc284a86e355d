//! How old the oldest message of a lane is, without a list of all their ages.
//!
//! Messages are counted by the second in which they were accepted, with the earliest moment of
//! each. Once the message with the earliest moment of the first second is gone, that moment is too
//! early by less than a second; [`Index::mend_ages`] makes it exact again while there are few
//! messages, and leaves it so while there are many.

use std::collections::BTreeMap;

use super::Index;
use super::entry::State;

/// Milliseconds of a bucket, as a power of two.
const BUCKET: u32 = 10;

/// Slots up to which ages are made exact.
const EXACT: u32 = 1 << 16;

/// Some messages that were accepted in one second.
pub(super) struct Accepted {
    second: u64,
    count: u32,
    earliest: u64,
}

impl Accepted {
    /// None as yet, of the second of this moment.
    pub(super) fn new(moment: u64) -> Self {
        Self { second: moment >> BUCKET, count: 0, earliest: moment }
    }

    /// Counts one; false where that is of another second.
    pub(super) fn add(&mut self, accepted: u64) -> bool {
        let same = accepted >> BUCKET == self.second;
        if same {
            self.count += 1;
            self.earliest = self.earliest.min(accepted);
        }
        same
    }
}

struct Second {
    count: u32,
    earliest: u64,
    exact: bool,
}

/// Counts of messages by the second in which they were accepted.
#[derive(Default)]
pub(crate) struct Ages(BTreeMap<u64, Second>);

impl Ages {
    pub(super) fn add(&mut self, accepted: u64) {
        self.add_all(Accepted { second: accepted >> BUCKET, count: 1, earliest: accepted });
    }

    pub(super) fn add_all(&mut self, Accepted { second, count, earliest }: Accepted) {
        let second = self.0.entry(second).or_insert(Second { count: 0, earliest, exact: true });
        second.count += count;
        if earliest < second.earliest {
            second.earliest = earliest;
            second.exact = true;
        }
    }

    pub(super) fn remove(&mut self, accepted: u64) {
        let Some(second) = self.0.get_mut(&(accepted >> BUCKET)) else { return };
        second.count -= 1;
        second.exact &= second.earliest != accepted;
        if second.count == 0 {
            self.0.remove(&(accepted >> BUCKET));
        }
    }

    /// When the oldest was accepted.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.0.first_key_value().map(|(_, second)| second.earliest)
    }

    fn is_exact(&self) -> bool {
        self.0.first_key_value().is_none_or(|(_, second)| second.exact)
    }

    /// Begins to find the earliest moment of the first second anew.
    fn begin(&mut self) {
        if let Some(mut first) = self.0.first_entry() {
            first.get_mut().earliest = u64::MAX;
        }
    }

    fn consider(&mut self, accepted: u64) {
        if let Some(mut first) = self.0.first_entry()
            && *first.key() == accepted >> BUCKET
        {
            let second = first.get_mut();
            second.earliest = second.earliest.min(accepted);
            second.exact = true;
        }
    }
}

impl Index {
    /// Makes the ages of all lanes exact, unless there are so many messages that it would take
    /// long.
    pub(crate) fn mend_ages(&mut self) {
        let inexact: Vec<u32> =
            self.lanes.iter().filter(|(_, lane)| !lane.ages.is_exact()).map(|(lane, _)| lane).collect();
        if inexact.is_empty() || self.entries.slots() > EXACT {
            return;
        }
        for lane in &inexact {
            self.lanes[*lane].ages.begin();
        }
        for slot in 0..self.entries.slots() {
            let Some(entry) = self.entries.get(slot) else { continue };
            if entry.state != State::Free && inexact.binary_search(&entry.lane).is_ok() {
                self.lanes[entry.lane].ages.consider(entry.accepted);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_exact_or_too_early_by_less_than_a_second() {
        let mut ages = Ages::default();
        for accepted in [5_000, 5_003, 5_003, 9_000] {
            ages.add(accepted);
        }
        assert_eq!(ages.oldest(), Some(5_000));
        ages.remove(5_000);
        assert!(!ages.is_exact() && ages.oldest().is_some_and(|oldest| oldest <= 5_003 && oldest > 4_000));
        ages.begin();
        [5_003, 5_003, 9_000].into_iter().for_each(|accepted| ages.consider(accepted));
        assert!(ages.is_exact() && ages.oldest() == Some(5_003));
        ages.remove(5_003);
        ages.remove(5_003);
        assert_eq!(ages.oldest(), Some(9_000));
        ages.remove(9_000);
        assert_eq!(ages.oldest(), None);
    }
}
