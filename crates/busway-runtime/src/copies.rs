//! Copies of one ordered endpoint on their way to `delayed`, by key and position: whether a message
//! that was read back was chosen while an earlier one of its key could not be seen there.

use std::collections::{BTreeMap, HashMap};

use crate::job::Job;

/// The copies that are not durable yet, and what has to wait for them.
#[derive(Default)]
pub(crate) struct Copies {
    /// How many of each key and position are not durable.
    unconfirmed: HashMap<u64, BTreeMap<u64, usize>>,
    /// What was read back of a key while an earlier copy of it was not durable.
    late: HashMap<u64, Vec<Job>>,
    /// Counts the readings.
    readings: u64,
    /// The lowest position of each key that has become durable during the reading under way.
    arrived: Option<HashMap<u64, u64>>,
}

/// What becomes of a message that was read back.
pub(crate) enum Check {
    /// Nothing of its key that it could have overtaken is under way.
    Clear(Job),
    /// It is kept until an earlier copy is durable.
    Kept,
    /// It was chosen before an earlier one was there: to be given back.
    Outdated(Job),
}

impl Copies {
    /// Copies of a key that is about to be published, by position.
    pub(crate) fn begin(&mut self, key: u64, position: Option<u64>) {
        *self.unconfirmed.entry(key).or_default().entry(of_copy(position)).or_default() += 1;
    }

    /// A copy is durable; returns what was kept for it and may be given back now, to stand behind it.
    pub(crate) fn end(&mut self, key: u64, position: Option<u64>) -> Vec<Job> {
        let position = of_copy(position);
        if let Some(arrived) = &mut self.arrived {
            let lowest = arrived.entry(key).or_insert(position);
            *lowest = position.min(*lowest);
        }
        if let Some(positions) = self.unconfirmed.get_mut(&key) {
            if let Some(count) = positions.get_mut(&position) {
                *count -= 1;
                if *count == 0 {
                    positions.remove(&position);
                }
            }
            if positions.is_empty() {
                self.unconfirmed.remove(&key);
            }
        }
        let lowest = self.lowest(key);
        let Some(late) = self.late.get_mut(&key) else { return Vec::new() };
        let freed = late.extract_if(.., |job| !before(lowest, job)).collect();
        if late.is_empty() {
            self.late.remove(&key);
        }
        freed
    }

    /// Looks at a message received in this reading.
    pub(crate) fn check(&mut self, key: u64, job: Job, reading: u64) -> Check {
        // What another reading has seen become durable is not known any more.
        let seen = self.arrived.as_ref().filter(|_| self.readings == reading);
        if seen.is_none_or(|arrived| before(arrived.get(&key).copied(), &job)) {
            return Check::Outdated(job);
        }
        if before(self.lowest(key), &job) {
            self.late.entry(key).or_default().push(job);
            return Check::Kept;
        }
        Check::Clear(job)
    }

    /// A receive is about to begin; returns the number of the reading. One before it is over.
    pub(crate) fn begin_reading(&mut self) -> u64 {
        self.readings += 1;
        self.arrived = Some(HashMap::new());
        self.readings
    }

    /// All that was received has been looked at.
    pub(crate) fn end_reading(&mut self, reading: u64) {
        if self.readings == reading {
            self.arrived = None;
        }
    }

    /// Whether each copy is durable.
    pub(crate) fn none(&self) -> bool {
        self.unconfirmed.is_empty()
    }

    /// Takes all that is kept.
    pub(crate) fn take_kept(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.late).into_values().flatten().collect()
    }

    fn lowest(&self, key: u64) -> Option<u64> {
        self.unconfirmed.get(&key)?.first_key_value().map(|(position, _)| *position)
    }
}

/// A copy whose position is not known may be earlier than anything.
fn of_copy(position: Option<u64>) -> u64 {
    position.unwrap_or_default()
}

/// Whether a copy stands before a message that was read back; one without a position may be later
/// than anything.
fn before(copy: Option<u64>, job: &Job) -> bool {
    copy.is_some_and(|copy| job.position.is_none_or(|position| copy < position))
}
