//! Counts what is under way, so that its end can be waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many are under way.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    count: AtomicUsize,
    changed: Notify,
}

impl Gauge {
    /// One more, until the entry is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Entry {
        self.count.fetch_add(1, Ordering::AcqRel);
        Entry(Arc::clone(self))
    }

    /// Waits until none is under way. Cancelling it loses nothing.
    pub(crate) async fn none(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            changed.await;
        }
    }
}

/// One that is under way.
#[derive(Debug)]
pub(crate) struct Entry(Arc<Gauge>);

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.changed.notify_waiters();
    }
}
