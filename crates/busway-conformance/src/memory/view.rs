//! Looking at a queue without taking anything, and emptying it.

use std::collections::BTreeMap;
use std::time::Duration;

use busway_core::clock::Millis;
use busway_core::transport::{Backlog, Depth, Peeked, Selector, Standing};

use super::limits::size;
use super::line::{Entry, Line};
use super::select::selects;

/// The figures of what the selector names. A message behind another of its group counts as
/// delayed where that one's time has not come, else as ready.
pub(super) fn depth(line: &Line, selector: &Selector) -> Depth {
    let (mut ready, mut in_flight, mut delayed, mut bytes) = (0_u64, 0_u64, 0_u64, 0_u64);
    let (mut oldest, mut next_due, mut lowest_ready) = (None, None, None);
    for (position, entry) in line.entries().filter(|(_, entry)| selects(selector, &entry.message)) {
        bytes += size(&entry.message) as u64;
        oldest = earliest(oldest, accepted(entry));
        match line.standing(position, entry) {
            Standing::Ready => {
                ready += 1;
                lowest_ready = earliest(lowest_ready, entry.place(position));
            }
            Standing::InFlight => in_flight += 1,
            Standing::Delayed(due) => {
                delayed += 1;
                next_due = earliest(next_due, due);
            }
            Standing::Behind if line.behind_delayed(position, entry) => delayed += 1,
            Standing::Behind => ready += 1,
        }
    }
    Depth {
        ready: Some(ready),
        in_flight: Some(in_flight),
        delayed: Some(delayed),
        oldest,
        next_due,
        lowest_ready,
        bytes: Some(bytes),
        staleness: Duration::ZERO,
    }
}

/// Messages by destination and account, largest first.
pub(super) fn breakdown(line: &Line, max: usize) -> Vec<Backlog> {
    let mut rows: BTreeMap<(Option<String>, String), Backlog> = BTreeMap::new();
    for (_, entry) in line.entries() {
        let destination = entry.message.destination.clone();
        let account = entry.message.account_or_dash().to_owned();
        let row = rows.entry((destination.clone(), account.clone())).or_insert(Backlog {
            destination,
            account,
            messages: 0,
            oldest: None,
        });
        row.messages += 1;
        row.oldest = earliest(row.oldest, accepted(entry));
    }
    let mut rows: Vec<Backlog> = rows.into_values().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.messages));
    rows.truncate(max);
    rows
}

/// Messages as they stand, oldest first.
pub(super) fn peek(line: &Line, selector: &Selector, skip: usize, max: usize) -> Vec<Peeked> {
    let chosen = line.entries().filter(|(_, entry)| selects(selector, &entry.message));
    let seen = chosen.skip(skip).take(max).map(|(position, entry)| Peeked {
        message: entry.message.clone(),
        standing: line.standing(position, entry),
        position: Some(entry.place(position)),
    });
    seen.collect()
}

/// Removes what nobody has in hand.
pub(super) fn purge(line: &mut Line) -> u64 {
    let idle = |(position, entry): (u64, &Entry)| {
        (line.standing(position, entry) != Standing::InFlight).then_some(position)
    };
    let positions: Vec<u64> = line.entries().filter_map(idle).collect();
    for position in &positions {
        line.remove(*position);
    }
    positions.len() as u64
}

fn accepted(entry: &Entry) -> Millis {
    entry.message.accepted.unwrap_or(entry.enqueued)
}

fn earliest(known: Option<u64>, further: u64) -> Option<u64> {
    Some(known.map_or(further, |known| known.min(further)))
}
