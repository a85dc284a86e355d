//! Shared by the tests: a store in a directory that goes with it, and short ways to use it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use busway_core::transport::{Declare, Depth, ReceiverOptions, Selector, Want};
use busway_core::{Leased, Message, Outcome, Publication, Queue, Receiver, Result, Transport};
use busway_embedded::{EmbeddedConfig, EmbeddedTransport};
use tempfile::TempDir;

/// A store and its directory.
pub(crate) struct Bench {
    pub(crate) directory: TempDir,
    pub(crate) config: EmbeddedConfig,
    pub(crate) transport: Arc<EmbeddedTransport>,
}

pub(crate) const QUEUES: [Queue; 3] = [Queue::Priority, Queue::Delayed, Queue::Dead];

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut EmbeddedConfig)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = EmbeddedConfig::new("local", "shop", directory.path().join("store"));
        change(&mut config);
        let transport = EmbeddedTransport::open(config.clone()).unwrap();
        transport.declare(&QUEUES, Declare::Create).await.unwrap();
        Self { directory, config, transport }
    }

    /// Closes and opens the store.
    pub(crate) async fn reopen(self) -> Self {
        self.transport.close().await.unwrap();
        let Self { directory, config, transport } = self;
        drop(transport);
        let transport = EmbeddedTransport::open(config.clone()).unwrap();
        Self { directory, config, transport }
    }

    pub(crate) async fn publish(&self, batch: Vec<Publication>) -> Vec<Result<()>> {
        self.transport.sender().await.unwrap().publish(batch).await
    }

    pub(crate) async fn put(&self, queue: Queue, messages: Vec<Message>) {
        let batch = messages.into_iter().map(|message| Publication::new(queue.clone(), message)).collect();
        for result in self.publish(batch).await {
            result.unwrap();
        }
    }

    pub(crate) async fn reader(&self, queue: Queue) -> Arc<dyn Receiver> {
        self.reader_of(queue, ReceiverOptions::default()).await
    }

    pub(crate) async fn reader_of(&self, queue: Queue, options: ReceiverOptions) -> Arc<dyn Receiver> {
        self.transport.receiver(&queue, options).await.unwrap()
    }

    pub(crate) async fn depth(&self, queue: Queue) -> Depth {
        self.transport.inspect(&queue, &Selector::All).await.unwrap()
    }
}

/// What is there now.
pub(crate) async fn now(reader: &Arc<dyn Receiver>, max: usize) -> Vec<Leased> {
    reader.receive(Want::new(max, Duration::ZERO)).await.unwrap()
}

/// Exactly this many, within a minute.
pub(crate) async fn exactly(reader: &Arc<dyn Receiver>, count: usize) -> Vec<Leased> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut all = Vec::new();
    while all.len() < count {
        let want = Want { max: count - all.len(), max_bytes: usize::MAX, until: deadline };
        let some = reader.receive(want).await.unwrap();
        assert!(!some.is_empty(), "{} of {count} came in time", all.len());
        all.extend(some);
    }
    all
}

pub(crate) async fn settle(reader: &Arc<dyn Receiver>, leased: Vec<Leased>, outcome: Outcome) {
    let batch = leased.into_iter().map(|leased| (leased.receipt, outcome.clone())).collect();
    for result in reader.settle(batch).await {
        result.unwrap();
    }
}

pub(crate) async fn ack(reader: &Arc<dyn Receiver>, leased: Vec<Leased>) {
    settle(reader, leased, Outcome::Ack).await;
}

pub(crate) fn ids(leased: &[Leased]) -> Vec<&str> {
    leased.iter().map(|leased| leased.message.id.as_str()).collect()
}

/// A message with an id.
pub(crate) fn message(id: impl Into<String>) -> Message {
    Message::new("test.made", "body").id(id)
}
