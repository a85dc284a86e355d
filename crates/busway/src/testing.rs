//! A bus for unit tests: in memory, with time of its own, and with assertions.
//!
//! Handlers, routes, retries and dead letters are those of a real bus; a store, a directory or a broker is
//! not needed. Time is put forward to whatever is due next, so a test ends in milliseconds though its
//! retries are hours apart.
//!
//! ```
//! use std::time::Duration;
//! use busway::{Delivery, HandlerError, Message, testing::TestBus};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let bus = TestBus::new("shop")?;
//! bus.subscribe("inventory", "item.*", |d: Delivery| async move {
//!     match d.attempt {
//!         1..5 => Err(HandlerError::retry_after(Duration::from_secs(3600))),
//!         _ => Ok(()),
//!     }
//! })?;
//! bus.start().await?;
//! bus.publish(Message::new("item.updated", "7")).await?;
//!
//! bus.expect_delivered("inventory").await.count(1).tries(5);
//! bus.expect_dead().await.count(0);
//! # Ok::<(), busway::Error>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What takes real time is what a handler itself does (one that sleeps, a call that runs into its time-out)
//! and an endpoint's `rate`. What an endpoint answers shuts no gate: failures open no breaker, unless they are
//! panics or time-outs, and instead of `Retry-After` the schedule alone says when a message is tried again.

mod bench;
mod expect;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use busway_core::transport::Filter;
use busway_core::{Error, ErrorKind, Result};

pub(crate) use self::bench::Bench;
pub use self::expect::{Dead, Delivered};
use crate::{Bus, BusBuilder};

/// How long, in real time, a test waits for handlers to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most messages that come due one after the other before a test is taken to have no end.
const STEPS: usize = 1_000_000;

/// The most dead letters that are looked at.
const LETTERS: usize = 100_000;

/// A [`Bus`] in memory, on which time passes when the test asks what has become of its messages. It is
/// used as the bus that it is; stopped and started again, it has what it had.
pub struct TestBus {
    bus: Bus,
    bench: Arc<Bench>,
}

impl TestBus {
    /// A bus of this name without endpoints.
    ///
    /// # Errors
    /// `Configuration` for a name that is none.
    pub fn new(name: &str) -> Result<Self> {
        Self::of(Bus::builder(name))
    }

    /// The bus of this builder, its queues and state in memory in place of where they would be. Its
    /// endpoints are the real ones.
    ///
    /// # Errors
    /// Those of [`BusBuilder::build`].
    pub fn of(builder: BusBuilder) -> Result<Self> {
        let bench = Arc::new(Bench::default());
        Ok(Self { bus: builder.build_on(Some(Arc::clone(&bench)))?, bench })
    }

    /// Lets time pass until every message is delivered or dead: nothing is in hand, and nothing waits
    /// for its time.
    ///
    /// Cancelling it loses nothing.
    ///
    /// # Errors
    /// `Timeout` where handlers do not end within 30 s of real time, or messages come due without end.
    pub async fn settled(&self) -> Result<()> {
        for _ in 0..STEPS {
            self.still().await?;
            match self.bench.until_next_due() {
                None => return Ok(()),
                Some(wait) => self.bench.put_forward(wait),
            }
        }
        Err(Error::new("settle", ErrorKind::Timeout, "messages come due without end").at(self.name()))
    }

    /// Lets this much time pass: what is due by then is delivered, in order, and nothing later.
    ///
    /// # Errors
    /// Those of [`TestBus::settled`].
    pub async fn advance(&self, by: Duration) -> Result<()> {
        let mut left = by;
        loop {
            self.still().await?;
            let step = self.bench.until_next_due().filter(|wait| *wait <= left).unwrap_or(left);
            self.bench.put_forward(step);
            left = left.saturating_sub(step);
            if left.is_zero() {
                return self.still().await;
            }
        }
    }

    /// What the endpoint or handler of this name has taken, once all is [settled](Self::settled).
    ///
    /// # Panics
    /// Where it does not settle.
    pub async fn expect_delivered(&self, name: &str) -> Delivered {
        self.must_settle().await;
        Delivered::new(name, self.bench.delivered(name))
    }

    /// The dead letters, once all is [settled](Self::settled).
    ///
    /// # Panics
    /// Where it does not settle, or the bus is not running.
    pub async fn expect_dead(&self) -> Dead {
        self.must_settle().await;
        let letters = async { self.bus.admin().await?.dead_list(Filter::default(), LETTERS).await };
        match letters.await {
            Ok(letters) => Dead::new(letters),
            Err(error) => panic!("the dead letters cannot be read: {error}"),
        }
    }

    async fn must_settle(&self) {
        if let Err(error) = self.settled().await {
            panic!("{error}");
        }
    }

    /// Waits until nothing is in hand and nothing can be handed out now.
    async fn still(&self) -> Result<()> {
        tokio::time::timeout(PATIENCE, self.bench.quiet()).await.map_err(|_| {
            Error::new("settle", ErrorKind::Timeout, "messages are still in hand after 30 s")
                .at(self.name())
                .advise("a handler does not end, or an endpoint is paused")
        })
    }

    fn name(&self) -> String {
        self.bus.name().to_owned()
    }
}

impl Deref for TestBus {
    type Target = Bus;

    fn deref(&self) -> &Bus {
        &self.bus
    }
}
