//! An embedded store with everything small, so that log files are closed, cleaned and removed within a
//! second, and messages whose payload tells whether it is whole.

use std::path::Path;
use std::sync::Arc;

use busway_core::{Message, Queue, Result};
use busway_embedded::{EmbeddedConfig, EmbeddedTransport};
use bytes::Bytes;

/// The queues that it has.
pub const QUEUES: [Queue; 3] = [Queue::Priority, Queue::Delayed, Queue::Dead];

/// Opens the store in the folder; makes it where there is none.
///
/// # Errors
/// Those of [`EmbeddedTransport::open`].
pub fn open(folder: &Path) -> Result<Arc<EmbeddedTransport>> {
    let mut config = EmbeddedConfig::new("local", "test", folder);
    config.segment_bytes = 64 << 10;
    config.group_bytes = 64 << 10;
    config.cache_bytes = 32 << 10;
    config.garbage_bytes = 64 << 10;
    config.idle_garbage_bytes = 16 << 10;
    config.reserve_bytes = 16 << 10;
    EmbeddedTransport::open(config)
}

/// The message of this number.
#[must_use]
pub fn message(number: u64) -> Message {
    Message::new("power.test", payload(number)).id(number.to_string())
}

/// The number of a message, where its payload is the one that belongs to it.
#[must_use]
pub fn number(message: &Message) -> Option<u64> {
    let number = message.id.parse().ok()?;
    (message.data == payload(number)).then_some(number)
}

/// Most are small, some span many sectors.
fn payload(number: u64) -> Bytes {
    let mut random = fastrand::Rng::with_seed(number);
    let length = if random.u8(..10) == 0 { random.usize(2000..8000) } else { random.usize(1..1200) };
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_altered_payload_is_seen() {
        let mut whole = message(7);
        assert_eq!(number(&whole), Some(7));
        whole.data = whole.data.slice(1..);
        assert_eq!(number(&whole), None);
    }
}
