//! What a program said before its cuts, against what is there after.

use std::collections::BTreeSet;

/// All that was said so far about the messages of one disk.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    confirmed: BTreeSet<u64>,
    /// An acknowledgement was begun: from here on it may be gone.
    begun: BTreeSet<u64>,
    /// The acknowledgement was confirmed: it must not come back.
    done: BTreeSet<u64>,
}

impl Ledger {
    /// Takes lines `C id`, `A id`, `D id`.
    pub(super) fn hear(&mut self, said: &[String]) {
        for line in said {
            let (what, id) = line.split_once(' ').unwrap();
            let id = id.parse().unwrap();
            match what {
                "C" => self.confirmed.insert(id),
                "A" => self.begun.insert(id),
                "D" => self.done.insert(id),
                _ => panic!("not understood: {line}"),
            };
        }
    }

    /// Confirmed, never begun to be acknowledged, and not there.
    pub(super) fn lost(&self, there: &BTreeSet<u64>) -> Vec<u64> {
        self.confirmed.iter().filter(|id| !self.begun.contains(id) && !there.contains(id)).copied().collect()
    }

    /// Acknowledged for good, and there again.
    pub(super) fn returned(&self, there: &BTreeSet<u64>) -> Vec<u64> {
        self.done.intersection(there).copied().collect()
    }

    /// How many were confirmed and how many acknowledged for good.
    pub(super) fn heard(&self) -> (usize, usize) {
        (self.confirmed.len(), self.done.len())
    }
}
