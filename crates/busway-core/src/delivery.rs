//! Messages in hand: leased from a queue, settled by a receipt that is used by value.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Millis;
use crate::message::Message;
use crate::reason::Reason;

/// A message received from a queue, with the receipt that settles it.
#[derive(Debug)]
pub struct Leased {
    /// The message.
    pub message: Message,
    /// Settles it; dropped, the message is abandoned and comes again.
    pub receipt: Receipt,
    /// How often it has been handed out since it last had an outcome, this time included: what
    /// rises without end is a message that kills whoever takes it. `None` where the transport
    /// cannot tell.
    pub deliveries: Option<u32>,
    /// Its place in the order: the position its [`Group`](crate::transport::Group) gave it, else
    /// that in which the transport took it; lower comes first. `None` where the transport has no
    /// order.
    pub position: Option<u64>,
    /// When the queue took it, by the broker's or host's clock.
    pub enqueued: Option<Millis>,
}

/// What becomes of a received message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done: remove it.
    Ack,
    /// Not tried: give it back at once, in its old place, attempts unchanged.
    Release,
    /// Tried and failed: give it back after this long (rounded up to the transport's step), with
    /// `bwattempt` one higher and this `bwreason`. It keeps its place within its group.
    Retry {
        /// How long to wait.
        after: Duration,
        /// Why.
        reason: Reason,
    },
    /// Put it back to wait without an attempt having been made, with this `bwreason`.
    Park {
        /// How long to wait at least.
        after: Duration,
        /// Why.
        reason: Reason,
    },
    /// Move it to the bus's `dead` queue with this `bwreason`; `bwattempt` becomes `attempts`,
    /// `bworigin` is set where it was not.
    Dead {
        /// Why.
        reason: Reason,
        /// Deliveries tried in all.
        attempts: u32,
    },
}

/// Is told of receipts that were dropped unsettled. Called from `drop`, possibly during a panic:
/// must not block and must not panic.
pub trait AbandonSink: Send + Sync {
    /// The receipt with this token was dropped: the message must come again, after a back-off.
    fn abandoned(&self, token: u64);
}

/// The right to settle one message, used by value.
///
/// Dropping it (a panic, a cancelled task, a dead actor) abandons the message: the adapter is told
/// and hands it out again after a back-off. It is never acknowledged by a drop.
pub struct Receipt {
    token: u64,
    detail: Option<Box<dyn Any + Send + Sync>>,
    sink: Option<Arc<dyn AbandonSink>>,
}

impl Receipt {
    /// A receipt of the adapter that owns `sink`; `token` names the message to it.
    #[must_use]
    pub fn new(token: u64, sink: Arc<dyn AbandonSink>) -> Self {
        Self { token, detail: None, sink: Some(sink) }
    }

    /// Adds what else the adapter needs to settle it.
    #[must_use]
    pub fn with_detail(mut self, detail: Box<dyn Any + Send + Sync>) -> Self {
        self.detail = Some(detail);
        self
    }

    /// The adapter's name for the message.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.token
    }

    /// The adapter's further data.
    #[must_use]
    pub fn detail(&self) -> Option<&(dyn Any + Send + Sync)> {
        self.detail.as_deref()
    }

    /// Whether this receipt was handed out with this very sink.
    #[must_use]
    pub fn belongs_to(&self, sink: &Arc<dyn AbandonSink>) -> bool {
        self.sink.as_ref().is_some_and(|own| Arc::ptr_eq(own, sink))
    }

    /// For adapters, at the moment of settling: uses the receipt up, so that dropping it no longer
    /// abandons the message.
    #[must_use]
    pub fn redeem(mut self) -> (u64, Option<Box<dyn Any + Send + Sync>>) {
        self.sink = None;
        (self.token, self.detail.take())
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(sink) = self.sink.take() {
            sink.abandoned(self.token);
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").field("token", &self.token).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Seen(Mutex<Vec<u64>>);

    impl AbandonSink for Seen {
        fn abandoned(&self, token: u64) {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(token);
        }
    }

    #[test]
    fn a_dropped_receipt_is_abandoned_and_a_redeemed_one_is_not() {
        let seen = Arc::new(Seen::default());
        drop(Receipt::new(1, seen.clone()));
        let (token, _) = Receipt::new(2, seen.clone()).redeem();
        assert_eq!(token, 2);
        assert_eq!(*seen.0.lock().unwrap(), vec![1]);
    }
}
