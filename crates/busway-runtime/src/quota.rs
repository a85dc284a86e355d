//! How many messages a bounded run may still take.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A quota of messages; without a limit it never ends.
#[derive(Debug, Default)]
pub(crate) struct Quota(Mutex<Option<u64>>);

impl Quota {
    /// Sets what is left.
    pub(crate) fn limit(&self, limit: Option<u64>) {
        *self.lock() = limit;
    }

    /// Takes up to `wanted`; returns how many.
    pub(crate) fn take(&self, wanted: usize) -> usize {
        let mut left = self.lock();
        let Some(left) = &mut *left else { return wanted };
        let taken = usize::try_from(*left).map_or(wanted, |left| left.min(wanted));
        *left -= taken as u64;
        taken
    }

    /// Gives back what was not used.
    pub(crate) fn give_back(&self, unused: usize) {
        if let Some(left) = &mut *self.lock() {
            *left += unused as u64;
        }
    }

    /// Whether there is a limit.
    pub(crate) fn limited(&self) -> bool {
        self.lock().is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Option<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
