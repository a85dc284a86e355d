//! Wakes receivers that wait for messages.

use std::sync::Arc;

use tokio::sync::Notify;

use super::cache::Cached;

/// Wakes those who wait for one part of a queue.
///
/// Receivers that take whatever there is wait on `one`: a single one is woken, and wakes the next
/// if it leaves something. Those that may pass over messages (paused accounts, filters, or only
/// looking) wait on `all` and are woken together.
#[derive(Default)]
pub(crate) struct Bell {
    pub(crate) one: Notify,
    pub(crate) all: Notify,
}

impl Bell {
    pub(crate) fn ring(&self) {
        self.one.notify_one();
        self.all.notify_waiters();
    }

    /// Wakes everybody, whatever they wait for.
    pub(crate) fn alarm(&self) {
        self.one.notify_waiters();
        self.all.notify_waiters();
    }
}

/// Bells that have to be rung.
#[derive(Default)]
pub(crate) struct Bells {
    pub(super) destinations: Vec<u32>,
    pub(super) queues: Vec<u16>,
    pub(super) list: Vec<Arc<Bell>>,
    /// Receivers that have room again.
    pub(super) rooms: Vec<Arc<Bell>>,
    /// What is to be freed once the index is no longer locked.
    #[expect(clippy::vec_box, reason = "they come boxed and are only to be freed")]
    pub(super) trash: Vec<Box<Cached>>,
}

impl Bells {
    pub(crate) fn ring(self) {
        for bell in self.list {
            bell.ring();
        }
        for bell in self.rooms {
            bell.alarm();
        }
    }
}
