//! The wrapper around a transport.

use std::sync::Arc;

use async_trait::async_trait;
use busway_core::error::Result;
use busway_core::transport::{Backlog, Declare, Depth, Peeked, ReceiverOptions, Selector};
use busway_core::{Capabilities, Queue, Receiver, Sender, Transport};

use super::Script;
use super::receiver::FaultyReceiver;
use super::sender::FaultySender;

/// A transport that does what the inner one does, but for what its [`Script`] says.
pub struct FaultyTransport {
    inner: Arc<dyn Transport>,
    script: Script,
}

impl FaultyTransport {
    /// Wraps a transport; several may follow one script.
    #[must_use]
    pub fn new(inner: Arc<dyn Transport>, script: Script) -> Self {
        Self { inner, script }
    }
}

#[async_trait]
impl Transport for FaultyTransport {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn physical(&self, queue: &Queue) -> String {
        self.inner.physical(queue)
    }

    async fn declare(&self, queues: &[Queue], mode: Declare) -> Result<()> {
        self.script.0.check_other("declare")?;
        self.inner.declare(queues, mode).await
    }

    async fn sender(&self) -> Result<Arc<dyn Sender>> {
        self.script.0.check_other("open a sender")?;
        let inner = self.inner.sender().await?;
        Ok(Arc::new(FaultySender { inner, script: self.script.clone() }))
    }

    async fn receiver(&self, queue: &Queue, options: ReceiverOptions) -> Result<Arc<dyn Receiver>> {
        self.script.0.check_other("open a receiver")?;
        let inner = self.inner.receiver(queue, options).await?;
        let sender = self.inner.sender().await?;
        Ok(Arc::new(FaultyReceiver::new(inner, sender, queue.clone(), self.script.clone())))
    }

    async fn inspect(&self, queue: &Queue, selector: &Selector) -> Result<Depth> {
        self.script.0.check_other("inspect")?;
        self.inner.inspect(queue, selector).await
    }

    async fn breakdown(&self, queue: &Queue, max: usize) -> Result<Vec<Backlog>> {
        self.script.0.check_other("inspect")?;
        self.inner.breakdown(queue, max).await
    }

    async fn peek(&self, queue: &Queue, selector: &Selector, skip: usize, max: usize) -> Result<Vec<Peeked>> {
        self.script.0.check_other("peek")?;
        self.inner.peek(queue, selector, skip, max).await
    }

    async fn purge(&self, queue: &Queue) -> Result<u64> {
        self.script.0.check_other("purge")?;
        self.inner.purge(queue).await
    }

    async fn answers(&self) -> Result<()> {
        self.script.0.check_other("answer")?;
        self.inner.answers().await
    }

    /// Closes the inner transport, cut or not.
    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
