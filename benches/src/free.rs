//! A transport and an endpoint that cost next to nothing: what is measured between them is the bus.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use busway_core::capability::{Capabilities, DepthPrecision, HeaderRule, Support};
use busway_core::delivery::AbandonSink;
use busway_core::transport::{
    Backlog, Declare, Depth, Peeked, Publication, ReceiverOptions, Selector, Turns, Want,
};
use busway_core::{
    Delivery, DeliveryError, Endpoint, Error, ErrorKind, Leased, Message, Outcome, Queue, Receipt, Receiver,
    Result, Sender, Transport,
};
use tokio::sync::Notify;

use crate::Tally;

/// How long a look at how far it is may be late; what waits is told of each settle besides.
const LOOK: Duration = Duration::from_millis(100);

/// Hands out the same messages again and again from `priority`, so many in all and no more than a window
/// at once. What is published to it is stored nowhere, and counted.
pub struct FreeTransport {
    capabilities: Capabilities,
    line: Arc<Line>,
}

/// The messages and how far they are.
pub struct Line {
    messages: Vec<Message>,
    total: u64,
    window: usize,
    next: AtomicU64,
    settled: AtomicU64,
    abandoned: AtomicU64,
    published: AtomicU64,
    out: AtomicUsize,
    seen: Tally,
    changed: Notify,
    sink: OnceLock<Arc<dyn AbandonSink>>,
}

impl FreeTransport {
    /// Hands out `total` messages, `window` at once.
    #[must_use]
    pub fn new(messages: Vec<Message>, total: u64, window: usize) -> Arc<Self> {
        let line = Arc::new(Line {
            messages,
            total,
            window,
            next: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            published: AtomicU64::new(0),
            out: AtomicUsize::new(0),
            seen: Tally::new(total),
            changed: Notify::new(),
            sink: OnceLock::new(),
        });
        let sink: Arc<dyn AbandonSink> = Arc::new(Abandoned(Arc::downgrade(&line)));
        line.sink.get_or_init(|| sink);
        Arc::new(Self { capabilities: capabilities(), line })
    }

    /// The messages and how far they are.
    #[must_use]
    pub fn line(&self) -> &Arc<Line> {
        &self.line
    }
}

impl Line {
    /// Waits until all have been settled.
    ///
    /// Cancelling it loses nothing.
    ///
    /// # Errors
    /// Where they are not within the deadline.
    pub async fn finished(&self, deadline: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + deadline;
        while self.settled.load(Ordering::Acquire) < self.total {
            anyhow::ensure!(Instant::now() < until, "not settled within {deadline:?}");
            self.until_changed(until).await;
        }
        Ok(())
    }

    /// Messages that were never settled, and those that came or were copied once too often.
    #[must_use]
    pub fn lost_and_duplicated(&self) -> (u64, u64) {
        let copied = self.published.load(Ordering::Acquire) + self.abandoned.load(Ordering::Acquire);
        (self.seen.lost(), self.seen.duplicated() + copied)
    }

    async fn until_changed(&self, until: Instant) {
        let look = until.min(Instant::now() + LOOK);
        let _changed_or_late = tokio::time::timeout_at(look.into(), self.changed.notified()).await;
    }

    fn take(&self, max: usize) -> Vec<Leased> {
        let Some(sink) = self.sink.get() else { return Vec::new() };
        let room = self.window.saturating_sub(self.out.load(Ordering::Acquire)).min(max) as u64;
        let first = self.next.load(Ordering::Acquire);
        let last = self.total.min(first + room);
        self.next.store(last, Ordering::Release);
        self.out.fetch_add(usize::try_from(last - first).unwrap_or_default(), Ordering::AcqRel);
        let lease = |number: u64| Leased {
            message: self.messages[usize::try_from(number).unwrap_or_default() % self.messages.len()].clone(),
            receipt: Receipt::new(number, Arc::clone(sink)),
            deliveries: Some(1),
            position: Some(number),
            enqueued: None,
        };
        (first..last).map(lease).collect()
    }
}

struct Abandoned(std::sync::Weak<Line>);

impl AbandonSink for Abandoned {
    fn abandoned(&self, _: u64) {
        if let Some(line) = self.0.upgrade() {
            line.abandoned.fetch_add(1, Ordering::AcqRel);
        }
    }
}

#[async_trait]
impl Transport for FreeTransport {
    fn name(&self) -> &str {
        "free"
    }

    fn kind(&self) -> &'static str {
        "free"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn physical(&self, queue: &Queue) -> String {
        queue.to_string()
    }

    async fn declare(&self, _: &[Queue], _: Declare) -> Result<()> {
        Ok(())
    }

