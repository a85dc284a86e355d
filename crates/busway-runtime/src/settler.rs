//! The Settler: brings outcomes to the broker in batches, once every part of a message has one.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::prelude::*;
use busway_core::{Outcome, Receipt, Result};
use futures_util::FutureExt;

use crate::credit::Permit;
use crate::deliver::panic_message;
use crate::faults::Faults;
use crate::figures::Totals;
use crate::health::Health;
use crate::inbox::{Inbox, Poke};
use crate::lanes::ParkedTicket;
use crate::source::{Settlement, Slot};

const BATCH: usize = 512;
const BATCHES: usize = 4;
const FAULT: &str = "settling";

/// The actor; what is to be settled lies in its inbox.
pub(crate) struct Settler {
    pub(crate) inbox: Arc<Inbox<Settlement>>,
    pub(crate) under_way: Arc<AtomicUsize>,
    pub(crate) ledger: Ledger,
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
            let ledger = self.ledger.clone();
            self.io.spawn(async move {
                let _until_done = ends;
                ledger.settle(batch).await;
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

/// Where the answers of the broker are counted.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) totals: Arc<Totals>,
    pub(crate) health: Arc<Health>,
    /// How long the broker may take for a batch.
    pub(crate) deadline: Duration,
}

/// What is left of a settlement while its receipt and outcome are with the broker.
struct Open {
    leaves: bool,
    dies: bool,
    permit: Option<Permit>,
    parked: Option<ParkedTicket>,
}

impl Ledger {
    async fn settle(&self, batch: Vec<Settlement>) {
        let Some(slot) = batch.first().map(|s| Arc::clone(&s.slot)) else { return };
        let mut receipts = Vec::with_capacity(batch.len());
        let mut rest = Vec::with_capacity(batch.len());
        for Settlement { receipt, outcome, permit, parked, .. } in batch {
            let dies = matches!(outcome, Outcome::Dead { .. });
            let leaves = dies || outcome == Outcome::Ack;
            receipts.push((receipt, outcome));
            rest.push(Open { leaves, dies, permit, parked });
        }
        match self.ask(&slot, receipts).await {
            Ok(results) => {
                self.health.clear(FAULT);
                self.count(&slot, rest, results);
            }
            Err(why) => {
                tracing::error!(%why, messages = rest.len(), "a settle has no known outcome; what it did not settle comes again");
                self.health.fault(FAULT, why);
                rest.into_iter().for_each(Open::unsure);
            }
        }
    }

    /// Settles within the deadline; as many results as receipts, or why there are not.
    async fn ask(&self, slot: &Slot, receipts: Vec<(Receipt, Outcome)>) -> Result<Vec<Result<()>>, String> {
        let count = receipts.len();
        // The call itself is made within, so that a panic before its first wait is caught as well.
        let call = async { slot.receiver.settle(receipts).await };
        match AssertUnwindSafe(tokio::time::timeout(self.deadline, call)).catch_unwind().await {
            Ok(Ok(results)) if results.len() == count => Ok(results),
            Ok(Ok(results)) => Err(format!("{} results for {count} messages", results.len())),
            Ok(Err(_)) => Err(format!("no answer within {:?}", self.deadline)),
            Err(payload) => Err(panic_message(&*payload)),
        }
    }

    fn count(&self, slot: &Slot, rest: Vec<Open>, results: Vec<Result<()>>) {
        let mut failed = 0;
        for (open, result) in rest.into_iter().zip(results) {
            match result {
                Ok(()) => {
                    self.totals.settled.add(1);
                    if open.dies {
                        self.totals.dead.add(1);
                    } else if open.leaves {
                        slot.count_acked();
                    }
                    open.gone();
                }
                Err(error) => {
                    failed += 1;
                    open.unsure();
                    tracing::debug!(%error, "a message could not be settled; it comes again");
                }
            }
        }
        if failed > 0 {
            tracing::warn!(failed, "messages could not be settled; they come again");
        }
    }
}

impl Open {
    fn gone(self) {
        if let Some(ticket) = self.parked.filter(|_| self.leaves) {
            ticket.gone();
        }
        drop(self.permit);
    }

    fn unsure(self) {
        if let Some(ticket) = self.parked.filter(|_| self.leaves) {
            ticket.unsure();
        }
        drop(self.permit);
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
