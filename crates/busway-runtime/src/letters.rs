//! Dead letters, taken a batch at a time by an operator's verbs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use busway_core::clock::{self, Millis};
use busway_core::transport::{Filter, Selector, Want};
use busway_core::{Error, ErrorKind, Message, Outcome, Queue, Result};

use crate::credit::Credit;
use crate::runtime::Runtime;
use crate::source::{Part, Slot};

/// How long one verb may take.
const LONGEST: Duration = Duration::from_secs(60);
const BATCH: usize = 256;
const BATCH_BYTES: usize = 16 << 20;

/// How a verb ended that went no further.
enum End {
    /// Nothing is left that it was meant for.
    Done,
    /// Its time is over.
    Late,
    /// The bus stops.
    Stopping,
}

impl Runtime {
    /// Takes each dead letter that matches and died before the call, oldest first; returns how many
    /// the broker has settled, once that are all.
    ///
    /// Cancelled, what was not settled stays.
    ///
    /// # Errors
    /// `Timeout` where there are more than can be settled in a minute; `Unavailable` where the bus
    /// stops, or some could not be settled. What was settled is done.
    pub(crate) async fn for_each_dead(&self, filter: Filter, act: impl Fn(Message, Part)) -> Result<u64> {
        let slot = self.engine.open(&Queue::Dead, Selector::Matching(filter)).await?;
        let mut taken = 0;
        let end = self.take_dead(&slot, &mut taken, act).await?;
        let settled = slot.acked();
        let (kind, why) = match end {
            End::Late => (ErrorKind::Timeout, "a minute was not enough"),
            End::Stopping => (ErrorKind::Unavailable, "the bus is stopping"),
            End::Done if settled < taken => (ErrorKind::Unavailable, "not all could be settled"),
            End::Done => {
                slot.receiver.close().await?;
                return Ok(settled);
            }
        };
        Err(Error::new("dead letters", kind, format!("{why}: {settled} were settled"))
            .at(Queue::Dead)
            .advise("run it again for the rest; what was settled is done"))
    }

    /// Takes batches until one is empty, or begins with what died after the call; counts what it
    /// took.
    async fn take_dead(&self, slot: &Arc<Slot>, taken: &mut u64, act: impl Fn(Message, Part)) -> Result<End> {
        let started = clock::now_ms();
        let deadline = Instant::now() + LONGEST;
        let in_hand = Credit::new(usize::MAX / 2, usize::MAX / 2);
        loop {
            // Counted with what is in hand before it looks, so that a stop waits for it.
            let _counted = self.engine.shared_credit.take(0);
            if self.engine.drains() {
                return Ok(End::Stopping);
            }
            if Instant::now() >= deadline {
                return Ok(End::Late);
            }
            let want = Want { max: BATCH, max_bytes: BATCH_BYTES, until: Instant::now() };
            let batch = slot.receiver.receive(want).await?;
            let mut last = batch.is_empty();
            for leased in batch {
                let part = Part::whole(slot, leased.receipt, in_hand.take(leased.message.weight()));
                if died_after(&leased.message, started) {
                    part.finish(Outcome::Release);
                    last = true;
                } else {
                    act(leased.message, part);
                    *taken += 1;
                }
            }
            if tokio::time::timeout_at(deadline.into(), in_hand.idle()).await.is_err() {
                return Ok(End::Late);
            }
            if last {
                return Ok(End::Done);
            }
        }
    }
}

fn died_after(message: &Message, moment: Millis) -> bool {
    message.parked.is_some_and(|since| since > moment)
}
