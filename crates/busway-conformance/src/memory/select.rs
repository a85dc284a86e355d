//! Which messages a receive takes: the selector, whose turn it is, and how many fit.

use std::collections::{BTreeMap, VecDeque};

use busway_core::Message;
use busway_core::transport::{Selector, Turns};

use super::line::Line;

/// Whether a selector names this message.
pub(super) fn selects(selector: &Selector, message: &Message) -> bool {
    match selector {
        Selector::Destination(name) => message.destination.as_deref() == Some(&**name),
        Selector::NoDestination => message.destination.is_none(),
        Selector::Matching(filter) => filter.matches(message),
        _ => true,
    }
}

/// How many messages fit, by number and by weight.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

/// Whose turn it is on one receiver.
///
/// A whole queue is read in its own order. Accounts are taken in turn where part of a queue is
/// read, and everywhere once turns were set.
#[derive(Default)]
pub(super) struct Rota {
    turns: Option<Turns>,
    /// The account that was served last, and how often in a row.
    last: Option<(String, u32)>,
}

impl Rota {
    pub(super) fn set(&mut self, turns: Turns) {
        self.turns = Some(turns);
    }

    /// Whether there is anything that this receiver may take now.
    pub(super) fn any(&self, line: &Line, selector: &Selector) -> bool {
        line.ready().any(|(_, entry)| self.may_take(selector, &entry.message))
    }

    /// The positions to take, in order.
    pub(super) fn pick(&mut self, line: &Line, selector: &Selector, room: Room) -> Vec<u64> {
        let candidates = line.ready().filter(|(_, entry)| self.may_take(selector, &entry.message));
        let candidates = candidates.map(|(position, entry)| (position, &entry.message));
        if self.turns.is_none() && *selector == Selector::All {
            return fill(candidates, room);
        }
        let mut waiting: BTreeMap<String, VecDeque<(u64, &Message)>> = BTreeMap::new();
        for (position, message) in candidates {
            let account = message.account_or_dash();
            waiting.entry(account.to_owned()).or_default().push_back((position, message));
        }
        fill(std::iter::from_fn(|| self.next(&mut waiting)), room)
    }

    fn may_take(&self, selector: &Selector, message: &Message) -> bool {
        let paused = |turns: &Turns| turns.paused.contains(message.account_or_dash());
        selects(selector, message) && !self.turns.as_ref().is_some_and(paused)
    }

    fn next<'a>(
        &mut self,
        waiting: &mut BTreeMap<String, VecDeque<(u64, &'a Message)>>,
    ) -> Option<(u64, &'a Message)> {
        let account = self.whose_turn(waiting)?;
        let queue = waiting.get_mut(&account)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            waiting.remove(&account);
        }
        let row = match &self.last {
            Some((last, row)) if *last == account => row + 1,
            _ => 1,
        };
        self.last = Some((account, row));
        next
    }

    /// The account served last until its row is full, then the next by name, round and round.
    fn whose_turn<T>(&self, waiting: &BTreeMap<String, T>) -> Option<String> {
        let first = || waiting.keys().next().cloned();
        let Some((last, row)) = &self.last else { return first() };
        let weight = self.turns.as_ref().and_then(|turns| turns.weights.get(last)).copied().unwrap_or(1);
        if *row < weight && waiting.contains_key(last) {
            return Some(last.clone());
        }
        let later = waiting.range::<String, _>((std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded));
        later.map(|(account, _)| account.clone()).next().or_else(first)
    }
}

fn fill<'a>(candidates: impl Iterator<Item = (u64, &'a Message)>, room: Room) -> Vec<u64> {
    let mut taken = Vec::new();
    let mut bytes = 0_usize;
    let mut candidates = candidates;
    while taken.len() < room.messages && (taken.is_empty() || bytes < room.bytes) {
        let Some((position, message)) = candidates.next() else { break };
        bytes = bytes.saturating_add(message.weight());
        taken.push(position);
    }
    taken
}
