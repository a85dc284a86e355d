//! Buffers that records were written to, used again: the system makes fresh memory page by page, which
//! takes longer than to encode what goes in there.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Buffers that are kept, and the most bytes of one.
const KEPT: usize = 4;
const LARGEST: usize = 1 << 20;

/// The least for which it pays.
const SMALLEST: usize = 64 << 10;

/// Empty buffers.
#[derive(Default)]
pub(crate) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// An empty buffer with room for this many bytes.
    pub(crate) fn take(&self, bytes: usize) -> Vec<u8> {
        let kept = if bytes < SMALLEST { None } else { self.lock().pop() };
        let mut buffer = kept.unwrap_or_default();
        buffer.reserve(bytes);
        buffer
    }

    /// Keeps a buffer for the next one who needs it.
    pub(crate) fn put(&self, mut buffer: Vec<u8>) {
        if !(SMALLEST..=LARGEST).contains(&buffer.capacity()) {
            return;
        }
        buffer.clear();
        let mut kept = self.lock();
        if kept.len() < KEPT {
            kept.push(buffer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_kept_and_none_that_is_very_large_or_small() {
        let buffers = Buffers::default();
        for bytes in [LARGEST + 1, SMALLEST - 1, LARGEST, LARGEST, LARGEST, LARGEST, LARGEST] {
            let mut buffer = Vec::with_capacity(bytes);
            buffer.push(1);
            buffers.put(buffer);
        }
        assert_eq!(buffers.lock().len(), KEPT);
        assert!(buffers.lock().iter().all(|buffer| buffer.capacity() == LARGEST && buffer.is_empty()));
        assert!(buffers.take(SMALLEST - 1).capacity() < SMALLEST);
        assert_eq!(buffers.take(SMALLEST).capacity(), LARGEST);
        assert_eq!(buffers.lock().len(), KEPT - 1);
    }
}
