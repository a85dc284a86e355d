//! Reads one queue of the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use busway_core::delivery::AbandonSink;
use busway_core::transport::{Turns, Want};
use busway_core::{Error, ErrorKind, Leased, Outcome, Queue, Receipt, Receiver, Result};
use tokio::sync::oneshot;

use crate::error::closed;
use crate::files::{ReadError, Stored};
use crate::index::{Ask, Bell, Item, Taken, Token};
use crate::ops::Op;
use crate::search::Finder;
use crate::store::Store;

/// A reader of one queue of an embedded store.
pub(crate) struct EmbeddedReceiver {
    pub(crate) store: Arc<Store>,
    pub(crate) sink: Arc<dyn AbandonSink>,
    pub(crate) number: u32,
    pub(crate) queue: Queue,
    /// Rung when there is something new in its part of the queue.
    pub(crate) bell: Arc<Bell>,
    /// Rung when it has room again, when its turns change, and when it is closed.
    pub(crate) own: Arc<Bell>,
    /// Finds messages by their properties, where the selector asks for it.
    pub(crate) finder: Option<Finder>,
    pub(crate) closed: AtomicBool,
}

#[async_trait]
impl Receiver for EmbeddedReceiver {
    async fn receive(&self, want: Want) -> Result<Vec<Leased>> {
        self.check("receive")?;
        if want.max == 0 {
            return Ok(Vec::new());
        }
        let ask = Ask { max: want.max, max_bytes: want.max_bytes };
        let taken = self.take(ask).await?;
        if !taken.items.is_empty() {
            let leased = self.read(taken.items).await?;
            if !leased.is_empty() {
                return Ok(leased);
            }
        }
        loop {
            let picky = self.store.with(|index, _| index.is_picky(self.number));
            let mut waits = Waits::new(&self.bell, &self.own, picky);
            waits.begin();
            self.check("receive")?;
            let taken = self.take(ask).await?;
            if !taken.items.is_empty() {
                let leased = self.read(taken.items).await?;
                if !leased.is_empty() {
                    return Ok(leased);
                }
                continue;
            }
            if !waits.end(taken.no_room, want.until, self.pause()).await {
                return Ok(Vec::new());
            }
        }
    }

    async fn ready(&self, until: Instant) -> Result<bool> {
        loop {
            let mut waits = Waits::new(&self.bell, &self.own, true);
            waits.begin();
            self.check("ready")?;
            let found = match &self.finder {
                Some(finder) => !finder.find(&self.store, self.number, 1).await?.is_empty(),
                None => self.store.with(|index, _| index.would_take(self.number)),
            };
            if found {
                return Ok(true);
            }
            if !waits.end(false, until, self.pause()).await {
                return Ok(false);
            }
        }
    }

    async fn settle(&self, batch: Vec<(Receipt, Outcome)>) -> Vec<Result<()>> {
        crate::settle::settle(&self.store, &self.sink, &self.queue, batch).await
    }

    async fn extend(&self, tokens: &[u64], by: Duration) -> Vec<Result<()>> {
        if let Err(error) = self.store.check("extend") {
            return tokens.iter().map(|_| Err(error.duplicate())).collect();
        }
        let by = by.as_micros().div_ceil(1000).min(u128::from(u64::MAX)) as u64;
        let held: Vec<bool> = self.store.with(|index, now| {
            let until = now.steady.saturating_add(by).saturating_add(1);
            tokens.iter().map(|token| index.leases.extend(*token, until)).collect()
        });
        held.into_iter().map(|held| if held { Ok(()) } else { Err(self.lease_lost()) }).collect()
    }

    fn set_turns(&self, turns: Turns) -> Result<()> {
        self.check("set turns")?;
        self.store.with(|index, _| index.set_turns(self.number, Arc::new(turns)));
        self.own.alarm();
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        self.store.check("close")?;
        if self.closed.swap(true, Ordering::AcqRel) {
            return Err(closed("close", &self.store.place(&self.queue)));
        }
        self.own.alarm();
        Ok(())
    }
}

impl EmbeddedReceiver {
    fn check(&self, operation: &'static str) -> Result<()> {
        self.store.check(operation)?;
        match self.closed.load(Ordering::Acquire) {
            true => Err(closed(operation, &self.store.place(&self.queue))),
            false => Ok(()),
        }
    }

    /// Leases what is there now.
    async fn take(&self, ask: Ask) -> Result<Taken> {
        let Some(finder) = &self.finder else {
            let taken = self.store.with(|index, now| index.take(self.number, ask, now));
            if taken.more {
                self.bell.one.notify_one();
            }
            return Ok(taken);
        };
        loop {
            let room = self.store.with(|index, _| index.room(self.number));
            if room == 0 {
                return Ok(Taken { items: Vec::new(), no_room: true, more: false });
            }
            let found = finder.find(&self.store, self.number, ask.max.min(room)).await?;
            let items: Vec<Item> =
                self.store.with(|index, now| index.lease_found(self.number, &found, ask, now));
            // What was found may have been taken by others meanwhile; there may be more.
            if !items.is_empty() || found.is_empty() {
                return Ok(Taken { items, no_room: false, more: false });
            }
        }
    }

    /// Reads what was leased. A message that cannot be read is kept back for a while, so that the
    /// others go on; it is an error only where there are no others.
    async fn read(&self, mut items: Vec<Item>) -> Result<Vec<Leased>> {
        let mut guard = Guard::new(&self.store, &items);
        self.count_suspects(&items).await;
        let stored = self.stored(&mut items).await?;
        guard.tokens.clear();
        let mut leased = Vec::with_capacity(items.len());
        let mut failed = None;
        for (item, stored) in items.into_iter().zip(stored) {
            match stored {
                Ok(stored) => leased.push(self.lease(item, stored)),
                Err(ReadError::Gone) => self.keep_back(item.token),
                Err(ReadError::Failed(error)) => {
                    self.keep_back(item.token);
                    tracing::error!(%error, "a stored message cannot be read");
                    failed = Some(error);
                }
            }
        }
        match failed {
            Some(error) if leased.is_empty() => Err(error),
            _ => Ok(leased),
        }
    }

