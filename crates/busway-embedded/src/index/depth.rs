//! Figures: how much stands where.

use std::time::Duration;

use busway_core::transport::{Backlog, Depth, Filter, Selector};

use super::Index;
use super::counts::Counts;
use super::lane::{Destination, Lane};
use super::place::waits_until;
use super::search::matches_lane;

impl Index {
    /// The figures of a queue or a part of it. A filter counts whole lanes, so it must not name an
    /// id or a type.
    pub(crate) fn depth(&mut self, queue: u16, selector: &Selector) -> Depth {
        self.mend_ages();
        let state = &self.queues[usize::from(queue)];
        match selector {
            Selector::All => self.sum(state.counts, self.parts(queue)),
            Selector::Destination(name) => match state.destinations.get(&**name) {
                Some(number) => self.part(*number),
                None => exact(Counts::default()),
            },
            Selector::NoDestination => self.part(state.none),
            Selector::Matching(filter) => self.matching(queue, filter),
            _ => exact(Counts::default()),
        }
    }

    /// The largest lanes of a queue.
    pub(crate) fn breakdown(&mut self, queue: u16, max: usize) -> Vec<Backlog> {
        self.mend_ages();
        let lanes = |part| self.lanes_of(part).map(move |lane: &Lane| (part, lane));
        let mut rows: Vec<(&Destination, &Lane)> = self.parts(queue).flat_map(lanes).collect();
        let name = |part: &Destination, lane: &Lane| (part.name.clone(), lane.account.clone());
        rows.sort_unstable_by(|(a, of_a), (b, of_b)| {
            of_b.messages.cmp(&of_a.messages).then_with(|| name(a, of_a).cmp(&name(b, of_b)))
        });
        rows.truncate(max);
        let row = |(part, lane): (&Destination, &Lane)| Backlog {
            destination: part.name.as_deref().map(str::to_owned),
            account: lane.account.as_ref().to_owned(),
            messages: lane.messages,
            oldest: lane.ages.oldest(),
        };
        rows.into_iter().map(row).collect()
    }

    fn part(&self, number: u32) -> Depth {
        let part = &self.destinations[number];
        self.sum(part.counts, std::iter::once(part))
    }

    fn sum<'a>(&'a self, counts: Counts, parts: impl Iterator<Item = &'a Destination>) -> Depth {
        let mut depth = exact(counts);
        for part in parts {
            depth.next_due = least(depth.next_due, part.due.first());
            for lane in self.lanes_of(part) {
                self.add_lane(&mut depth, lane);
            }
        }
        depth
    }

    fn matching(&self, queue: u16, filter: &Filter) -> Depth {
        let mut counts = Counts::default();
        let mut depth = Depth::default();
        for part in self.parts(queue) {
            for lane in self.lanes_of(part) {
                if !matches_lane(filter, &lane.account, part.name.as_deref()) {
                    continue;
                }
                counts.ready += lane.counts.ready;
                counts.in_flight += lane.counts.in_flight;
                counts.delayed += lane.counts.delayed;
                counts.bytes += lane.counts.bytes;
                self.add_lane(&mut depth, lane);
            }
            let waits = part.due.iter().filter(|(when, slot)| {
                waits_until(&self.entries, &self.held, *slot) == Some(*when)
                    && matches_lane(
                        filter,
                        &self.lanes[self.entries[*slot].lane].account,
                        part.name.as_deref(),
                    )
            });
            depth.next_due = least(depth.next_due, waits.map(|(when, _)| when).min());
        }
        Depth {
            oldest: depth.oldest,
            next_due: depth.next_due,
            lowest_ready: depth.lowest_ready,
            ..exact(counts)
        }
    }

    fn add_lane(&self, depth: &mut Depth, lane: &Lane) {
        depth.oldest = least(depth.oldest, lane.ages.oldest());
        for (_, line) in &lane.lines {
            let first = line.first().map(|slot| self.entries[slot].order);
            depth.lowest_ready = least(depth.lowest_ready, first);
        }
    }

    fn parts(&self, queue: u16) -> impl Iterator<Item = &Destination> {
        let state = &self.queues[usize::from(queue)];
        let numbers = state.destinations.values().copied().chain([state.none]);
        numbers.map(|number| &self.destinations[number])
    }

    fn lanes_of(&self, part: &Destination) -> impl Iterator<Item = &Lane> {
        part.accounts.values().map(|lane| &self.lanes[*lane])
    }
}

fn exact(counts: Counts) -> Depth {
    Depth {
        ready: Some(counts.ready),
        in_flight: Some(counts.in_flight),
        delayed: Some(counts.delayed),
        bytes: Some(counts.bytes),
        staleness: Duration::ZERO,
        ..Depth::default()
    }
}

fn least(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
