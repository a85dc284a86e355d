//! Messages that were just published, for their first reader.

use std::collections::VecDeque;

use busway_core::Message;

use super::pool::NumberMap;

/// A message as it was published, and when.
pub(crate) struct Cached {
    pub(crate) message: Message,
    pub(crate) enqueued: u64,
}

/// A bounded number of bytes of messages, by slot; the oldest make room for new ones.
pub(crate) struct Cache {
    limit: usize,
    bytes: usize,
    messages: NumberMap<u32, (Box<Cached>, u64, usize)>,
    /// Slots and positions in the order in which they came; some may be gone.
    order: VecDeque<(u32, u64)>,
}

impl Cache {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, bytes: 0, messages: NumberMap::default(), order: VecDeque::new() }
    }

    pub(crate) fn fits(&self, weight: usize) -> bool {
        weight <= self.limit / 8
    }

    /// Adds a message; answers which messages had to go for it.
    pub(crate) fn put(
        &mut self,
        slot: u32,
        position: u64,
        weight: usize,
        cached: Box<Cached>,
    ) -> Vec<(u32, Box<Cached>)> {
        let mut evicted = Vec::new();
        self.bytes += weight;
        self.messages.insert(slot, (cached, position, weight));
        self.order.push_back((slot, position));
        while let Some((first, at)) = self.order.front().copied() {
            let present = self.present(first, at);
            if present && self.bytes <= self.limit {
                break;
            }
            self.order.pop_front();
            if present && let Some(message) = self.take(first) {
                evicted.push((first, message));
            }
        }
        if self.order.len() > 2 * self.messages.len() + 1024 {
            let messages = &self.messages;
            self.order.retain(|(slot, at)| messages.get(slot).is_some_and(|(_, position, _)| position == at));
        }
        evicted
    }

    pub(crate) fn take(&mut self, slot: u32) -> Option<Box<Cached>> {
        let (cached, _, weight) = self.messages.remove(&slot)?;
        self.bytes -= weight;
        Some(cached)
    }

    fn present(&self, slot: u32, position: u64) -> bool {
        self.messages.get(&slot).is_some_and(|(_, at, _)| *at == position)
    }
}
