//! The store as a transport.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Instant;

use async_trait::async_trait;
use busway_core::capability::{Capabilities, DepthPrecision, HeaderRule, Support};
use busway_core::clock::now_ms;
use busway_core::delivery::AbandonSink;
use busway_core::transport::{Backlog, Declare, Depth, Peeked, ReceiverOptions, Selector};
use busway_core::{Error, ErrorKind, Queue, Receiver, Result, Sender, Transport};
use tokio::sync::oneshot;

use crate::committer::Committer;
use crate::config::EmbeddedConfig;
use crate::disk::{Disk, RealDisk};
use crate::error::{closed, io_error};
use crate::index::Now;
use crate::layout;
use crate::lock::Lock;
use crate::ops::Op;
use crate::receiver::EmbeddedReceiver;
use crate::recovery::recover;
use crate::reserve::Reserve;
use crate::search::{self, Finder};
use crate::sender::{EmbeddedSender, PART_MESSAGES};
use crate::settle;
use crate::store::Store;
use crate::timer::Timer;

/// An embedded store, open. Dropping it closes it without waiting.
pub struct EmbeddedTransport {
    store: Arc<Store>,
    sink: Arc<dyn AbandonSink>,
    capabilities: Capabilities,
}

impl EmbeddedTransport {
    /// Opens the store at `config.path`, makes it where there is none. Reads the whole log, so it
    /// blocks; needs no async runtime.
    ///
    /// # Errors
    /// `Held` with the holder's process id where another process has it open; `Corrupt` with file
    /// and offset where confirmed data is damaged or missing; `Version` where a newer program wrote
    /// it; `Configuration`, `Denied`, `Full` and `Io` where the directory cannot be used.
    pub fn open(config: EmbeddedConfig) -> Result<Arc<Self>> {
        Self::open_on(config, Arc::new(RealDisk))
    }

    /// [`EmbeddedTransport::open`] with another way to change files, for tests of faults.
    ///
    /// # Errors
    /// Those of [`EmbeddedTransport::open`].
    pub fn open_on(config: EmbeddedConfig, disk: Arc<dyn Disk>) -> Result<Arc<Self>> {
        config.check()?;
        let started = Instant::now();
        layout::make_directories(disk.as_ref(), &config.path)?;
        let disk_bytes = layout::disk_bytes(&config.path);
        let config = config.fitted(disk_bytes);
        let path = config.path.as_path();
        let lock = Lock::take(path)?;
        let now = Now { wall: now_ms(), steady: 0 };
        let recovered = recover(disk.clone(), &config, now)?;
        let reserve = Reserve::open(disk, path, config.reserve_bytes)
            .map_err(|error| io_error("open", &layout::reserve_path(path), error))?;
        let suspect_below = if recovered.orderly { 0 } else { recovered.index.next_position };
        let store = Arc::new(Store::new(config, recovered.index, started, suspect_below));
        let mut committer = Committer::new(store.clone(), recovered.log, reserve, lock);
        committer.begin();
        spawn(&store, "committer", move || committer.run())?;
        let timer = store.clone();
        if let Err(error) = spawn(&store, "timer", move || Timer::run(&timer)) {
            store.ops.push(Op::Close { reply: None });
            return Err(error);
        }
        let capabilities = capabilities(&store.config);
        let sink: Arc<dyn AbandonSink> = Arc::new(WeakSink(Arc::downgrade(&store)));
        Ok(Arc::new(Self { store, sink, capabilities }))
    }

    /// The store's directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.store.config.path
    }

    fn number(&self, operation: &'static str, queue: &Queue) -> Result<u16> {
        self.store.check(operation)?;
        self.store.with(|index, _| index.queue_number(queue)).ok_or_else(|| {
            Error::new(operation, ErrorKind::NotFound, "the queue was never declared")
                .at(self.store.place(queue))
        })
    }
}

#[async_trait]
impl Transport for EmbeddedTransport {
    fn name(&self) -> &str {
        &self.store.config.name
    }

    fn kind(&self) -> &'static str {
        "embedded"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn physical(&self, queue: &Queue) -> String {
        format!("{}.{queue}", self.store.config.bus)
    }

    async fn declare(&self, queues: &[Queue], mode: Declare) -> Result<()> {
        self.store.check("declare")?;
        let missing: Vec<Queue> = self.store.with(|index, _| {
            queues.iter().filter(|queue| index.queue_number(queue).is_none()).cloned().collect()
        });
        if missing.is_empty() {
            return Ok(());
        }
        if mode == Declare::Verify {
            let names: Vec<String> = missing.iter().map(Queue::to_string).collect();
            return Err(Error::new("declare", ErrorKind::NotFound, format!("missing: {}", names.join(", ")))
                .at(self.name())
                .advise("set declare = \"create\" once"));
        }
        settle::declare(&self.store, missing).await
    }

