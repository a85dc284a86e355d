//! A wrapper around the reference transport that a saboteur can change at each call.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use busway_conformance::{Factory, MemoryFactory};
use busway_core::transport::{Backlog, Declare, Depth, Peeked, ReceiverOptions, Selector, Turns, Want};
use busway_core::{
    Capabilities, Leased, Outcome, Publication, Queue, Receipt, Receiver, Result, Sender, Transport,
};

/// What a saboteur does in place of the right thing; one of its own for each opened transport.
#[async_trait]
pub(super) trait Sabotage: Send + Sync + 'static {
    async fn publish(&self, inner: &dyn Sender, batch: Vec<Publication>) -> Vec<Result<()>> {
        inner.publish(batch).await
    }

    fn options(&self, options: ReceiverOptions) -> ReceiverOptions {
        options
    }

    async fn receive(&self, inner: &Arc<dyn Receiver>, want: Want) -> Result<Vec<Leased>> {
        inner.receive(want).await
    }

    async fn settle(&self, inner: &dyn Receiver, batch: Vec<(Receipt, Outcome)>) -> Vec<Result<()>> {
        inner.settle(batch).await
    }

    async fn extend(&self, inner: &dyn Receiver, tokens: &[u64], by: Duration) -> Vec<Result<()>> {
        inner.extend(tokens, by).await
    }

    /// What is done to the storage when it is opened after a crash.
    async fn crashed(&self, _storage: &dyn Transport) {}
}

type Make<S> = fn() -> S;

/// Opens sabotaged memory transports.
pub(super) struct Saboteur<S> {
    memory: MemoryFactory,
    make: Make<S>,
    opened: Mutex<HashMap<String, Arc<S>>>,
    crashed: Mutex<HashSet<String>>,
}

impl<S: Sabotage> Saboteur<S> {
    pub(super) fn new(make: Make<S>) -> Self {
        Self { memory: MemoryFactory::new(), make, opened: Mutex::default(), crashed: Mutex::default() }
    }

    async fn after_crash(&self, namespace: &str) -> Result<()> {
        let crashed = self.crashed.lock().unwrap().remove(namespace);
        let last = self.opened.lock().unwrap().get(namespace).cloned();
        if let (true, Some(sabotage)) = (crashed, last) {
            sabotage.crashed(&*self.memory.open(namespace).await?).await;
        }
        Ok(())
    }
}

#[async_trait]
impl<S: Sabotage> Factory for Saboteur<S> {
    async fn open(&self, namespace: &str) -> Result<Arc<dyn Transport>> {
        self.after_crash(namespace).await?;
        let sabotage = Arc::new((self.make)());
        self.opened.lock().unwrap().insert(namespace.to_owned(), Arc::clone(&sabotage));
        Ok(Arc::new(Sabotaged { inner: self.memory.open(namespace).await?, sabotage }))
    }

    async fn crash(&self, namespace: &str, transport: Arc<dyn Transport>) -> Result<()> {
        self.crashed.lock().unwrap().insert(namespace.to_owned());
        drop(transport);
        Ok(())
    }

    async fn remove(&self, namespace: &str) -> Result<()> {
        self.memory.remove(namespace).await
    }
}

struct Sabotaged<S> {
    inner: Arc<dyn Transport>,
    sabotage: Arc<S>,
}

struct SabotagedSender<S> {
    inner: Arc<dyn Sender>,
    sabotage: Arc<S>,
}

struct SabotagedReceiver<S> {
    inner: Arc<dyn Receiver>,
    sabotage: Arc<S>,
}

#[async_trait]
impl<S: Sabotage> Transport for Sabotaged<S> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn kind(&self) -> &'static str {
        "sabotaged"
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn physical(&self, queue: &Queue) -> String {
        self.inner.physical(queue)
    }

    async fn declare(&self, queues: &[Queue], mode: Declare) -> Result<()> {
        self.inner.declare(queues, mode).await
    }

    async fn sender(&self) -> Result<Arc<dyn Sender>> {
        let inner = self.inner.sender().await?;
        Ok(Arc::new(SabotagedSender { inner, sabotage: Arc::clone(&self.sabotage) }))
    }

    async fn receiver(&self, queue: &Queue, options: ReceiverOptions) -> Result<Arc<dyn Receiver>> {
        let inner = self.inner.receiver(queue, self.sabotage.options(options)).await?;
        Ok(Arc::new(SabotagedReceiver { inner, sabotage: Arc::clone(&self.sabotage) }))
    }

    async fn inspect(&self, queue: &Queue, selector: &Selector) -> Result<Depth> {
        self.inner.inspect(queue, selector).await
    }

    async fn breakdown(&self, queue: &Queue, max: usize) -> Result<Vec<Backlog>> {
        self.inner.breakdown(queue, max).await
    }

    async fn peek(&self, queue: &Queue, selector: &Selector, skip: usize, max: usize) -> Result<Vec<Peeked>> {
        self.inner.peek(queue, selector, skip, max).await
    }

    async fn purge(&self, queue: &Queue) -> Result<u64> {
        self.inner.purge(queue).await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

#[async_trait]
impl<S: Sabotage> Sender for SabotagedSender<S> {
    async fn publish(&self, batch: Vec<Publication>) -> Vec<Result<()>> {
        self.sabotage.publish(&*self.inner, batch).await
    }
}

#[async_trait]
impl<S: Sabotage> Receiver for SabotagedReceiver<S> {
    async fn receive(&self, want: Want) -> Result<Vec<Leased>> {
        self.sabotage.receive(&self.inner, want).await
    }

    async fn ready(&self, until: Instant) -> Result<bool> {
        self.inner.ready(until).await
    }

    async fn settle(&self, batch: Vec<(Receipt, Outcome)>) -> Vec<Result<()>> {
        self.sabotage.settle(&*self.inner, batch).await
    }

    async fn extend(&self, tokens: &[u64], by: Duration) -> Vec<Result<()>> {
        self.sabotage.extend(&*self.inner, tokens, by).await
    }

    fn set_turns(&self, turns: Turns) -> Result<()> {
        self.inner.set_turns(turns)
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
