//! Whether the messages of each key came in their order.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Mutex;

use crate::sync::lock;

/// How many inversions the text form names.
const NAMED: usize = 5;

/// Records deliveries by key and sequence, from any thread. The first deliveries of a key must
/// come in rising sequence, gaps allowed. A repeat of what came before is counted, and is no
/// inversion.
#[derive(Default)]
pub struct OrderChecker(Mutex<State>);

#[derive(Default)]
struct State {
    keys: HashMap<String, Key>,
    verdict: OrderVerdict,
}

#[derive(Default)]
struct Key {
    seen: HashSet<u64>,
    highest: u64,
}

impl OrderChecker {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records a delivery.
    pub fn delivered(&self, key: &str, sequence: u64) {
        let mut state = lock(&self.0);
        let State { keys, verdict } = &mut *state;
        let known = match keys.get_mut(key) {
            Some(known) => known,
            None => keys.entry(key.to_owned()).or_default(),
        };
        verdict.deliveries += 1;
        if !known.seen.insert(sequence) {
            verdict.repeats += 1;
        } else if sequence < known.highest {
            let inversion = Inversion { key: key.to_owned(), sequence, after: known.highest };
            verdict.inversions.push(inversion);
        } else {
            known.highest = sequence;
        }
    }

    /// What was found so far.
    #[must_use]
    pub fn verdict(&self) -> OrderVerdict {
        let state = lock(&self.0);
        OrderVerdict { keys: state.keys.len(), ..state.verdict.clone() }
    }
}

/// A message that came after a later one of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inversion {
    /// The key.
    pub key: String,
    /// What came too late.
    pub sequence: u64,
    /// The highest that had come before it.
    pub after: u64,
}

/// What an [`OrderChecker`] has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderVerdict {
    /// Keys seen.
    pub keys: usize,
    /// Deliveries recorded.
    pub deliveries: u64,
    /// Deliveries of what had been delivered before.
    pub repeats: u64,
    /// What came out of order.
    pub inversions: Vec<Inversion>,
}

impl OrderVerdict {
    /// Whether order held, repeats allowed.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.inversions.is_empty()
    }

    /// Whether order held and nothing came twice.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.is_valid() && self.repeats == 0
    }
}

impl fmt::Display for OrderVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keys, deliveries, repeats, inversions } = self;
        write!(
            f,
            "{deliveries} deliveries of {keys} keys, {repeats} repeats, {} inversions",
            inversions.len()
        )?;
        for Inversion { key, sequence, after } in inversions.iter().take(NAMED) {
            write!(f, "; {key}: {sequence} after {after}")?;
        }
        if inversions.len() > NAMED { f.write_str("; …") } else { Ok(()) }
    }
}
