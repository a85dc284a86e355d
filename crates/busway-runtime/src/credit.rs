//! Credit: how many messages and bytes may be in the process. Granted back on settle.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A pool of credit in messages and bytes.
#[derive(Debug)]
pub(crate) struct Credit {
    used: Mutex<Used>,
    changed: Notify,
}

#[derive(Debug, Default, Clone, Copy)]
struct Used {
    messages: usize,
    bytes: usize,
    most_messages: usize,
    most_bytes: usize,
}

impl Credit {
    pub(crate) fn new(messages: usize, bytes: usize) -> Arc<Self> {
        let used = Used { most_messages: messages, most_bytes: bytes, ..Used::default() };
        Arc::new(Self { used: Mutex::new(used), changed: Notify::new() })
    }

    /// Changes how much there is in all; what is taken stays taken.
    pub(crate) fn resize(&self, messages: usize, bytes: usize) {
        {
            let mut used = self.lock();
            (used.most_messages, used.most_bytes) = (messages, bytes);
        }
        self.changed.notify_waiters();
    }

    /// Waits until there is credit; returns how many messages and bytes.
    ///
    /// Cancelling it loses nothing.
    pub(crate) async fn available(&self) -> (usize, usize) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let (messages, bytes) = self.free();
            if messages > 0 && bytes > 0 {
                return (messages, bytes);
            }
            changed.await;
        }
    }

    /// Whether there is none now.
    pub(crate) fn is_spent(&self) -> bool {
        let (messages, bytes) = self.free();
        messages == 0 || bytes == 0
    }

    /// Takes credit for one message. The last message taken may exceed the bytes, so that one of
    /// any size gets through.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Permit {
        let mut used = self.lock();
        used.messages += 1;
        used.bytes += bytes;
        Permit { credit: Arc::clone(self), bytes }
    }

    /// Messages and bytes in hand.
    pub(crate) fn used(&self) -> (usize, usize) {
        let used = *self.lock();
        (used.messages, used.bytes)
    }

    /// Waits until nothing is in hand.
    pub(crate) async fn idle(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.used().0 == 0 {
                return;
            }
            changed.await;
        }
    }

    fn free(&self) -> (usize, usize) {
        let used = *self.lock();
        (used.most_messages.saturating_sub(used.messages), used.most_bytes.saturating_sub(used.bytes))
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Credit taken for one message; returned when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    credit: Arc<Credit>,
    bytes: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        {
            let mut used = self.credit.lock();
            used.messages -= 1;
            used.bytes -= self.bytes;
        }
        self.credit.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn credit_comes_back_when_a_permit_is_dropped() {
        let credit = Credit::new(2, 10);
        let first = credit.take(4);
        let second = credit.take(40);
        assert_eq!(credit.used(), (2, 44));
        assert!(
            tokio::time::timeout(std::time::Duration::from_millis(10), credit.available()).await.is_err()
        );
        drop(second);
        assert_eq!(credit.available().await, (1, 6));
        credit.resize(1, 10);
        assert!(
            tokio::time::timeout(std::time::Duration::from_millis(10), credit.available()).await.is_err(),
            "what is taken counts against the new limit"
        );
        credit.resize(3, 10);
        assert_eq!(credit.available().await, (2, 6));
        drop(first);
        credit.idle().await;
    }
}
