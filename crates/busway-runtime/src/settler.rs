//! The Settler: brings outcomes to the broker in batches, once every part of a message has one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::prelude::*;
use busway_core::Outcome;

use crate::faults::Faults;
use crate::figures::Totals;
use crate::inbox::{Inbox, Poke};
use crate::source::{Settlement, Slot};

const BATCH: usize = 512;
const BATCHES: usize = 4;

/// The actor; what is to be settled lies in its inbox.
pub(crate) struct Settler {
    pub(crate) inbox: Arc<Inbox<Settlement>>,
    pub(crate) under_way: Arc<AtomicUsize>,
    pub(crate) totals: Arc<Totals>,
    pub(crate) faults: Faults,
    pub(crate) io: tokio::runtime::Handle,
}

impl Actor for Settler {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.faults.pass("settler.started");
        self.inbox.bell().attach(ctx.address().recipient());
    }
}

impl Handler<Poke> for Settler {
    type Result = ();

    fn handle(&mut self, _: Poke, _: &mut Self::Context) {
        self.inbox.bell().answer();
        self.faults.pass("settler");
        while self.under_way.load(Ordering::Acquire) < BATCHES {
            let batch = self.gather();
            if batch.is_empty() {
                return;
            }
            self.under_way.fetch_add(1, Ordering::AcqRel);
            let ends = UnderWay { inbox: Arc::clone(&self.inbox), count: Arc::clone(&self.under_way) };
            let totals = Arc::clone(&self.totals);
            self.io.spawn(async move {
                let _until_done = ends;
                settle(batch, &totals).await;
            });
        }
    }
}

impl Settler {
    /// What waits for one receiver, up to a batch.
    fn gather(&self) -> Vec<Settlement> {
        let mut first: Option<Arc<Slot>> = None;
        let mut count = 0;
        self.inbox.take_while(|settlement| {
            let slot = first.get_or_insert_with(|| Arc::clone(&settlement.slot));
            count += 1;
            count <= BATCH && Arc::ptr_eq(slot, &settlement.slot)
        })
    }
}

async fn settle(batch: Vec<Settlement>, totals: &Totals) {
    let Some(slot) = batch.first().map(|s| Arc::clone(&s.slot)) else { return };
    let mut receipts = Vec::with_capacity(batch.len());
    let mut rest = Vec::with_capacity(batch.len());
    for Settlement { receipt, outcome, permit, parked, .. } in batch {
        let leaves = matches!(outcome, Outcome::Ack | Outcome::Dead { .. });
        let dies = matches!(outcome, Outcome::Dead { .. });
        receipts.push((receipt, outcome));
        rest.push((leaves, dies, permit, parked));
    }
    let results = slot.receiver.settle(receipts).await;
    let mut failed = 0;
    for ((leaves, dies, permit, parked), result) in rest.into_iter().zip(results) {
        match result {
            Ok(()) => {
                totals.settled.add(1);
                if dies {
                    totals.dead.add(1);
                }
                if let Some(ticket) = parked.filter(|_| leaves) {
                    ticket.gone();
                }
            }
            Err(error) => {
                failed += 1;
                if let Some(ticket) = parked.filter(|_| leaves) {
                    ticket.unsure();
                }
                tracing::debug!(%error, "a message could not be settled; it comes again");
            }
        }
        drop(permit);
    }
    if failed > 0 {
        tracing::warn!(failed, "messages could not be settled; they come again");
    }
}

/// One batch under way; when it ends, the settler looks for the next.
struct UnderWay {
    inbox: Arc<Inbox<Settlement>>,
    count: Arc<AtomicUsize>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
        self.inbox.bell().ring();
    }
}
