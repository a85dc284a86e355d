//! A gate that calls wait at until the test lets them go.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Holds the calls of one rule until it is released; clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<Standing>>);

#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    released: bool,
    waiting: usize,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Standing::default())))
    }

    /// Lets all waiting calls go, and all that come later.
    pub fn release(&self) {
        self.0.send_modify(|standing| standing.released = true);
    }

    /// Whether it was released.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.0.borrow().released
    }

    /// How many calls wait at it now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.borrow().waiting
    }

    /// Waits until this many calls wait at it; `false` where they have not within `patience`.
    pub async fn reached(&self, calls: usize, patience: Duration) -> bool {
        let mut watched = self.0.subscribe();
        let reached = watched.wait_for(|standing| standing.waiting >= calls);
        matches!(tokio::time::timeout(patience, reached).await, Ok(Ok(_)))
    }

    /// Waits until it is released. Cancelling it takes the call out of the count.
    pub(super) async fn pass(&self) {
        let _counted = Counted::new(self);
        // The sender lives as long as this gate, so that the wait ends by a release alone.
        drop(self.0.subscribe().wait_for(|standing| standing.released).await);
    }
}

struct Counted<'a>(&'a Gate);

impl<'a> Counted<'a> {
    fn new(gate: &'a Gate) -> Self {
        gate.0.send_modify(|standing| standing.waiting += 1);
        Self(gate)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|standing| standing.waiting -= 1);
    }
}
