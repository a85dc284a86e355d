//! What a bus under test stands on: queues and state in memory, and the record of deliveries.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use busway_conformance::{MemoryStorage, MemoryTransport};
use busway_core::state::{Swap, Versioned};
use busway_core::{Delivery, DeliveryError, Endpoint, Queue, Result, State, Transport};
use busway_state::MemoryState;
use bytes::Bytes;

/// It outlives the runs of the bus.
#[derive(Default)]
pub(crate) struct Bench {
    storage: MemoryStorage,
    state: Arc<MemoryState>,
    record: Arc<Mutex<Vec<Delivery>>>,
}

impl Bench {
    pub(crate) fn transport(&self, name: &str) -> Arc<dyn Transport> {
        Arc::new(MemoryTransport::open(name, &self.storage))
    }

    pub(crate) fn state(&self) -> Arc<dyn State> {
        Arc::new(Kept(Arc::clone(&self.state)))
    }

    /// The endpoint, and a record of what it takes.
    pub(crate) fn observed(&self, real: &Arc<dyn Endpoint>) -> Arc<dyn Endpoint> {
        Arc::new(Observed { real: Arc::clone(real), record: Arc::clone(&self.record) })
    }

    /// What an endpoint has taken, in order.
    pub(crate) fn delivered(&self, name: &str) -> Vec<Delivery> {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.iter().filter(|delivery| &*delivery.destination == name).cloned().collect()
    }

    pub(crate) fn put_forward(&self, by: Duration) {
        self.storage.put_forward(by);
    }

    /// How long it is until the next message is due.
    pub(crate) fn until_next_due(&self) -> Option<Duration> {
        let due = self.storage.next_due()?;
        Some(Duration::from_millis(due.saturating_sub(self.storage.now())))
    }

    pub(crate) async fn quiet(&self) {
        self.storage.quiet(is_read).await;
    }
}

/// The queues that a bus reads by itself.
fn is_read(queue: &Queue) -> bool {
    matches!(queue, Queue::Priority | Queue::Delayed | Queue::To(_))
}

/// A state store that outlives whoever closes it.
struct Kept(Arc<MemoryState>);

#[async_trait]
impl State for Kept {
    async fn get(&self, key: &str) -> Result<Option<Versioned>> {
        self.0.get(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, Versioned)>> {
        self.0.list(prefix).await
    }

    async fn swap(&self, key: &str, expected: Option<u64>, value: Option<Bytes>) -> Result<Swap> {
        self.0.swap(key, expected, value).await
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// An endpoint whose deliveries are recorded.
struct Observed {
    real: Arc<dyn Endpoint>,
    record: Arc<Mutex<Vec<Delivery>>>,
}

#[async_trait]
impl Endpoint for Observed {
    fn kind(&self) -> &'static str {
        self.real.kind()
    }

    fn max_batch(&self) -> usize {
        self.real.max_batch()
    }

    async fn deliver(&self, batch: Vec<Delivery>) -> Vec<Result<(), DeliveryError>> {
        let results = self.real.deliver(batch.clone()).await;
        let taken = batch.into_iter().zip(&results).filter(|(_, result)| result.is_ok());
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.extend(taken.map(|(delivery, _)| delivery));
        drop(record);
        results.into_iter().map(|result| result.map_err(unhurried)).collect()
    }

    async fn test(&self) -> Result<String, DeliveryError> {
        self.real.test().await
    }

    async fn close(&self) {
        self.real.close().await;
    }
}

/// A failure that shuts no gate, since gates go by the clock of the process: one that asks for a pause
/// is no sign of illness, and this pause is over.
fn unhurried(error: DeliveryError) -> DeliveryError {
    DeliveryError { overloaded: false, retry_after: Some(Duration::ZERO), ..error }
}
