//! What ends a lease, and what becomes of the message then.

use super::entry::{Entry, State};
use super::leases::{Lease, Token};
use super::{Arrival, Index, Now};
use crate::log::record::Waiting;

impl Index {
    /// The message of a token, which nothing but the outcome of a settle can take from it now.
    pub(crate) fn freeze(&mut self, token: Token) -> Option<u32> {
        self.leases.freeze(token).map(|lease| lease.slot)
    }

    /// Takes a message that nobody has in hand, wherever it stands, so that it can be removed.
    pub(crate) fn seize(&mut self, slot: u32, position: u64) -> bool {
        let Some(entry) = self.entries.get(slot) else { return false };
        if entry.position != position || entry.state == State::Leased {
            return false;
        }
        self.hide(slot);
        self.set_state(slot, State::Leased);
        self.entries[slot].flags |= Entry::SEIZED;
        true
    }

    /// The message is gone for good.
    pub(crate) fn finish(&mut self, token: Token, now: Now) {
        if let Some(lease) = self.end(token) {
            self.remove(lease.slot, now);
        }
    }

    /// The message waits again, in its old place.
    pub(crate) fn put_back(&mut self, token: Token, waiting: &Waiting, now: Now) {
        if let Some(lease) = self.end(token) {
            self.entries[lease.slot].deliveries = 0;
            self.set_state(lease.slot, State::Hidden);
            self.set_waiting(lease.slot, waiting);
            self.expose(lease.slot, now);
        }
    }

    /// The message can be handed out again, in its old place.
    pub(crate) fn release(&mut self, token: Token, now: Now) -> bool {
        let Some(lease) = self.end(token) else { return false };
        self.let_go(lease.slot, now);
        true
    }

    /// The same on behalf of whoever had it: it lived to say so, and its deliveries are forgotten.
    pub(crate) fn give_back(&mut self, token: Token, now: Now) -> bool {
        if let Some(lease) = self.leases.get(token).copied() {
            let entry = &mut self.entries[lease.slot];
            entry.deliveries = 0;
            let position = entry.position;
            self.uncounted.push_back((now.steady, lease.slot, position));
        }
        self.release(token, now)
    }

    /// As if the message had not been handed out: for a receive that was cancelled.
    pub(crate) fn undo(&mut self, token: Token, now: Now) {
        if let Some(lease) = self.leases.get(token).copied() {
            let entry = &mut self.entries[lease.slot];
            entry.deliveries = entry.deliveries.saturating_sub(1);
            self.release(token, now);
        }
    }

    /// How often the message of a token has been handed out.
    pub(crate) fn deliveries(&self, token: Token) -> Option<u32> {
        self.leases.get(token).map(|lease| self.entries[lease.slot].deliveries)
    }

    /// Lets a message that was in hand, or seized, be seen again.
    pub(crate) fn let_go(&mut self, slot: u32, now: Now) {
        self.set_state(slot, State::Hidden);
        self.expose(slot, now);
        self.entries[slot].flags &= !Entry::SEIZED;
    }

    /// A message moves to another queue: its new self enters and the old one goes.
    pub(crate) fn replace(&mut self, token: Token, arrival: &Arrival<'_>, now: Now) {
        self.add(arrival, now);
        self.finish(token, now);
    }

    /// Returns messages whose leases have run out, at most `max`; whether there are more.
    pub(crate) fn expire(&mut self, now: Now, max: usize) -> bool {
        for _ in 0..max {
            let Some(token) = self.leases.first_over(now.steady) else { return false };
            self.release(token, now);
        }
        true
    }

    pub(super) fn end(&mut self, token: Token) -> Option<Lease> {
        let lease = self.leases.end(token)?;
        self.leave_hand(lease.receiver);
        Some(lease)
    }
}
