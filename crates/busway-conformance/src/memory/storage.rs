//! What outlives a connection: the queues with their messages and leases, behind one lock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use busway_core::clock::{Millis, now_ms};
use busway_core::error::{Error, ErrorKind, Result};
use busway_core::{Capabilities, Message, Queue};
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

    /// The storage's time: the wall clock's, and what it was put forward. What is due, and what has
    /// expired, is so by this time; its users go by the wall clock and notice nothing.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.0.state().now()
    }

    /// Puts its time forward: what has come due by then can be handed out.
    pub fn put_forward(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        let mut state = self.0.state();
        state.skew = state.skew.saturating_add(by);
        drop(state);
        self.0.changed.notify_waiters();
    }

    /// When the next of the messages that wait is due, by [`MemoryStorage::now`].
    #[must_use]
    pub fn next_due(&self) -> Option<Millis> {
        self.0.state().lines.values().filter_map(Line::next_due).min()
    }

    /// Waits until nothing is in hand, and nothing can be handed out of the queues that `read` names.
    ///
    /// Cancelling it changes nothing.
    pub async fn quiet(&self, read: impl Fn(&Queue) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.0.changed.notified());
            changed.as_mut().enable();
            {
                let state = self.0.state();
                let mut lines = state.lines.iter().filter(|(queue, _)| read(queue));
                if state.leases.is_empty() && lines.all(|(_, line)| line.ready().next().is_none()) {
                    return;
                }
            }
            changed.await;
        }
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
    /// How far the storage's time is before the wall clock.
    pub(super) skew: Millis,
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

    /// The storage's time.
    pub(super) fn now(&self) -> Millis {
        now_ms().saturating_add(self.skew)
    }

    /// The moment this long from now, rounded up: a delay is never shortened.
    pub(super) fn due_after(&self, span: Duration) -> Millis {
        let millis = u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        self.now().saturating_add(millis).saturating_add(u64::from(!span.is_zero()))
    }

    /// A message as it is stored: its moments by the storage's time.
    pub(super) fn stored(&self, mut message: Message) -> Message {
        let later = |at: Millis| at.saturating_add(self.skew);
        message.deliver_at = message.deliver_at.map(later);
        message.expires_at = message.expires_at.map(later);
        message
    }

    /// When time alone will change something in this queue.
    pub(super) fn next_event(&self, queue: &Queue) -> Option<Instant> {
        let due = self.lines.get(queue).and_then(Line::next_due);
        let due =
            due.map(|due| after(Duration::from_millis(due.saturating_sub(self.now()).saturating_add(1))));
        let end = self.ends.first().map(|(end, _)| *end);
        due.into_iter().chain(end).min()
    }

    fn sweep(&mut self) -> bool {
        let ended = self.end_leases(Instant::now());
        let now = self.now();
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

/// A stored message as it is handed out: its moments by the wall clock.
pub(super) fn handed_out(mut message: Message, skew: Millis) -> Message {
    let sooner = |at: Millis| at.saturating_sub(skew);
    message.deliver_at = message.deliver_at.map(sooner);
    message.expires_at = message.expires_at.map(sooner);
    message
}