    async fn sender(&self) -> Result<Arc<dyn Sender>> {
        Ok(Arc::clone(&self.line) as Arc<dyn Sender>)
    }

    async fn receiver(&self, queue: &Queue, _: ReceiverOptions) -> Result<Arc<dyn Receiver>> {
        Ok(match queue {
            Queue::Priority => Arc::clone(&self.line) as Arc<dyn Receiver>,
            _ => Arc::new(Empty),
        })
    }

    async fn inspect(&self, _: &Queue, _: &Selector) -> Result<Depth> {
        Ok(Depth { ready: Some(0), in_flight: Some(0), delayed: Some(0), ..Depth::default() })
    }

    async fn breakdown(&self, _: &Queue, _: usize) -> Result<Vec<Backlog>> {
        Ok(Vec::new())
    }

    async fn peek(&self, _: &Queue, _: &Selector, _: usize, _: usize) -> Result<Vec<Peeked>> {
        Ok(Vec::new())
    }

    async fn purge(&self, queue: &Queue) -> Result<u64> {
        Err(Error::new("purge", ErrorKind::Unsupported, "nothing is stored here").at(queue))
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Sender for Line {
    async fn publish(&self, batch: Vec<Publication>) -> Vec<Result<()>> {
        self.published.fetch_add(batch.len() as u64, Ordering::AcqRel);
        batch.iter().map(|_| Ok(())).collect()
    }
}

#[async_trait]
impl Receiver for Line {
    async fn receive(&self, want: Want) -> Result<Vec<Leased>> {
        loop {
            let batch = self.take(want.max);
            if !batch.is_empty() || Instant::now() >= want.until {
                return Ok(batch);
            }
            self.until_changed(want.until).await;
        }
    }

    async fn ready(&self, until: Instant) -> Result<bool> {
        self.until_changed(until).await;
        Ok(self.next.load(Ordering::Acquire) < self.total)
    }

    async fn settle(&self, batch: Vec<(Receipt, Outcome)>) -> Vec<Result<()>> {
        let count = batch.len();
        for (receipt, _) in batch {
            self.seen.see(receipt.redeem().0);
        }
        self.settled.fetch_add(count as u64, Ordering::AcqRel);
        self.out.fetch_sub(count, Ordering::AcqRel);
        self.changed.notify_waiters();
        (0..count).map(|_| Ok(())).collect()
    }

    async fn extend(&self, tokens: &[u64], _: Duration) -> Vec<Result<()>> {
        tokens.iter().map(|_| Ok(())).collect()
    }

    fn set_turns(&self, _: Turns) -> Result<()> {
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// A queue that nothing ever comes from.
struct Empty;

#[async_trait]
impl Receiver for Empty {
    async fn receive(&self, want: Want) -> Result<Vec<Leased>> {
        tokio::time::sleep_until(want.until.into()).await;
        Ok(Vec::new())
    }

    async fn ready(&self, until: Instant) -> Result<bool> {
        tokio::time::sleep_until(until.into()).await;
        Ok(false)
    }

    async fn settle(&self, batch: Vec<(Receipt, Outcome)>) -> Vec<Result<()>> {
        let unknown = || Error::new("settle", ErrorKind::LeaseLost, "nothing was handed out here");
        batch.iter().map(|_| Err(unknown())).collect()
    }

    async fn extend(&self, tokens: &[u64], _: Duration) -> Vec<Result<()>> {
        tokens.iter().map(|_| Ok(())).collect()
    }

    fn set_turns(&self, _: Turns) -> Result<()> {
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

/// Takes everything at once.
#[derive(Default)]
pub struct FreeEndpoint;

#[async_trait]
impl Endpoint for FreeEndpoint {
    fn kind(&self) -> &'static str {
        "free"
    }

    fn max_batch(&self) -> usize {
        256
    }

    async fn deliver(&self, batch: Vec<Delivery>) -> Vec<std::result::Result<(), DeliveryError>> {
        batch.iter().map(|_| Ok(())).collect()
    }

    async fn test(&self) -> std::result::Result<String, DeliveryError> {
        Ok("it takes everything".to_owned())
    }

    async fn close(&self) {}
}

fn capabilities() -> Capabilities {
    Capabilities {
        order: Support::Native,
        groups: Support::Native,
        delay: Support::Native,
        delay_cap: None,
        priority: Support::Native,
        selectors: Support::Native,
        transactions: Support::Native,
        lease: Some(Duration::from_secs(30)),
        lease_cap: None,
        delivery_count: Support::Native,
        publish_batch: 1024,
        receive_batch: 1024,
        settle_batch: 1024,
        max_message_bytes: 1 << 20,
        headers: HeaderRule::Any,
        depth: DepthPrecision::Exact,
    }
}
