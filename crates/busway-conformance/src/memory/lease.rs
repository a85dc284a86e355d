//! Who has which message in hand, and until when.

use std::sync::Arc;
use std::time::{Duration, Instant};

use busway_core::error::{Error, ErrorKind, Result};
use busway_core::{AbandonSink, Queue};

use super::line::Entry;
use super::storage::{Shared, State, after};

/// How long an abandoned message rests, so that what cannot be handled does not spin.
const BACK_OFF: Duration = Duration::from_millis(20);

/// One message in hand.
pub(super) struct Lease {
    pub(super) queue: Queue,
    pub(super) position: u64,
    ends: Instant,
    receiver: u64,
    connection: u64,
}

/// Who takes a message, and for how long.
#[derive(Clone, Copy)]
pub(super) struct Holder {
    pub(super) connection: u64,
    pub(super) receiver: u64,
    pub(super) lease: Duration,
}

/// Hears of dropped receipts of one connection. It holds the storage and not the connection, so
/// that a receipt that lies about does not keep a dropped transport open.
pub(super) struct Abandoned {
    pub(super) shared: Arc<Shared>,
}

impl AbandonSink for Abandoned {
    fn abandoned(&self, token: u64) {
        let mut state = self.shared.state();
        state.abandon(token);
        self.shared.changed.notify_waiters();
    }
}

impl State {
    /// Leases the message at `position`; answers the token of the lease and the message's entry.
    pub(super) fn lease(&mut self, queue: &Queue, position: u64, holder: Holder) -> Option<(u64, &Entry)> {
        let token = self.number();
        let entry = self.lines.get_mut(queue)?.hold(position)?;
        let Holder { connection, receiver, lease } = holder;
        let ends = after(lease);
        self.ends.insert((ends, token));
        self.leases.insert(token, Lease { queue: queue.clone(), position, ends, receiver, connection });
        *self.held.entry(receiver).or_default() += 1;
        Some((token, entry))
    }

    /// Makes a lease end no sooner than `by` from now.
    pub(super) fn extend(&mut self, token: u64, by: Duration) -> Result<()> {
        let lease = self.leases.get_mut(&token).ok_or_else(|| lost("extend"))?;
        let ends = after(by).max(lease.ends);
        self.ends.remove(&(lease.ends, token));
        self.ends.insert((ends, token));
        lease.ends = ends;
        Ok(())
    }

    /// Ends a lease by settling; the caller decides what becomes of the message.
    pub(super) fn end_lease(&mut self, token: u64) -> Result<Lease> {
        let lease = self.leases.remove(&token).ok_or_else(|| lost("settle"))?;
        self.ends.remove(&(lease.ends, token));
        let emptied = self.held.get_mut(&lease.receiver).is_some_and(|held| {
            *held = held.saturating_sub(1);
            *held == 0
        });
        if emptied {
            self.held.remove(&lease.receiver);
        }
        Ok(lease)
    }

    /// Takes back a message whose receipt was dropped; nothing where the lease has ended.
    pub(super) fn abandon(&mut self, token: u64) {
        self.give_back(token, Some(BACK_OFF));
    }

    /// Takes back all that a connection has in hand.
    pub(super) fn end_connection(&mut self, connection: u64) {
        let of_it = |(token, lease): (&u64, &Lease)| (lease.connection == connection).then_some(*token);
        let mut tokens: Vec<u64> = self.leases.iter().filter_map(of_it).collect();
        tokens.sort_unstable();
        for token in tokens {
            self.give_back(token, None);
        }
    }

    /// Takes back what has a lease that ended before `now`; whether there was any.
    pub(super) fn end_leases(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some((_, token)) = self.ends.first().copied().filter(|(end, _)| *end <= now) {
            self.give_back(token, None);
            any = true;
        }
        any
    }

    fn give_back(&mut self, token: u64, back_off: Option<Duration>) {
        let Ok(lease) = self.end_lease(token) else { return };
        let due = back_off.map(|rest| self.due_after(rest));
        if let Some(line) = self.lines.get_mut(&lease.queue) {
            line.give_back(lease.position, due);
        }
    }
}

fn lost(operation: &'static str) -> Error {
    Error::new(operation, ErrorKind::LeaseLost, "the message is no longer held; it returns or is settled")
}
