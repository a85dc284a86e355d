//! The total-queue checker: what was put in against what came out, in the classes of Jepsen's
//! checker of that name.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sync::lock;

const SHARDS: usize = 16;

/// How many ids of a class the text form names.
const NAMED: usize = 5;

/// Records from any thread what was attempted, acknowledged and delivered; cheap enough to stand
/// beside every publish and every delivery of a run.
///
/// An item is whatever must arrive once: a message's id, or `id@destination` where a message goes
/// to several.
pub struct Ledger {
    hasher: RandomState,
    shards: [Mutex<HashMap<String, Item>>; SHARDS],
    outstanding: AtomicU64,
}

#[derive(Clone, Copy, Default)]
struct Item {
    attempted: bool,
    acked: bool,
    unknown: bool,
    delivered: u32,
}

impl Item {
    fn is_outstanding(self) -> bool {
        self.acked && self.delivered == 0
    }
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self { hasher: RandomState::new(), shards: Default::default(), outstanding: AtomicU64::new(0) }
    }

    /// Before the publish is sent. Repeating it for a retry with the same id is harmless.
    pub fn attempted(&self, id: &str) {
        self.change(id, |item| item.attempted = true);
    }

    /// Once success was told: from here on it must not be lost.
    pub fn acknowledged(&self, id: &str) {
        self.change(id, |item| item.acked = true);
    }

    /// Once it was told that the outcome is unknown. It may arrive or not.
    pub fn unknown(&self, id: &str) {
        self.change(id, |item| item.unknown = true);
    }

    /// At each delivery.
    pub fn delivered(&self, id: &str) {
        self.change(id, |item| item.delivered = item.delivered.saturating_add(1));
    }

    /// How many acknowledged items have not been delivered so far: zero means that a drain may be
    /// over.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        self.outstanding.load(Ordering::Acquire)
    }

    /// The balance so far; final only after a full drain.
    #[must_use]
    pub fn verdict(&self) -> TotalQueue {
        let mut verdict = TotalQueue::default();
        for shard in &self.shards {
            for (id, item) in &*lock(shard) {
                verdict.add(id, *item);
            }
        }
        for class in
            [&mut verdict.lost, &mut verdict.unexpected, &mut verdict.duplicated, &mut verdict.recovered]
        {
            class.sort_unstable();
        }
        verdict
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Item)) {
        let shard = usize::try_from(self.hasher.hash_one(id) % SHARDS as u64).unwrap_or(0);
        let Some(shard) = self.shards.get(shard) else { return };
        let mut shard = lock(shard);
        let item = match shard.get_mut(id) {
            Some(item) => item,
            None => shard.entry(id.to_owned()).or_default(),
        };
        let before = item.is_outstanding();
        change(item);
        match (before, item.is_outstanding()) {
            (false, true) => self.outstanding.fetch_add(1, Ordering::AcqRel),
            (true, false) => self.outstanding.fetch_sub(1, Ordering::AcqRel),
            _ => return,
        };
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

/// The balance of a run. Valid is one without lost and unexpected items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TotalQueue {
    /// Items that were attempted.
    pub attempted: u64,
    /// Items of which success was told.
    pub acked: u64,
    /// Items of which an unknown outcome was told, and success never.
    pub unknown: u64,
    /// Items delivered, each counted once.
    pub delivered: u64,
    /// Deliveries of items that had been delivered before.
    pub repeats: u64,
    /// Ids acknowledged and never delivered.
    pub lost: Vec<String>,
    /// Ids delivered and never attempted.
    pub unexpected: Vec<String>,
    /// Ids delivered more than once.
    pub duplicated: Vec<String>,
    /// Ids delivered, attempted, and never acknowledged.
    pub recovered: Vec<String>,
}

impl TotalQueue {
    /// Whether nothing was lost and nothing came out of nowhere.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.lost.is_empty() && self.unexpected.is_empty()
    }

    /// For tests.
    ///
    /// # Panics
    /// With the balance, where it is not valid.
    pub fn assert_valid(&self) {
        assert!(self.is_valid(), "{self}");
    }

    fn add(&mut self, id: &str, item: Item) {
        self.attempted += u64::from(item.attempted);
        self.acked += u64::from(item.acked);
        self.unknown += u64::from(item.unknown && !item.acked);
        self.delivered += u64::from(item.delivered > 0);
        self.repeats += u64::from(item.delivered.saturating_sub(1));
        let known = item.attempted || item.acked;
        let classes = [
            (&mut self.lost, item.is_outstanding()),
            (&mut self.unexpected, !known && item.delivered > 0),
            (&mut self.duplicated, item.delivered > 1),
            (&mut self.recovered, item.attempted && !item.acked && item.delivered > 0),
        ];
        for (class, belongs) in classes {
            if belongs {
                class.push(id.to_owned());
            }
        }
    }
}

impl fmt::Display for TotalQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attempted {}, acked {}, unknown {}", self.attempted, self.acked, self.unknown)?;
        write!(f, ", delivered {}", self.delivered)?;
        let classes = [
            ("lost", &self.lost),
            ("unexpected", &self.unexpected),
            ("duplicated", &self.duplicated),
            ("recovered", &self.recovered),
        ];
        for (name, ids) in classes {
            write!(f, ", {name} {}", ids.len())?;
            if !ids.is_empty() {
                let more = if ids.len() > NAMED { ", …" } else { "" };
                write!(f, " ({}{more})", ids.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", "))?;
            }
        }
        Ok(())
    }
}
