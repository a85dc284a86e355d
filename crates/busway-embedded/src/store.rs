//! What transport, senders, receivers, committer and timer share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use busway_core::clock::now_ms;
use busway_core::delivery::AbandonSink;
use busway_core::{Error, ErrorClass, Queue, Result};

use crate::config::EmbeddedConfig;
use crate::error::{broken, closed};
use crate::files::{Files, ReadError, Stored};
use crate::index::{Index, Item, Now, Place};
use crate::ops::Ops;
use crate::timer::Timer;

/// How long a delivery may go uncounted on disk, in milliseconds.
pub(crate) const COUNT_WITHIN: u64 = 50;

/// How many messages a process may have had in hand when it died, at the most.
const SUSPECTS: usize = 1 << 16;

/// An open store.
pub(crate) struct Store {
    pub(crate) config: EmbeddedConfig,
    pub(crate) ops: Ops,
    pub(crate) files: Files,
    pub(crate) timer: Timer,
    /// Messages below this position may have been in hand when the process before died: their
    /// deliveries are counted on disk before they are handed out.
    pub(crate) suspect_below: u64,
    /// How many of them are still to be counted so.
    suspects: AtomicUsize,
    index: Mutex<Index>,
    started: Instant,
    closed: AtomicBool,
    broken: OnceLock<String>,
}

impl Store {
    pub(crate) fn new(config: EmbeddedConfig, index: Index, started: Instant, suspect_below: u64) -> Self {
        let directory = config.path.join(crate::log::SEGMENTS);
        Self {
            ops: Ops::new(config.backlog_bytes),
            files: Files::new(directory),
            timer: Timer::default(),
            suspect_below,
            suspects: AtomicUsize::new(SUSPECTS),
            index: Mutex::new(index),
            started,
            closed: AtomicBool::new(false),
            broken: OnceLock::new(),
            config,
        }
    }

    /// Works on the index; wakes afterwards whom the change concerns.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut Index, Now) -> R) -> R {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let result = work(&mut index, self.now());
        let bells = index.take_bells();
        let early = self.timer.is_late_for(&index);
        drop(index);
        bells.ring();
        if early {
            self.timer.wake();
        }
        result
    }

    pub(crate) fn now(&self) -> Now {
        Now { wall: now_ms(), steady: self.started.elapsed().as_millis() as u64 }
    }

    /// Refuses calls on a store that was closed or cannot be written any more.
    pub(crate) fn check(&self, operation: &'static str) -> Result<()> {
        match self.broken.get() {
            Some(why) => Err(broken(operation, &self.config.name, why, ErrorClass::Fatal)),
            None if self.is_closed() => Err(closed(operation, &self.config.name)),
            None => Ok(()),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Closes the store for its callers; whether it was open.
    pub(crate) fn begin_close(&self) -> bool {
        let first = !self.closed.swap(true, Ordering::AcqRel);
        self.wake_everybody();
        first
    }

    /// Notes that the log cannot be written any more.
    pub(crate) fn set_broken(&self, why: String) {
        if self.broken.set(why.clone()).is_ok() {
            tracing::error!(store = %self.config.path.display(), why, "the store cannot go on");
        }
        self.wake_everybody();
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.get().is_some()
    }

    /// The error for callers whose operation was under way when the log broke or its committer
    /// ended.
    pub(crate) fn outcome_unknown(&self, operation: &'static str) -> Error {
        if self.is_closed() && !self.is_broken() {
            return closed(operation, &self.config.name);
        }
        let why = self.broken.get().map_or("its committer has ended", String::as_str);
        broken(operation, &self.config.name, why, ErrorClass::Unknown)
    }

    /// Whether these many messages from before a crash are to be counted before they are handed
    /// out. What killed the process before is among the first that come again, so at some point
    /// there is no more need.
    pub(crate) fn is_suspicious(&self, messages: usize) -> bool {
        let take = |left: usize| left.checked_sub(1).map(|_| left.saturating_sub(messages));
        self.suspects.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// The name of a queue in errors.
    pub(crate) fn place(&self, queue: &Queue) -> String {
        format!("{}/{queue}", self.config.name)
    }

    /// Reads the messages of these items, wherever they stand by now. Blocks on the disk.
    pub(crate) fn read(&self, items: &[Item]) -> Vec<Result<Stored, ReadError>> {
        let places: Vec<Place> = items.iter().map(|item| item.place).collect();
        let mut results = self.files.read(&places);
        for (item, result) in items.iter().zip(&mut results) {
            let mut tries = 0;
            while matches!(result, Err(ReadError::Gone)) && tries < 3 {
                tries += 1;
                let Some(place) = self.with(|index, _| index.locate(item.slot, item.position)) else { break };
                if let Some(again) = self.files.read(&[place]).pop() {
                    *result = again;
                }
            }
        }
        results
    }

    fn wake_everybody(&self) {
        for bell in self.with(|index, _| index.all_bells()) {
            bell.alarm();
        }
    }
}

impl AbandonSink for Store {
    fn abandoned(&self, token: u64) {
        self.timer.abandon(token);
    }
}
