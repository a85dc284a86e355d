//! What a case works on: a namespace of its own, and the transports it opens there.

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use busway_core::error::{ErrorClass, ErrorKind, Result};
use busway_core::transport::{Declare, ReceiverOptions, Selector};
use busway_core::{Capabilities, Error, Message, Publication, Queue, Sender, Transport};

use super::{Factory, Failure, Features, Outcomes, Reader, ensure};
use crate::sync::lock;

/// What all cases of a run share.
pub(super) struct Ground {
    pub(super) factory: Arc<dyn Factory>,
    pub(super) features: Features,
    pub(super) capabilities: Capabilities,
}

/// One case's namespace.
#[derive(Clone)]
pub(crate) struct Bed {
    ground: Arc<Ground>,
    namespace: String,
    opened: Arc<Mutex<Vec<Weak<dyn Transport>>>>,
}

impl Bed {
    pub(super) fn new(ground: Arc<Ground>, namespace: String) -> Self {
        Self { ground, namespace, opened: Arc::default() }
    }

    pub(crate) fn features(&self) -> &Features {
        &self.ground.features
    }

    pub(crate) fn capabilities(&self) -> &Capabilities {
        &self.ground.capabilities
    }

    /// A second namespace beside this one.
    pub(crate) fn neighbour(&self) -> Self {
        Self { namespace: format!("{}-b", self.namespace), ..self.clone() }
    }

    /// Opens the transport and declares these queues and the dead one.
    pub(crate) async fn open(&self, queues: &[Queue]) -> Outcomes<Bus> {
        let transport = self.connect().await?;
        let mut queues = queues.to_vec();
        if !queues.contains(&Queue::Dead) {
            queues.push(Queue::Dead);
        }
        let declared = self.bounded("declare", transport.declare(&queues, Declare::Create)).await?;
        declared.map_err(|error| Failure::from(error).during("declare"))?;
        let sender = self.bounded("open a sender", transport.sender()).await??;
        Ok(Bus { bed: self.clone(), transport, sender, queues })
    }

    /// Fails where the call has not ended within the patience that every call has.
    pub(crate) async fn bounded<T>(&self, what: &str, call: impl Future<Output = T>) -> Outcomes<T> {
        let patience = self.features().patience + self.features().slack;
        within(what, patience, call).await
    }

    /// Closes what is still open and removes the namespace.
    pub(super) async fn clean(&self) -> Result<()> {
        let opened: Vec<_> = lock(&self.opened).drain(..).collect();
        for transport in opened.iter().filter_map(Weak::upgrade) {
            match transport.close().await {
                Err(error) if error.kind() != ErrorKind::Closed => return Err(error),
                _ => {}
            }
        }
        self.ground.factory.remove(&self.namespace).await?;
        self.ground.factory.remove(&self.neighbour().namespace).await
    }

    async fn connect(&self) -> Outcomes<Arc<dyn Transport>> {
        let give_up = Instant::now() + self.features().patience;
        loop {
            match self.bounded("open", self.ground.factory.open(&self.namespace)).await? {
                Ok(transport) => {
                    lock(&self.opened).push(Arc::downgrade(&transport));
                    return Ok(transport);
                }
                Err(error) if error.class() == ErrorClass::Retry && Instant::now() < give_up => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(Failure::from(error).during("open")),
            }
        }
    }
}

/// A transport that a case has opened, with a sender.
pub(crate) struct Bus {
    pub(crate) bed: Bed,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) sender: Arc<dyn Sender>,
    queues: Vec<Queue>,
}

impl Bus {
    /// Closes the transport, drops what the case still has of it, and opens the same storage again.
    pub(crate) async fn restart<T>(self, held: T) -> Outcomes<Self> {
        let closed = self.bed.bounded("close", self.transport.close()).await?;
        closed.map_err(|error| Failure::from(error).during("close"))?;
        drop(held);
        self.reopen().await
    }

    /// Opens the storage again after its transport was closed.
    pub(crate) async fn reopen(self) -> Outcomes<Self> {
        let Self { bed, transport, sender, queues } = self;
        drop((sender, transport));
        bed.open(&queues).await
    }

    /// Ends the transport without closing it, then what the case still has of it, and opens the
    /// same storage again.
    pub(crate) async fn crash<T>(self, held: T) -> Outcomes<Self> {
        let Self { bed, transport, sender, queues } = self;
        drop(sender);
        bed.bounded("crash", bed.ground.factory.crash(&bed.namespace, transport)).await??;
        drop(held);
        bed.open(&queues).await
    }

    /// A reader of a whole queue.
    pub(crate) async fn reader(&self, queue: &Queue) -> Outcomes<Reader> {
        self.reader_with(queue, ReceiverOptions::default()).await
    }

    pub(crate) async fn selecting(&self, queue: &Queue, selector: Selector) -> Outcomes<Reader> {
        self.reader_with(queue, ReceiverOptions { selector, ..ReceiverOptions::default() }).await
    }

    /// A reader whose messages return soon where leases end.
    pub(crate) async fn short_lease(&self, queue: &Queue) -> Outcomes<Reader> {
        let lease = self.bed.capabilities().lease.map(|_| self.bed.features().lease);
        self.reader_with(queue, ReceiverOptions { lease, ..ReceiverOptions::default() }).await
    }

    pub(crate) async fn reader_with(&self, queue: &Queue, options: ReceiverOptions) -> Outcomes<Reader> {
        let opened = self.bed.bounded("open a receiver", self.transport.receiver(queue, options)).await?;
        let receiver = opened.map_err(|error| Failure::from(error).during("open a receiver"))?;
        Ok(Reader::new(self.bed.clone(), receiver))
    }

    /// Publishes them all to one queue; each must be confirmed.
    pub(crate) async fn publish(&self, queue: &Queue, messages: Vec<Message>) -> Outcomes {
        let publication = |message| Publication::new(queue.clone(), message);
        self.publish_all(messages.into_iter().map(publication).collect()).await
    }

    pub(crate) async fn publish_all(&self, mut batch: Vec<Publication>) -> Outcomes {
        const AT_ONCE: usize = 500;
        while !batch.is_empty() {
            let rest = batch.split_off(batch.len().min(AT_ONCE));
            for (index, result) in self.try_publish(batch).await?.into_iter().enumerate() {
                result.map_err(|error| Failure::from(error).during(format!("publish of entry {index}")))?;
            }
            batch = rest;
        }
        Ok(())
    }

    /// Publishes one message and answers its result.
    pub(crate) async fn try_publish_one(
        &self,
        queue: &Queue,
        message: Message,
    ) -> Outcomes<Result<(), Error>> {
        let results = self.try_publish(vec![Publication::new(queue.clone(), message)]).await?;
        results.into_iter().next().ok_or_else(|| Failure::new("no result came"))
    }

    /// Publishes a batch; there must be a result for each entry.
    pub(crate) async fn try_publish(&self, batch: Vec<Publication>) -> Outcomes<Vec<Result<(), Error>>> {
        let count = batch.len();
        let results = self.bed.bounded("publish", self.sender.publish(batch)).await?;
        ensure!(results.len() == count, "{count} entries were published, {} results came", results.len());
        Ok(results)
    }
}

/// Fails where the call has not ended within this time.
pub(super) async fn within<T>(what: &str, limit: Duration, call: impl Future<Output = T>) -> Outcomes<T> {
    tokio::time::timeout(limit, call)
        .await
        .map_err(|_| Failure::new(format!("{what} did not end within {:.1} s", limit.as_secs_f64())))
}
