//! The endpoint of a handler that lives in this process, and in others as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use busway_core::{Delivery, DeliveryError, Endpoint};

use crate::remote::work::Sessions;

/// Calls the handler of this process; where other processes read the handler's queue, each of them and
/// this one get the same part.
pub(crate) struct Shared {
    name: String,
    own: Arc<dyn Endpoint>,
    /// Puts messages on the handler's queue.
    away: Arc<dyn Endpoint>,
    sessions: Arc<Sessions>,
    turn: AtomicUsize,
}

impl Shared {
    pub(crate) fn new(
        name: &str,
        own: Arc<dyn Endpoint>,
        away: Arc<dyn Endpoint>,
        sessions: Arc<Sessions>,
    ) -> Self {
        Self { name: name.to_owned(), own, away, sessions, turn: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl Endpoint for Shared {
    fn kind(&self) -> &'static str {
        self.own.kind()
    }

    async fn deliver(&self, batch: Vec<Delivery>) -> Vec<Result<(), DeliveryError>> {
        let parties = self.sessions.readers(&self.name) + 1;
        match self.turn.fetch_add(1, Ordering::Relaxed) % parties {
            0 => self.own.deliver(batch).await,
            _ => self.away.deliver(batch).await,
        }
    }

    async fn test(&self) -> Result<String, DeliveryError> {
        self.own.test().await
    }

    async fn close(&self) {
        self.own.close().await;
        self.away.close().await;
    }
}
