//! Messages that wait in `delayed` for endpoints that this bus does not have: nothing reads them.

use std::collections::BTreeMap;

use busway_core::{Queue, Result};

use crate::engine::Engine;

/// Rows by destination and account that are looked at; with more accounts, the counts are too low.
const ROWS: usize = 1000;

/// Looks for them, says so, and returns how many there are by destination. They stay where they
/// are; a transport that cannot tell has none.
pub(crate) async fn unread(engine: &Engine) -> BTreeMap<String, u64> {
    let unread = match gone(engine).await {
        Ok(unread) => unread,
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

/// How many there are now, by destination.
pub(crate) async fn gone(engine: &Engine) -> Result<BTreeMap<String, u64>> {
    let mut gone: BTreeMap<String, u64> = BTreeMap::new();
    let backlogs = engine.transport.breakdown(&Queue::Delayed, ROWS).await?;
    let board = engine.desks.board.load();
    for backlog in backlogs {
        let Some(destination) = backlog.destination else { continue };
        if board.target(&destination).is_none() {
            *gone.entry(destination).or_default() += backlog.messages;
        }
    }
    Ok(gone)
}
