//! The moment by which a request must be answered.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// Passed from step to step, so that all of them together keep to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

/// The deadline has passed.
#[derive(Debug)]
pub(crate) struct Passed;

impl Deadline {
    pub(crate) fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    pub(crate) fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// What a step inside may take, so that its own answer still comes in time.
    pub(crate) fn inner(self) -> Duration {
        let remaining = self.remaining();
        remaining - (remaining / 10).min(Duration::from_millis(250))
    }

    /// Runs `step` until the deadline; it is dropped there.
    pub(crate) async fn within<F: Future>(self, step: F) -> Result<F::Output, Passed> {
        timeout_at(self.0, step).await.map_err(|_| Passed)
    }

    pub(crate) async fn wait(self) {
        tokio::time::sleep_until(self.0).await;
    }
}
