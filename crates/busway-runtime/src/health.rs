//! Whether the bus does its work, and why not.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use busway_core::admin::Readiness;

/// The reasons for which a bus is not ready, by what they concern.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<BTreeMap<String, String>>);

impl Health {
    /// Not ready, for this reason, until it is cleared.
    pub(crate) fn fault(&self, about: &str, why: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(about.to_owned(), why.into());
    }

    /// The reason is gone.
    pub(crate) fn clear(&self, about: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(about);
    }

    pub(crate) fn has(&self, about: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(about)
    }

    pub(crate) fn readiness(&self) -> Readiness {
        let reasons: Vec<String> = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(about, why)| format!("{about}: {why}"))
            .collect();
        Readiness { ready: reasons.is_empty(), reasons }
    }
}
