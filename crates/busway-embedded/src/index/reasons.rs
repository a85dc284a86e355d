//! The few different reasons that many messages wait for, each kept once.

use std::collections::HashMap;

use busway_core::reason::Reason;

use super::entry::NONE;
use super::pool::Pool;

/// Reasons by number, counted by how many messages name them.
#[derive(Default)]
pub(crate) struct Reasons {
    numbers: HashMap<Reason, u32>,
    reasons: Pool<(Reason, usize)>,
}

impl Reasons {
    /// The number of a reason, counted once more.
    pub(crate) fn number(&mut self, reason: &Reason) -> u32 {
        if let Some(number) = self.numbers.get(reason) {
            self.reasons[*number].1 += 1;
            return *number;
        }
        let number = self.reasons.insert((reason.clone(), 1));
        self.numbers.insert(reason.clone(), number);
        number
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Reason> {
        self.reasons.get(number).map(|(reason, _)| reason)
    }

    /// Counts a reason once less.
    pub(crate) fn release(&mut self, number: u32) {
        if number == NONE {
            return;
        }
        let (_, count) = &mut self.reasons[number];
        *count -= 1;
        if *count == 0
            && let Some((reason, _)) = self.reasons.remove(number)
        {
            self.numbers.remove(&reason);
        }
    }
}
