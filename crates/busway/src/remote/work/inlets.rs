//! The transport of a bus that only handles: it reads the queues of handlers, each as what waits for one
//! endpoint, and has nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use busway_core::capability::{Capabilities, DepthPrecision, HeaderRule, Support};
use busway_core::transport::{
    Backlog, Declare, Depth, Peeked, Publication, ReceiverOptions, Selector, Turns, Want,
};
use busway_core::{
    Error, ErrorKind, Leased, Name, Outcome, Queue, Receipt, Receiver, Result, Sender, Transport,
};
use busway_embedded::socket::Client;
use tokio::sync::Notify;

use super::{Reader, Sessions};

const LEASE: Duration = Duration::from_secs(60);

/// Where the queues of handlers are reached.
pub(crate) enum Inlet {
    /// In the store that this process holds, which it hands out to others as well.
    Store(Arc<dyn Transport>, Arc<Sessions>),
    /// Through the process that holds it.
    Socket(Client),
}

/// The transport.
pub(crate) struct Inlets {
    name: String,
    inlet: Inlet,
    capabilities: Capabilities,
}

impl Inlets {
    /// The queues of handlers behind `inlet`, on the transport called `name`.
    pub(crate) fn new(name: &str, inlet: Inlet) -> Self {
        Self { name: name.to_owned(), inlet, capabilities: capabilities() }
    }

    fn none(&self, operation: &'static str, what: impl std::fmt::Display) -> Error {
        Error::new(operation, ErrorKind::Unsupported, "a bus that only handles has no such queue")
            .at(format!("{}/{what}", self.name))
    }
}

#[async_trait]
impl Transport for Inlets {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "inlets"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn physical(&self, queue: &Queue) -> String {
        queue.to_string()
    }

    /// The holder of the store declares them.
    async fn declare(&self, _: &[Queue], _: Declare) -> Result<()> {
        Ok(())
    }

    async fn sender(&self) -> Result<Arc<dyn Sender>> {
        Ok(Arc::new(Nowhere))
    }

    async fn receiver(&self, queue: &Queue, options: ReceiverOptions) -> Result<Arc<dyn Receiver>> {
        let (Queue::Delayed, Selector::Destination(name)) = (queue, &options.selector) else {
            return Ok(Arc::new(Silent::default()));
        };
        let lease = options.lease.unwrap_or(LEASE);
        match &self.inlet {
            Inlet::Socket(client) => Reader::open(client.clone(), name, lease).await,
            Inlet::Store(store, sessions) => {
                let queue = Queue::To(Name::new(name)?);
                let options = ReceiverOptions {
                    selector: Selector::All,
                    lease: Some(lease),
                    ..ReceiverOptions::default()
                };
                let receiver = store.receiver(&queue, options).await?;
                Ok(Arc::new(Patient { receiver, sessions: Arc::clone(sessions), name: Arc::clone(name) }))
            }
        }
    }

    /// Nothing is known of it here.
    async fn inspect(&self, _: &Queue, _: &Selector) -> Result<Depth> {
        Ok(Depth::default())
    }

    async fn breakdown(&self, _: &Queue, _: usize) -> Result<Vec<Backlog>> {
        Ok(Vec::new())
    }

    async fn peek(&self, queue: &Queue, _: &Selector, _: usize, _: usize) -> Result<Vec<Peeked>> {
        Err(self.none("peek", queue))
    }

    async fn purge(&self, queue: &Queue) -> Result<u64> {
        Err(self.none("purge", queue))
    }

    /// The store belongs to its holder.
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// How long other processes have the first say over a message.
const FIRST_SAY: Duration = Duration::from_millis(5);

/// A reader in the process that holds the store: it is nearer than those of other processes, and would
/// always be the first.
struct Patient {
    receiver: Arc<dyn Receiver>,
    sessions: Arc<Sessions>,
    name: Arc<str>,
}

#[async_trait]
impl Receiver for Patient {
    async fn receive(&self, want: Want) -> Result<Vec<Leased>> {
        self.receiver.receive(want).await
    }

    async fn ready(&self, until: Instant) -> Result<bool> {
        while self.receiver.ready(until).await? {
            if self.sessions.readers(&self.name) == 0 {
                return Ok(true);
            }
            tokio::time::sleep(FIRST_SAY).await;
            if self.receiver.ready(Instant::now()).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn settle(&self, batch: Vec<(Receipt, Outcome)>) -> Vec<Result<()>> {
        self.receiver.settle(batch).await
    }

    async fn extend(&self, tokens: &[u64], by: Duration) -> Vec<Result<()>> {
        self.receiver.extend(tokens, by).await
    }

    fn set_turns(&self, turns: Turns) -> Result<()> {
        self.receiver.set_turns(turns)
    }

    async fn close(&self) -> Result<()> {
        self.receiver.close().await
    }
}

/// What is read here is settled where it is, so nothing is published.
struct Nowhere;

#[async_trait]
impl Sender for Nowhere {
    async fn publish(&self, batch: Vec<Publication>) -> Vec<Result<()>> {
        let refused = |entry: Publication| {
            let detail = "a bus that only handles publishes through the holder of the store";
            Err(Error::new("publish", ErrorKind::Unsupported, detail).at(entry.queue))
        };
        batch.into_iter().map(refused).collect()
    }
}

/// A queue that is not there, so nothing ever comes from it.
#[derive(Default)]
struct Silent {
    closed: AtomicBool,
    close: Notify,
}

impl Silent {
    async fn wait(&self, until: Instant) {
        let closed = self.close.notified();
        if !self.closed.load(Ordering::Acquire) {
            let _late = tokio::time::timeout_at(until.into(), closed).await;
        }
    }
}

#[async_trait]
impl Receiver for Silent {
    async fn receive(&self, want: Want) -> Result<Vec<Leased>> {
        self.wait(want.until).await;
        Ok(Vec::new())
    }

    async fn ready(&self, until: Instant) -> Result<bool> {
        self.wait(until).await;
        Ok(false)
    }

    async fn settle(&self, batch: Vec<(Receipt, Outcome)>) -> Vec<Result<()>> {
        let foreign = |_| Err(Error::new("settle", ErrorKind::LeaseLost, "it was not received here"));
        batch.into_iter().map(foreign).collect()
    }

    async fn extend(&self, tokens: &[u64], _: Duration) -> Vec<Result<()>> {
        let foreign = |_| Err(Error::new("extend", ErrorKind::LeaseLost, "it was not received here"));
        tokens.iter().map(foreign).collect()
    }

    fn set_turns(&self, _: Turns) -> Result<()> {
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        self.close.notify_waiters();
        Ok(())
    }
}

fn capabilities() -> Capabilities {
    Capabilities {
        order: Support::Native,
        groups: Support::Refused,
        delay: Support::Native,
        delay_cap: None,
        priority: Support::Native,
        selectors: Support::Refused,
        transactions: Support::Refused,
        lease: Some(LEASE),
        lease_cap: None,
        delivery_count: Support::Native,
        publish_batch: 1,
        receive_batch: super::ANSWER_MESSAGES,
        settle_batch: super::ANSWER_MESSAGES,
        max_message_bytes: usize::MAX,
        headers: HeaderRule::Any,
        depth: DepthPrecision::None,
    }
}
