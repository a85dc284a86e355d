//! Reading one queue in memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use busway_core::error::{Error, ErrorKind, Result};
use busway_core::transport::{ReceiverOptions, Turns, Want};
use busway_core::{AbandonSink, Leased, Outcome, Queue, Receipt, Receiver};

use super::lease::{Abandoned, Holder};
use super::select::{Room, Rota};
use super::storage::{State, handed_out};
use super::transport::Connection;
use crate::sync::lock;

/// How long a lease is where neither the receiver nor the capabilities name an end.
const WHILE_CONNECTED: Duration = Duration::MAX;

pub(super) struct MemoryReceiver {
    connection: Arc<Connection>,
    queue: Queue,
    options: ReceiverOptions,
    holder: Holder,
    rota: Mutex<Rota>,
    sink: Arc<dyn AbandonSink>,
    closed: AtomicBool,
}

impl MemoryReceiver {
    pub(super) fn new(
        connection: Arc<Connection>,
        number: u64,
        queue: Queue,
        options: ReceiverOptions,
    ) -> Self {
        let lease = options.lease.or(connection.shared.capabilities.lease).unwrap_or(WHILE_CONNECTED);
        let holder = Holder { connection: connection.id, receiver: number, lease };
        let sink = Arc::new(Abandoned { shared: Arc::clone(&connection.shared) });
        let closed = AtomicBool::new(false);
        Self { connection, queue, options, holder, rota: Mutex::default(), sink, closed }
    }

    fn check(&self, operation: &'static str) -> Result<()> {
        self.connection.check(operation)?;
        if self.closed.load(Ordering::Acquire) {
            let error = Error::new(operation, ErrorKind::Closed, "the receiver was closed");
            return Err(error.at(&self.queue));
        }
        Ok(())
    }

    /// Asks `attempt` until it has an answer, whenever something may have changed; `None` when
    /// `until` has come first.
    async fn poll<T: Send>(
        &self,
        operation: &'static str,
        until: Instant,
        mut attempt: impl FnMut(&mut State) -> Result<Option<T>> + Send,
    ) -> Result<Option<T>> {
        loop {
            let mut changed = std::pin::pin!(self.connection.shared.changed.notified());
            changed.as_mut().enable();
            let wake = {
                let mut state = self.connection.shared.state();
                self.check(operation)?;
                if let Some(answer) = attempt(&mut state)? {
                    return Ok(Some(answer));
                }
                state.next_event(&self.queue).map_or(until, |event| event.min(until))
            };
            if Instant::now() >= until {
                return Ok(None);
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }

    fn room(&self, state: &State) -> usize {
        let held = state.held.get(&self.holder.receiver).copied().unwrap_or(0);
        self.options.prefetch.map_or(usize::MAX, |prefetch| prefetch.saturating_sub(held))
    }

    fn take(&self, state: &mut State, want: &Want) -> Result<Option<Vec<Leased>>> {
        let most = want.max.min(self.connection.shared.capabilities.receive_batch);
        let room = Room { messages: most.min(self.room(state)), bytes: want.max_bytes };
        let line = state.line("receive", &self.queue)?;
        let positions = lock(&self.rota).pick(line, &self.options.selector, room);
        let taken: Vec<Leased> = positions.into_iter().filter_map(|p| self.lease(state, p)).collect();
        Ok((!taken.is_empty()).then_some(taken))
    }

    fn lease(&self, state: &mut State, position: u64) -> Option<Leased> {
        let skew = state.skew;
        let (token, entry) = state.lease(&self.queue, position, self.holder)?;
        let counts = self.connection.shared.capabilities.delivery_count.available();
        Some(Leased {
            message: handed_out(entry.message.clone(), skew),
            receipt: Receipt::new(token, Arc::clone(&self.sink)),
            deliveries: counts.then_some(entry.deliveries),
            position: Some(entry.place(position)),
            enqueued: Some(entry.enqueued),
        })
    }
}

#[async_trait]
impl Receiver for MemoryReceiver {
    async fn receive(&self, want: Want) -> Result<Vec<Leased>> {
        let until = if want.max == 0 { Instant::now() } else { want.until };
        Ok(self.poll("receive", until, |state| self.take(state, &want)).await?.unwrap_or_default())
    }

    async fn ready(&self, until: Instant) -> Result<bool> {
        let find = |state: &mut State| {
            let room = self.room(state) > 0;
            let line = state.line("receive", &self.queue)?;
            Ok((room && lock(&self.rota).any(line, &self.options.selector)).then_some(()))
        };
        Ok(self.poll("receive", until, find).await?.is_some())
    }

    async fn settle(&self, batch: Vec<(Receipt, Outcome)>) -> Vec<Result<()>> {
        let mut results = Vec::with_capacity(batch.len());
        for (receipt, outcome) in batch {
            if !receipt.belongs_to(&self.sink) {
                let error = Error::new("settle", ErrorKind::LeaseLost, "the receipt is not of this receiver");
                results.push(Err(error.at(&self.queue)));
                continue;
            }
            let (token, _) = receipt.redeem();
            let settled = self.connection.shared.state().settle(token, outcome, &self.connection.name);
            results.push(settled.map_err(|error| error.at(&self.queue)));
        }
        self.connection.shared.changed.notify_waiters();
        results
    }

    async fn extend(&self, tokens: &[u64], by: Duration) -> Vec<Result<()>> {
        let mut state = self.connection.shared.state();
        tokens.iter().map(|token| state.extend(*token, by).map_err(|error| error.at(&self.queue))).collect()
    }

    fn set_turns(&self, turns: Turns) -> Result<()> {
        if !self.connection.shared.capabilities.selectors.available() {
            let error =
                Error::new("set turns", ErrorKind::Unsupported, "accounts cannot be taken in turn here");
            return Err(error.at(&self.queue));
        }
        lock(&self.rota).set(turns);
        self.connection.shared.changed.notify_waiters();
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        self.connection.check("close a receiver")?;
        if self.closed.swap(true, Ordering::AcqRel) {
            return Err(
                Error::new("close a receiver", ErrorKind::Closed, "it was closed before").at(&self.queue)
            );
        }
        self.connection.shared.changed.notify_waiters();
        Ok(())
    }
}