    async fn sender(&self) -> Result<Arc<dyn Sender>> {
        self.store.check("sender")?;
        Ok(Arc::new(EmbeddedSender { store: self.store.clone() }))
    }

    async fn receiver(&self, queue: &Queue, options: ReceiverOptions) -> Result<Arc<dyn Receiver>> {
        let number = self.number("receiver", queue)?;
        let wrong = |what: &str| {
            Err(Error::new("receiver", ErrorKind::Configuration, what).at(self.store.place(queue)))
        };
        if options.prefetch == Some(0) {
            return wrong("a prefetch of 0 receives nothing");
        }
        let lease = options.lease.unwrap_or(self.store.config.lease);
        if lease.is_zero() {
            return wrong("a lease must be longer than zero");
        }
        let lease = lease.as_micros().div_ceil(1000).min(u128::from(u64::MAX)) as u64;
        let finder = match &options.selector {
            Selector::All | Selector::Destination(_) | Selector::NoDestination => None,
            Selector::Matching(filter) => Some(Finder { queue: number, filter: filter.clone() }),
            _ => return Err(unsupported("receiver", &self.store.place(queue))),
        };
        let prefetch = options.prefetch.unwrap_or(usize::MAX);
        let (number, bell, own) =
            self.store.with(|index, _| index.open_receiver(number, &options.selector, prefetch, lease));
        Ok(Arc::new(EmbeddedReceiver {
            store: self.store.clone(),
            sink: self.sink.clone(),
            number,
            queue: queue.clone(),
            bell,
            own,
            finder,
            closed: AtomicBool::new(false),
        }))
    }

    async fn inspect(&self, queue: &Queue, selector: &Selector) -> Result<Depth> {
        let number = self.number("inspect", queue)?;
        match selector {
            Selector::Matching(filter) if !filter.is_of_lanes() => {
                search::count(&self.store, number, filter.clone()).await
            }
            Selector::All | Selector::Destination(_) | Selector::NoDestination | Selector::Matching(_) => {
                Ok(self.store.with(|index, _| index.depth(number, selector)))
            }
            _ => Err(unsupported("inspect", &self.store.place(queue))),
        }
    }

    async fn breakdown(&self, queue: &Queue, max: usize) -> Result<Vec<Backlog>> {
        let number = self.number("breakdown", queue)?;
        Ok(self.store.with(|index, _| index.breakdown(number, max)))
    }

    async fn peek(&self, queue: &Queue, selector: &Selector, skip: usize, max: usize) -> Result<Vec<Peeked>> {
        let number = self.number("peek", queue)?;
        search::peek(&self.store, number, selector.clone(), skip, max).await
    }

    async fn purge(&self, queue: &Queue) -> Result<u64> {
        let number = self.number("purge", queue)?;
        crate::purge::purge(&self.store, number).await
    }

    async fn answers(&self) -> Result<()> {
        self.store.check("answer")?;
        let (reply, done) = oneshot::channel();
        self.store.ops.push(Op::Count { reply: Some(reply) });
        done.await.unwrap_or_else(|_| Err(self.store.outcome_unknown("answer")))
    }

    async fn close(&self) -> Result<()> {
        if !self.store.begin_close() {
            return Err(closed("close", self.name()));
        }
        let (reply, done) = oneshot::channel();
        self.store.ops.push(Op::Close { reply: Some(reply) });
        done.await.unwrap_or_else(|_| Err(self.store.outcome_unknown("close")))
    }
}

impl Drop for EmbeddedTransport {
    fn drop(&mut self) {
        if self.store.begin_close() {
            self.store.ops.push(Op::Close { reply: None });
        }
    }
}

/// Receipts may outlive the transport; they do not keep its memory.
struct WeakSink(Weak<Store>);

impl AbandonSink for WeakSink {
    fn abandoned(&self, token: u64) {
        if let Some(store) = self.0.upgrade() {
            store.abandoned(token);
        }
    }
}

fn spawn(store: &Store, name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let spawned = std::thread::Builder::new().name(format!("busway-{name}")).spawn(work);
    spawned.map(drop).map_err(|error| io_error("open", &store.config.path, error))
}

fn unsupported(operation: &'static str, place: &str) -> Error {
    Error::new(operation, ErrorKind::Unsupported, "the embedded store does not know this selector").at(place)
}

fn capabilities(config: &EmbeddedConfig) -> Capabilities {
    Capabilities {
        order: Support::Native,
        groups: Support::Native,
        delay: Support::Native,
        delay_cap: None,
        priority: Support::Native,
        selectors: Support::Native,
        transactions: Support::Native,
        lease: Some(config.lease),
        lease_cap: None,
        delivery_count: Support::Native,
        publish_batch: PART_MESSAGES,
        receive_batch: 4096,
        settle_batch: 4096,
        max_message_bytes: config.max_message_bytes,
        headers: HeaderRule::Any,
        depth: DepthPrecision::Exact,
    }
}
