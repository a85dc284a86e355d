//! Goes through the messages of a queue in the order of their positions, a bounded number at a
//! time, without an index for it: for looking, purging and finding by properties.

use std::collections::BinaryHeap;

use busway_core::transport::{Filter, Selector, Standing};

use super::Index;
use super::entry::{Entry, State};
use super::place::waits_until;

/// Slots looked at in one go, with the index locked.
pub(crate) const STRIDE: u32 = 32_768;

/// The lowest positions of a part of a queue, collected stride by stride.
pub(crate) struct Search {
    queue: u16,
    selector: Selector,
    /// Only what stands ready.
    ready: bool,
    after: u64,
    limit: usize,
    next_slot: u32,
    found: BinaryHeap<(u64, u32)>,
}

impl Search {
    /// At most `limit` messages with positions above `after`.
    pub(crate) fn new(queue: u16, selector: Selector, ready: bool, after: u64, limit: usize) -> Self {
        Self { queue, selector, ready, after, limit, next_slot: 0, found: BinaryHeap::new() }
    }

    /// What was found: positions and slots, lowest position first.
    pub(crate) fn finish(self) -> Vec<(u64, u32)> {
        self.found.into_sorted_vec()
    }

    /// Looks at the next stride; whether there is more.
    pub(crate) fn step(&mut self, index: &Index) -> bool {
        let end = self.next_slot.saturating_add(STRIDE).min(index.entries.slots());
        for slot in self.next_slot..end {
            let Some(entry) = index.entries.get(slot) else { continue };
            if entry.position > self.after && self.wants(index, entry) {
                self.found.push((entry.position, slot));
                if self.found.len() > self.limit {
                    self.found.pop();
                }
            }
        }
        self.next_slot = end;
        end < index.entries.slots()
    }

    fn wants(&self, index: &Index, entry: &Entry) -> bool {
        if entry.state == State::Hidden || (self.ready && entry.state != State::Ready) {
            return false;
        }
        let lane = &index.lanes[entry.lane];
        let destination = &index.destinations[lane.destination];
        if destination.queue != self.queue {
            return false;
        }
        let name = destination.name.as_deref();
        match &self.selector {
            Selector::Destination(wanted) => name == Some(&**wanted),
            Selector::NoDestination => name.is_none(),
            Selector::Matching(filter) => matches_lane(filter, &lane.account, name),
            _ => true,
        }
    }
}

/// Whether a filter's account and destination, where it names them, are these.
pub(super) fn matches_lane(filter: &Filter, account: &str, destination: Option<&str>) -> bool {
    filter.account.as_deref().is_none_or(|wanted| wanted == account)
        && filter.destination.as_deref().is_none_or(|wanted| Some(wanted) == destination)
}

impl Index {
    /// Why a message is or is not handed out now; `None` where it is gone.
    pub(crate) fn standing(&self, slot: u32, position: u64) -> Option<Standing> {
        let entry = self.entries.get(slot).filter(|entry| entry.position == position)?;
        match entry.state {
            State::Ready => Some(Standing::Ready),
            State::Leased => Some(Standing::InFlight),
            State::Behind => Some(Standing::Behind),
            State::Delayed => waits_until(&self.entries, &self.held, slot).map(Standing::Delayed),
            State::Free | State::Hidden => None,
        }
    }
}
