//! What outlives a connection: the queues with their messages and leases, behind one lock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use busway_core::clock::{Millis, now_ms};
use busway_core::error::{Error, ErrorKind, Result};
use busway_core::{Capabilities, Queue};
use tokio::sync::Notify;

use super::lease::Lease;
use super::limits::capabilities;
use super::line::Line;
use crate::sync::lock;

/// The stored queues of one memory bus; clones are the same storage.
#[derive(Clone)]
pub struct MemoryStorage(pub(super) Arc<Shared>);

impl MemoryStorage {
    /// An empty storage that can do everything.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capabilities(capabilities())
    }

    /// An empty storage with these limits. What they refuse is answered with `Unsupported`;
    /// priority and order are merely not kept up.
    #[must_use]
    pub fn with_capabilities(capabilities: Capabilities) -> Self {
        Self(Arc::new(Shared { capabilities, changed: Notify::new(), state: Mutex::default() }))
    }
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

pub(super) struct Shared {
    pub(super) capabilities: Capabilities,
    /// Rung whenever something may have become ready, or a connection or receiver was closed.
    pub(super) changed: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) lines: BTreeMap<Queue, Line>,
    pub(super) leases: HashMap<u64, Lease>,
    /// The ends of the leases, earliest first.
    pub(super) ends: BTreeSet<(Instant, u64)>,
    /// How many messages each receiver has in hand.
    pub(super) held: HashMap<u64, usize>,
    last: u64,
}

impl Shared {
    /// The state with everything done that time alone does: delays over, leases ended.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        let mut state = lock(&self.state);
        if state.sweep() {
            self.changed.notify_waiters();
        }
        state
    }
}

impl State {
    /// A number never given before: names connections, receivers and leases.
    pub(super) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn line(&mut self, operation: &'static str, queue: &Queue) -> Result<&mut Line> {
        self.lines.get_mut(queue).ok_or_else(|| {
            Error::new(operation, ErrorKind::NotFound, "the queue was never declared").at(queue)
        })
    }

    /// When time alone will change something in this queue.
    pub(super) fn next_event(&self, queue: &Queue) -> Option<Instant> {
        let due = self.lines.get(queue).and_then(Line::next_due).map(instant_of);
        let end = self.ends.first().map(|(end, _)| *end);
        due.into_iter().chain(end).min()
    }

    fn sweep(&mut self) -> bool {
        let ended = self.end_leases(Instant::now());
        let now = now_ms();
        for line in self.lines.values_mut() {
            line.sweep(now);
        }
        ended
    }
}

/// This long from now, or so far off that it makes no difference.
pub(super) fn after(span: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
    Instant::now() + span.min(FAR)
}

/// The wall-clock moment this long from now, rounded up: a delay is never shortened.
pub(super) fn due_after(span: Duration) -> Millis {
    let millis = u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    now_ms().saturating_add(millis).saturating_add(u64::from(!span.is_zero()))
}

fn instant_of(due: Millis) -> Instant {
    after(Duration::from_millis(due.saturating_sub(now_ms()).saturating_add(1)))
}
