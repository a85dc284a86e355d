//! Which messages came, and how often.

use std::sync::atomic::{AtomicU8, Ordering};

/// Counts messages by their number; shared by whoever takes them.
#[derive(Debug)]
pub struct Tally(Vec<AtomicU8>);

impl Tally {
    /// For the messages 0 to `messages` - 1.
    #[must_use]
    pub fn new(messages: u64) -> Self {
        Self((0..messages).map(|_| AtomicU8::new(0)).collect())
    }

    /// A message has come. A number that was never sent counts as one too many of the last.
    pub fn see(&self, message: u64) {
        let place = usize::try_from(message).unwrap_or(usize::MAX).min(self.0.len().saturating_sub(1));
        if let Some(seen) = self.0.get(place) {
            seen.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Messages that have not come.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.iter().filter(|seen| seen.load(Ordering::Relaxed) == 0).count() as u64
    }

    /// Times that messages came beyond the first.
    #[must_use]
    pub fn duplicated(&self) -> u64 {
        self.0.iter().map(|seen| u64::from(seen.load(Ordering::Relaxed).saturating_sub(1))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn what_is_missing_and_what_is_too_much_are_counted_apart() {
        let tally = Tally::new(4);
        for message in [0, 2, 2, 2, 9] {
            tally.see(message);
        }
        assert_eq!((tally.lost(), tally.duplicated()), (1, 2));
    }
}
