//! When ordered lanes may be read back: not before all that was left on `priority` by a process
//! before this one has been routed, for an earlier message of a key may be among it.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Shut at start, opened once.
#[derive(Debug, Default)]
pub(crate) struct LanesOpen {
    open: AtomicBool,
    changed: Notify,
}

impl LanesOpen {
    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Waits until it is open. Cancelling it loses nothing.
    pub(crate) async fn wait(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_open() {
                return;
            }
            changed.await;
        }
    }
}
