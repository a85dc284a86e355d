//! One message on its way to one endpoint.

use std::sync::Arc;

use busway_core::{Message, Outcome, clock};

use crate::gate::Ticket;
use crate::source::Part;

/// Which queue a message was received from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// `priority`, or `delayed` without a destination: it waits elsewhere as a copy.
    Priority,
    /// `delayed`, for this endpoint alone: it waits in its place.
    Delayed,
}

/// A message on its way to one endpoint, with its place behind the gate.
pub(crate) struct Job {
    pub(crate) message: Arc<Message>,
    pub(crate) part: Part,
    pub(crate) home: Home,
    /// The number of its key, where the endpoint keeps order.
    pub(crate) key: Option<u64>,
    /// Its place in the order of its key.
    pub(crate) position: Option<u64>,
    pub(crate) ticket: Ticket,
}

impl Job {
    /// Whether its time is over: it must not be delivered any more.
    pub(crate) fn expired(&self) -> bool {
        self.message.expires_at.is_some_and(|at| at < clock::now_ms())
    }

    /// Gives the message back to its queue, in its old place, untried.
    pub(crate) fn give_back(self) {
        self.part.finish(Outcome::Release);
    }
}
