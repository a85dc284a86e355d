//! A connection to a [`MemoryStorage`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use busway_core::error::{Error, ErrorKind, Result};
use busway_core::transport::{Backlog, Declare, Depth, Peeked, ReceiverOptions, Selector};
use busway_core::{Capabilities, Queue, Receiver, Sender, Transport};

use super::receiver::MemoryReceiver;
use super::sender::MemorySender;
use super::storage::{MemoryStorage, Shared};
use super::view;

/// A transport that keeps its queues in memory. Cloning is by `Arc`, as with every transport.
///
/// Dropping it together with its senders and receivers, without [`close`](Transport::close), is a
/// lost connection: what was in hand returns at once.
pub struct MemoryTransport {
    connection: Arc<Connection>,
}

impl MemoryTransport {
    /// A transport of this name with an empty storage of its own.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::open(name, &MemoryStorage::new())
    }

    /// A further connection to a storage.
    #[must_use]
    pub fn open(name: &str, storage: &MemoryStorage) -> Self {
        let shared = Arc::clone(&storage.0);
        let id = shared.state().number();
        let connection = Connection { name: name.to_owned(), id, shared, closed: AtomicBool::new(false) };
        Self { connection: Arc::new(connection) }
    }

    /// What outlives this transport.
    #[must_use]
    pub fn storage(&self) -> MemoryStorage {
        MemoryStorage(Arc::clone(&self.connection.shared))
    }
}

/// What a transport shares with its senders and receivers.
pub(super) struct Connection {
    pub(super) name: String,
    pub(super) id: u64,
    pub(super) shared: Arc<Shared>,
    closed: AtomicBool,
}

impl Connection {
    pub(super) fn check(&self, operation: &'static str) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(operation, ErrorKind::Closed, "the transport was closed").at(&self.name));
        }
        Ok(())
    }

    /// Refuses what the capabilities refuse.
    fn check_selector(&self, operation: &'static str, queue: &Queue, selector: &Selector) -> Result<()> {
        if *selector == Selector::All || self.shared.capabilities.selectors.available() {
            return Ok(());
        }
        Err(Error::new(operation, ErrorKind::Unsupported, "part of a queue cannot be named here").at(queue))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.state().end_connection(self.id);
        self.shared.changed.notify_waiters();
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    fn name(&self) -> &str {
        &self.connection.name
    }

    fn kind(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.connection.shared.capabilities
    }

    fn physical(&self, queue: &Queue) -> String {
        format!("{}.{queue}", self.connection.name)
    }

    async fn declare(&self, queues: &[Queue], mode: Declare) -> Result<()> {
        self.connection.check("declare")?;
        let mut state = self.connection.shared.state();
        for queue in queues {
            match mode {
                Declare::Create => {
                    state.lines.entry(queue.clone()).or_default();
                }
                Declare::Verify => {
                    state.line("declare", queue)?;
                }
            }
        }
        Ok(())
    }

    async fn sender(&self) -> Result<Arc<dyn Sender>> {
        self.connection.check("open a sender")?;
        Ok(Arc::new(MemorySender { connection: Arc::clone(&self.connection) }))
    }

    async fn receiver(&self, queue: &Queue, options: ReceiverOptions) -> Result<Arc<dyn Receiver>> {
        self.connection.check("open a receiver")?;
        self.connection.check_selector("open a receiver", queue, &options.selector)?;
        let mut state = self.connection.shared.state();
        state.line("open a receiver", queue)?;
        let number = state.number();
        Ok(Arc::new(MemoryReceiver::new(Arc::clone(&self.connection), number, queue.clone(), options)))
    }

    async fn inspect(&self, queue: &Queue, selector: &Selector) -> Result<Depth> {
        self.connection.check("inspect")?;
        self.connection.check_selector("inspect", queue, selector)?;
        Ok(view::depth(self.connection.shared.state().line("inspect", queue)?, selector))
    }

    async fn breakdown(&self, queue: &Queue, max: usize) -> Result<Vec<Backlog>> {
        self.connection.check("inspect")?;
        Ok(view::breakdown(self.connection.shared.state().line("inspect", queue)?, max))
    }

    async fn peek(&self, queue: &Queue, selector: &Selector, skip: usize, max: usize) -> Result<Vec<Peeked>> {
        self.connection.check("peek")?;
        self.connection.check_selector("peek", queue, selector)?;
        Ok(view::peek(self.connection.shared.state().line("peek", queue)?, selector, skip, max))
    }

    async fn purge(&self, queue: &Queue) -> Result<u64> {
        self.connection.check("purge")?;
        let mut state = self.connection.shared.state();
        Ok(view::purge(state.line("purge", queue)?))
    }

    async fn close(&self) -> Result<()> {
        if self.connection.closed.swap(true, Ordering::AcqRel) {
            return Err(
                Error::new("close", ErrorKind::Closed, "it was closed before").at(&self.connection.name)
            );
        }
        self.connection.shared.state().end_connection(self.connection.id);
        self.connection.shared.changed.notify_waiters();
        Ok(())
    }
}
