//! A received message on its way to its destinations, and the parts it is split into. The source is
//! settled when every part has an outcome; a part that is dropped abandons the whole message.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use busway_core::clock::{self, Millis};
use busway_core::{Outcome, Receipt, Receiver};

use crate::credit::Permit;
use crate::inbox::Inbox;
use crate::lanes::ParkedTicket;

/// An open receiver with what was received from it and is not settled.
pub(crate) struct Slot {
    pub(crate) receiver: Arc<dyn Receiver>,
    pub(crate) lease: Duration,
    settlements: Arc<Inbox<Settlement>>,
    tokens: Mutex<HashMap<u64, Held>>,
    acked: AtomicU64,
}

/// A message in hand, for whoever asks how long it has been.
struct Held {
    position: Option<u64>,
    since: Millis,
}

impl Slot {
    pub(crate) fn new(
        receiver: Arc<dyn Receiver>,
        lease: Duration,
        settlements: Arc<Inbox<Settlement>>,
    ) -> Arc<Self> {
        Arc::new(Self { receiver, lease, settlements, tokens: Mutex::default(), acked: AtomicU64::new(0) })
    }

    /// The broker has confirmed that one message is gone.
    pub(crate) fn count_acked(&self) {
        self.acked.fetch_add(1, Ordering::AcqRel);
    }

    /// Messages of which it has.
    pub(crate) fn acked(&self) -> u64 {
        self.acked.load(Ordering::Acquire)
    }

    /// Makes the leases of all that is in hand last. Those lost come again by themselves.
    pub(crate) async fn extend_all(&self) {
        let tokens: Vec<u64> = self.tokens().keys().copied().collect();
        if tokens.is_empty() {
            return;
        }
        let lost = self.receiver.extend(&tokens, self.lease).await.iter().filter(|r| r.is_err()).count();
        if lost > 0 {
            tracing::debug!(lost, held = tokens.len(), "leases that could not be extended");
        }
    }

    /// Since when the message at this position is in hand, if it is.
    pub(crate) fn held_since(&self, position: u64) -> Option<Millis> {
        self.tokens().values().find(|held| held.position == Some(position)).map(|held| held.since)
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<u64, Held>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One outcome on its way to the broker.
pub(crate) struct Settlement {
    pub(crate) slot: Arc<Slot>,
    pub(crate) receipt: Receipt,
    pub(crate) outcome: Outcome,
    /// Given back once the broker has answered.
    pub(crate) permit: Option<Permit>,
    /// The lane that the message was parked in, if any.
    pub(crate) parked: Option<ParkedTicket>,
}

struct Source {
    slot: Arc<Slot>,
    state: Mutex<State>,
}

struct State {
    receipt: Option<Receipt>,
    permit: Option<Permit>,
    parked: Option<ParkedTicket>,
    open: usize,
    split: bool,
}

/// The duty to bring one part of a received message to an outcome. Dropped without one, the whole
/// message is abandoned and comes again.
pub(crate) struct Part(Option<Arc<Source>>);

impl Part {
    /// The whole of a message received from this position.
    pub(crate) fn whole(slot: &Arc<Slot>, receipt: Receipt, position: Option<u64>, permit: Permit) -> Self {
        slot.tokens().insert(receipt.token(), Held { position, since: clock::now_ms() });
        let state =
            State { receipt: Some(receipt), permit: Some(permit), parked: None, open: 1, split: false };
        Self(Some(Arc::new(Source { slot: Arc::clone(slot), state: Mutex::new(state) })))
    }

    /// Ties the message to the lane it was parked in.
    pub(crate) fn in_lane(self, ticket: ParkedTicket) -> Self {
        if let Some(source) = &self.0 {
            source.lock().parked = Some(ticket);
        }
        self
    }

    /// As many parts as there are destinations; at least one.
    pub(crate) fn split(mut self, parts: usize) -> Vec<Self> {
        let Some(source) = self.0.take() else { return Vec::new() };
        {
            let mut state = source.lock();
            state.open += parts.max(1) - 1;
            state.split |= parts > 1;
        }
        (0..parts.max(1)).map(|_| Self(Some(Arc::clone(&source)))).collect()
    }

    /// Whether the message has further parts.
    pub(crate) fn split_up(&self) -> bool {
        self.0.as_ref().is_some_and(|source| source.lock().split)
    }

    /// This part is delivered, or durable elsewhere.
    pub(crate) fn done(self) {
        self.finish(Outcome::Ack);
    }

    /// The outcome of a message that was never split; of one that was, only `Ack` counts, and any
    /// other abandons it.
    pub(crate) fn finish(mut self, outcome: Outcome) {
        if outcome != Outcome::Ack && self.split_up() {
            // Other parts may be done already, and only the whole can be given back.
            return;
        }
        let Some(source) = self.0.take() else { return };
        let settlement = {
            let mut state = source.lock();
            state.open -= 1;
            if state.open > 0 {
                None
            } else {
                state.receipt.take().map(|receipt| Settlement {
                    slot: Arc::clone(&source.slot),
                    receipt,
                    outcome,
                    permit: state.permit.take(),
                    parked: state.parked.take(),
                })
            }
        };
        if let Some(settlement) = settlement {
            source.slot.tokens().remove(&settlement.receipt.token());
            source.slot.settlements.push(settlement);
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let Some(source) = self.0.take() else { return };
        let (receipt, permit, parked) = {
            let mut state = source.lock();
            (state.receipt.take(), state.permit.take(), state.parked.take())
        };
        if let Some(receipt) = &receipt {
            source.slot.tokens().remove(&receipt.token());
        }
        drop(receipt);
        drop((permit, parked));
    }
}

impl Source {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
