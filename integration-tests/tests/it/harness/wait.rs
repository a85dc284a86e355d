//! Waiting for conditions.

use std::fmt::Display;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const EVERY: Duration = Duration::from_millis(20);

/// Waits until the condition gives something.
///
/// # Panics
/// Where that takes longer than `limit`.
#[track_caller]
pub(crate) fn within<T>(limit: Duration, what: impl Display, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < limit, "{what}: not within {limit:?}");
        sleep(EVERY);
    }
}

/// Waits until the condition holds.
///
/// # Panics
/// Where that takes longer than `limit`.
#[track_caller]
pub(crate) fn until(limit: Duration, what: impl Display, mut holds: impl FnMut() -> bool) {
    within(limit, what, || holds().then_some(()));
}
