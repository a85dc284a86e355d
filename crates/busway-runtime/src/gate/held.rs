//! What is held of a gate: places, and calls under way.

use std::sync::Arc;

use super::{Gate, Way};

/// A place behind the gate; given back when dropped.
pub(crate) struct Ticket {
    pub(super) gate: Arc<Gate>,
    pub(super) opening: u64,
    pub(super) way: Way,
    pub(super) account: Option<Box<str>>,
    pub(super) bytes: usize,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        {
            let mut state = self.gate.lock();
            match self.way {
                _ if self.opening != state.openings => state.earlier -= 1,
                Way::Direct => state.direct -= 1,
                Way::Loud => state.loud -= 1,
                Way::ReadBack => state.read_back -= 1,
            }
            state.bytes -= self.bytes;
            if let Some(account) = self.account.take()
                && let Some(inside) = state.accounts.get_mut(&account)
            {
                *inside -= 1;
                if *inside == 0 {
                    state.accounts.remove(&account);
                }
            }
        }
        self.gate.changed.notify_waiters();
    }
}

/// A call under way; ended when dropped.
pub(crate) struct Call {
    pub(super) gate: Arc<Gate>,
    pub(super) opening: u64,
}

impl Call {
    /// How often the breaker had opened when it began, for [`Gate::learn`].
    pub(crate) fn opening(&self) -> u64 {
        self.opening
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        {
            let mut state = self.gate.lock();
            match self.opening == state.openings {
                true => state.calls -= 1,
                false => state.earlier_calls -= 1,
            }
        }
        self.gate.changed.notify_waiters();
    }
}