    async fn stored(&self, items: &mut [Item]) -> Result<Vec<Result<Stored, ReadError>>> {
        let mut stored: Vec<Option<Result<Stored, ReadError>>> = Vec::with_capacity(items.len());
        for item in items.iter_mut() {
            let cached = item.cached.take().map(|cached| *cached);
            stored.push(cached.map(|c| Ok(Stored { message: c.message, enqueued: c.enqueued })));
        }
        if stored.iter().any(Option::is_none) {
            let missing: Vec<Item> = items
                .iter()
                .zip(&stored)
                .filter(|(_, stored)| stored.is_none())
                .map(|(item, _)| item.for_reading())
                .collect();
            let store = self.store.clone();
            let mut read = off_the_runtime(move || store.read(&missing)).await?.into_iter();
            stored.iter_mut().filter(|stored| stored.is_none()).for_each(|stored| *stored = read.next());
        }
        Ok(stored.into_iter().map(|stored| stored.unwrap_or(Err(ReadError::Gone))).collect())
    }

    fn lease(&self, item: Item, stored: Stored) -> Leased {
        let mut message = stored.message;
        if let Some(waited) = item.waited {
            waited.put_on(&mut message);
        }
        Leased {
            message,
            receipt: Receipt::new(item.token, self.sink.clone()),
            deliveries: Some(item.deliveries),
            position: Some(item.order),
            enqueued: Some(stored.enqueued),
        }
    }

    /// After a crash, deliveries of the messages that may have caused it are counted on disk before
    /// they are handed out.
    async fn count_suspects(&self, items: &[Item]) {
        let suspects = items.iter().filter(|item| item.position < self.store.suspect_below).count();
        if suspects > 0 && self.store.is_suspicious(suspects) {
            let (reply, done) = oneshot::channel();
            self.store.ops.push(Op::Count { reply: Some(reply) });
            if let Ok(Err(error)) = done.await {
                tracing::warn!(%error, "deliveries could not be counted on disk");
            }
        }
    }

    fn keep_back(&self, token: Token) {
        let wait = self.store.config.backoff_max.as_millis() as u64;
        self.store.with(|index, now| index.hold(token, wait, now));
    }

    /// How long a receiver that searches waits between two searches.
    fn pause(&self) -> Duration {
        if self.finder.is_some() { Duration::from_millis(100) } else { Duration::ZERO }
    }

    fn lease_lost(&self) -> Error {
        lease_lost("extend", &self.store.place(&self.queue))
    }
}

impl Drop for EmbeddedReceiver {
    fn drop(&mut self) {
        self.store.with(|index, _| index.drop_receiver(self.number));
    }
}

/// The error for a message that is no longer in the caller's hand.
pub(crate) fn lease_lost(operation: &'static str, place: &str) -> Error {
    Error::new(operation, ErrorKind::LeaseLost, "the lease has ended; the message comes again").at(place)
}

/// Runs blocking work beside the async threads; in place where there are none.
pub(crate) async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return Ok(work()) };
    runtime.spawn_blocking(work).await.map_err(|error| {
        Error::new("read", ErrorKind::Internal, "reading the log was interrupted").caused_by(error)
    })
}

/// What a receiver waits for, registered before it looks, so that nothing is missed in between.
struct Waits<'a> {
    one: Option<std::pin::Pin<Box<tokio::sync::futures::Notified<'a>>>>,
    all: std::pin::Pin<Box<tokio::sync::futures::Notified<'a>>>,
    own: std::pin::Pin<Box<tokio::sync::futures::Notified<'a>>>,
}

impl<'a> Waits<'a> {
    fn new(bell: &'a Bell, own: &'a Bell, picky: bool) -> Self {
        Self {
            one: (!picky).then(|| Box::pin(bell.one.notified())),
            all: Box::pin(bell.all.notified()),
            own: Box::pin(own.all.notified()),
        }
    }

    fn begin(&mut self) {
        if let Some(one) = &mut self.one {
            one.as_mut().enable();
        }
        self.all.as_mut().enable();
        self.own.as_mut().enable();
    }

    /// Waits until there may be something, but at least `pause`; false once `until` has come.
    async fn end(mut self, no_room: bool, until: Instant, pause: Duration) -> bool {
        let begun = Instant::now();
        if no_room {
            // A call meant for one receiver would end here; dropped, it goes on to the next.
            self.one = None;
        }
        let something = async {
            match self.one {
                _ if no_room => std::future::pending().await,
                Some(one) => one.await,
                None => self.all.await,
            }
            tokio::time::sleep_until((begun + pause).into()).await;
        };
        tokio::select! {
            biased;
            () = something => true,
            () = self.own => true,
            () = tokio::time::sleep_until(until.into()) => false,
        }
    }
}

/// Gives messages back at once, as if they had not been handed out, if the receive that leased
/// them is cancelled.
struct Guard<'a> {
    store: &'a Store,
    tokens: Vec<Token>,
}

impl<'a> Guard<'a> {
    fn new(store: &'a Store, items: &[Item]) -> Self {
        Self { store, tokens: items.iter().map(|item| item.token).collect() }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if !self.tokens.is_empty() {
            self.store.with(|index, now| {
                self.tokens.iter().for_each(|token| index.undo(*token, now));
            });
        }
    }
}
