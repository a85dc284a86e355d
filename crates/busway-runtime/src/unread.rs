//! Messages that wait in `delayed` for endpoints that this bus does not have: nothing reads them.

use std::collections::BTreeMap;

use busway_core::transport::Backlog;
use busway_core::{Queue, Result};

use crate::engine::Engine;

/// Rows by destination and account that are looked at; with more accounts, the counts are too low.
const ROWS: usize = 1000;

/// Looks for them, says so, and returns how many there are by destination. They stay where they
/// are; a transport that cannot tell has none.
pub(crate) async fn unread(engine: &Engine) -> BTreeMap<String, u64> {
    let unread = match waiting(engine).await {
        Ok(waiting) => gone(engine, &waiting),
        Err(error) => {
            tracing::warn!(%error, "it is not known whether messages wait for endpoints that are gone");
            return BTreeMap::new();
        }
    };
    for (destination, messages) in &unread {
        tracing::error!(
            %destination,
            messages,
            "messages wait in delayed for an endpoint that is not configured, and nothing reads them; configure it again to have them delivered"
        );
    }
    unread
}

/// What waits in `delayed`, by destination and account.
pub(crate) async fn waiting(engine: &Engine) -> Result<Vec<Backlog>> {
    engine.transport.breakdown(&Queue::Delayed, ROWS).await
}

/// How many of what waits are for endpoints that are gone, by destination.
pub(crate) fn gone(engine: &Engine, waiting: &[Backlog]) -> BTreeMap<String, u64> {
    let mut gone: BTreeMap<String, u64> = BTreeMap::new();
    let board = engine.desks.board.load();
    for backlog in waiting {
        let Some(destination) = &backlog.destination else { continue };
        if board.target(destination).is_none() {
            *gone.entry(destination.clone()).or_default() += backlog.messages;
        }
    }
    gone
}
