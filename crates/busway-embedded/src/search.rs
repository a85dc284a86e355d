//! Finds messages by their properties: goes through a queue in order of position, in bounded steps,
//! beside the async threads.

use std::sync::Arc;

use busway_core::transport::{Filter, Peeked, Selector};
use busway_core::{Message, Result};

use crate::files::ReadError;
use crate::index::{Index, Item, Search};
use crate::receiver::off_the_runtime;
use crate::store::Store;

/// Positions collected in one pass over the index.
const WINDOW: usize = 16_384;

/// Bodies read in one go, and about how many bytes they have.
const BODIES: usize = 256;
const BYTES: usize = 8 << 20;

/// A filter on one queue.
#[derive(Clone)]
pub(crate) struct Finder {
    pub(crate) queue: u16,
    pub(crate) filter: Filter,
}

impl Finder {
    /// Positions and slots of at most `max` messages that stand ready, match, and are not of an
    /// account that the receiver passes over, lowest first.
    pub(crate) async fn find(
        &self,
        store: &Arc<Store>,
        receiver: u32,
        max: usize,
    ) -> Result<Vec<(u64, u32)>> {
        let (finder, store) = (self.clone(), store.clone());
        off_the_runtime(move || {
            let mut found = Vec::new();
            let selector = Selector::Matching(finder.filter);
            each(&store, finder.queue, &selector, true, |item, _| {
                let wanted = |index: &Index| {
                    index.locate(item.slot, item.position).is_some() && index.may_take(receiver, item.slot)
                };
                if store.with(|index, _| wanted(index)) {
                    found.push((item.position, item.slot));
                }
                found.len() < max
            });
            found
        })
        .await
    }
}

/// Looks at messages, oldest first.
pub(crate) async fn peek(
    store: &Arc<Store>,
    queue: u16,
    selector: Selector,
    skip: usize,
    max: usize,
) -> Result<Vec<Peeked>> {
    let store = store.clone();
    off_the_runtime(move || {
        let mut rows = Vec::new();
        let mut skipped = 0;
        if max == 0 {
            return rows;
        }
        each(&store, queue, &selector, false, |item, message| {
            if skipped < skip {
                skipped += 1;
                return true;
            }
            let Some(standing) = store.with(|index, _| index.standing(item.slot, item.position)) else {
                return true;
            };
            let position = Some(item.order);
            rows.push(Peeked { message: message.clone(), standing, position });
            rows.len() < max
        });
        rows
    })
    .await
}

/// Calls `visit` with every message of a part of a queue in order of position, until it answers
/// false. Blocks on the disk.
fn each(
    store: &Store,
    queue: u16,
    selector: &Selector,
    ready: bool,
    mut visit: impl FnMut(&Item, &Message) -> bool,
) {
    let mut after = 0;
    loop {
        let window = window(store, queue, selector, ready, after, WINDOW);
        let Some((last, _)) = window.last().copied() else { return };
        let mut rest = window.as_slice();
        while !rest.is_empty() {
            let (items, looked) = describe(store, rest);
            rest = &rest[looked..];
            for (item, stored) in items.iter().zip(store.read(&items)) {
                let mut message = match stored {
                    Ok(stored) => stored.message,
                    Err(ReadError::Gone) => continue,
                    Err(ReadError::Failed(error)) => {
                        tracing::error!(%error, "a stored message cannot be read");
                        continue;
                    }
                };
                if let Some(waited) = &item.waited {
                    waited.put_on(&mut message);
                }
                let wanted = match selector {
                    Selector::Matching(filter) => filter.matches(&message),
                    _ => true,
                };
                if wanted && !visit(item, &message) {
                    return;
                }
            }
        }
        if window.len() < WINDOW {
            return;
        }
        after = last;
    }
}

/// What is needed to read the first few of these messages, and how many were looked at.
fn describe(store: &Store, window: &[(u64, u32)]) -> (Vec<Item>, usize) {
    store.with(|index, _| {
        let (mut items, mut looked, mut bytes) = (Vec::new(), 0, 0);
        while looked < window.len() && items.len() < BODIES && bytes < BYTES {
            let (position, slot) = window[looked];
            looked += 1;
            if let Some(place) = index.locate(slot, position) {
                bytes += place.length as usize;
                items.push(index.describe(slot));
            }
        }
        (items, looked)
    })
}

/// The lowest positions above `after` in a part of a queue. Locks the index stride by stride.
pub(crate) fn window(
    store: &Store,
    queue: u16,
    selector: &Selector,
    ready: bool,
    after: u64,
    limit: usize,
) -> Vec<(u64, u32)> {
    let mut search = Search::new(queue, selector.clone(), ready, after, limit);
    while store.with(|index, _| search.step(index)) {}
    search.finish()
}

/// Counts what matches a filter that names more than account and destination.
pub(crate) async fn count(
    store: &Arc<Store>,
    queue: u16,
    filter: Filter,
) -> Result<busway_core::transport::Depth> {
    use busway_core::transport::{Depth, Standing};
    let store = store.clone();
    off_the_runtime(move || {
        let (mut ready, mut in_flight, mut delayed, mut bytes) = (0, 0, 0, 0);
        let mut depth = Depth::default();
        let least = |a: Option<u64>, b: u64| Some(a.map_or(b, |a| a.min(b)));
        each(&store, queue, &Selector::Matching(filter), false, |item, message| {
            match store.with(|index, _| index.standing(item.slot, item.position)) {
                Some(Standing::Ready) => {
                    ready += 1;
                    depth.lowest_ready = least(depth.lowest_ready, item.order);
                }
                Some(Standing::InFlight) => in_flight += 1,
                Some(Standing::Delayed(due)) => {
                    delayed += 1;
                    depth.next_due = least(depth.next_due, due);
                }
                Some(Standing::Behind) => delayed += 1,
                None => return true,
            }
            bytes += u64::from(item.place.length);
            if let Some(accepted) = message.accepted {
                depth.oldest = least(depth.oldest, accepted);
            }
            true
        });
        Depth {
            ready: Some(ready),
            in_flight: Some(in_flight),
            delayed: Some(delayed),
            bytes: Some(bytes),
            ..depth
        }
    })
    .await
}
