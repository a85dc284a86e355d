//! Publishing to memory.

use std::sync::Arc;

use async_trait::async_trait;
use busway_core::error::Result;
use busway_core::{Publication, Sender};

use super::limits;
use super::transport::Connection;

pub(super) struct MemorySender {
    pub(super) connection: Arc<Connection>,
}

#[async_trait]
impl Sender for MemorySender {
    async fn publish(&self, batch: Vec<Publication>) -> Vec<Result<()>> {
        let shared = &self.connection.shared;
        if self.connection.check("publish").is_ok()
            && let Some(refused) = limits::refuse_sizes(&batch, &shared.capabilities)
        {
            return refused;
        }
        let mut state = shared.state();
        let now = state.now();
        let mut store = |publication: Publication| {
            self.connection.check("publish")?;
            limits::check(&publication, &shared.capabilities)?;
            let Publication { queue, message, group } = publication;
            let message = state.stored(message);
            state.line("publish", &queue)?.push(message, group, now);
            Ok(())
        };
        let results = batch.into_iter().map(&mut store).collect();
        shared.changed.notify_waiters();
        results
    }
}
