//! Removes all messages of a queue that are not in flight.

use std::sync::Arc;

use busway_core::Result;
use busway_core::transport::Selector;
use tokio::sync::oneshot;

use crate::ops::Op;
use crate::receiver::off_the_runtime;
use crate::search::window;
use crate::store::Store;

/// Messages removed in one group.
const WINDOW: usize = 16_384;

/// Purges a queue, durably, window by window; answers how many messages it removed. Messages that
/// are published meanwhile stay.
pub(crate) async fn purge(store: &Arc<Store>, queue: u16) -> Result<u64> {
    let end = store.with(|index, _| index.next_position);
    let mut removed = 0;
    let mut after = 0;
    loop {
        let searched = store.clone();
        let found =
            off_the_runtime(move || window(&searched, queue, &Selector::All, false, after, WINDOW)).await?;
        let Some((last, _)) = found.last().copied() else { return Ok(removed) };
        let below = found.into_iter().filter(|(position, _)| *position < end);
        let seized: Vec<(u32, u64)> = store.with(|index, _| {
            let taken = below.filter(|(position, slot)| index.seize(*slot, *position));
            taken.map(|(position, slot)| (slot, position)).collect()
        });
        let count = seized.len() as u64;
        if count > 0 {
            let (reply, done) = oneshot::channel();
            store.ops.push(Op::Purge { seized, reply });
            done.await.unwrap_or_else(|_| Err(store.outcome_unknown("purge")))?;
        }
        removed += count;
        if last >= end {
            return Ok(removed);
        }
        after = last;
    }
}
