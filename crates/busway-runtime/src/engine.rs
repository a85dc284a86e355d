//! What the actors of one running bus share. It outlives each of them.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use busway_core::clock::Millis;
use busway_core::transport::{ReceiverOptions, Selector};
use busway_core::{Journal, Leased, Queue, Result, Transport};
use tokio::sync::watch;

use crate::credit::Credit;
use crate::faults::Faults;
use crate::figures::Totals;
use crate::gauge::Gauge;
use crate::health::Health;
use crate::inbox::{Bell, Inbox};
use crate::producer::Desk;
use crate::quota::Quota;
use crate::router::Desks;
use crate::source::{Settlement, Slot};

/// Whether messages are taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// They are.
    Running,
    /// What is in hand is finished, nothing is taken in.
    Draining,
}

/// The shared parts of one running bus.
pub(crate) struct Engine {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) desks: Arc<Desks>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) settlements: Arc<Inbox<Settlement>>,
    /// The receivers that are open, by their queues.
    pub(crate) slots: Mutex<Vec<(Queue, Weak<Slot>)>>,
    /// Messages from `priority` in hand.
    pub(crate) credit: Arc<Credit>,
    /// Messages in hand from `delayed` that have no destination, and dead letters; those from
    /// `delayed` for an endpoint are with its target.
    pub(crate) shared_credit: Arc<Credit>,
    /// Loops that take messages in.
    pub(crate) readers: Arc<Gauge>,
    /// Tells the read-back that endpoints were added.
    pub(crate) added: Bell,
    pub(crate) health: Arc<Health>,
    pub(crate) totals: Arc<Totals>,
    pub(crate) quota: Quota,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) faults: Faults,
    pub(crate) io: tokio::runtime::Handle,
    pub(crate) lease: Duration,
    /// When it last began to take messages in, in milliseconds since the epoch.
    pub(crate) began: AtomicU64,
}

impl Engine {
    /// Opens a receiver whose leases are kept alive for as long as it is open.
    pub(crate) async fn open(&self, queue: &Queue, selector: Selector) -> Result<Arc<Slot>> {
        let options = ReceiverOptions { selector, lease: Some(self.lease), prefetch: None };
        let receiver = self.transport.receiver(queue, options).await?;
        let slot = Slot::new(receiver, self.lease, Arc::clone(&self.settlements));
        let kept = Arc::downgrade(&slot);
        {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.retain(|(_, slot)| slot.strong_count() > 0);
            slots.push((queue.clone(), Weak::clone(&kept)));
        }
        let every = self.lease / 3;
        self.io.spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(slot) = kept.upgrade() else { return };
                slot.extend_all().await;
            }
        });
        Ok(slot)
    }

    /// Since when this process has the message at this position of a queue in hand, if it has.
    pub(crate) fn held_since(&self, queue: &Queue, position: u64) -> Option<Millis> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let own = slots.iter().filter(|(of, _)| of == queue).filter_map(|(_, slot)| slot.upgrade());
        own.collect::<Vec<_>>().iter().find_map(|slot| slot.held_since(position))
    }

    /// Whether nothing more is to be taken in.
    pub(crate) fn drains(&self) -> bool {
        *self.phase.borrow() == Phase::Draining
    }

    /// Runs a reading loop until nothing more is to be taken in; then waits for its own end, so
    /// that the actor that owns it is not made anew.
    pub(crate) async fn read_until_draining(&self, reading: impl Future<Output = ()>) {
        let counted = async {
            let _under_way = self.readers.enter();
            reading.await;
        };
        tokio::select! {
            biased;
            () = self.draining() => {}
            () = counted => {}
        }
        std::future::pending().await
    }

    /// Waits until nothing more is to be taken in.
    pub(crate) async fn draining(&self) {
        let mut phase = self.phase.subscribe();
        let _closed_means_draining = phase.wait_for(|phase| *phase == Phase::Draining).await;
    }

    /// Counts messages received from `delayed`.
    pub(crate) fn count_read_back(&self, batch: &[Leased]) {
        let began: Millis = self.began.load(Ordering::Acquire);
        let found = batch.iter().filter(|leased| leased.message.parked.is_none_or(|at| at < began)).count();
        // What this run has parked itself was counted when it was received.
        self.quota.give_back(batch.len() - found);
        self.totals.read_back.add(batch.len() as u64);
        self.totals.found.add(found as u64);
    }

    /// Drops all that is in hand and not under way, so that it is abandoned and comes again.
    pub(crate) fn let_go(&self) {
        self.desks.inbox.close();
        self.added.detach();
        for target in &self.desks.board.load().targets {
            target.room.close();
            target.lanes.close();
        }
        self.desk.clear();
        self.settlements.close();
    }

    /// Messages in hand.
    pub(crate) fn in_hand(&self) -> usize {
        self.credit.used().0 + self.read_back_in_hand()
    }

    /// Messages in hand that did not come from `priority`.
    pub(crate) fn read_back_in_hand(&self) -> usize {
        let board = self.desks.board.load();
        let targets = board.targets.iter().map(|target| target.read_credit.used().0);
        self.shared_credit.used().0 + targets.sum::<usize>()
    }
}
