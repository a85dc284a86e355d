//! Assertions about what became of messages. Each gives itself back, for the next one.

use std::fmt::Debug;

use busway_core::Delivery;
use busway_core::admin::DeadRow;

/// What one endpoint has taken.
#[derive(Clone, Debug)]
pub struct Delivered {
    name: String,
    deliveries: Vec<Delivery>,
}

impl Delivered {
    pub(super) fn new(name: &str, deliveries: Vec<Delivery>) -> Self {
        Self { name: name.to_owned(), deliveries }
    }

    /// The deliveries that succeeded, in order.
    #[must_use]
    pub fn deliveries(&self) -> &[Delivery] {
        &self.deliveries
    }

    /// So many deliveries have succeeded.
    ///
    /// # Panics
    /// Where it is another number.
    #[track_caller]
    pub fn count(self, expected: usize) -> Self {
        let found: Vec<&str> = self.deliveries.iter().map(|delivery| &*delivery.message.id).collect();
        assert!(
            found.len() == expected,
            "{}: {} deliveries, {expected} were expected: {found:?}",
            self.name,
            found.len()
        );
        self
    }

    /// The messages with these ids were delivered, in this order, and no others.
    ///
    /// # Panics
    /// Where it were others, or in another order.
    #[track_caller]
    pub fn ids(self, expected: &[&str]) -> Self {
        let found: Vec<&str> = self.deliveries.iter().map(|delivery| &*delivery.message.id).collect();
        same(&self.name, "ids", &found, expected);
        self
    }

    /// Each delivery succeeded at this try, counted from 1.
    ///
    /// # Panics
    /// Where one did at another.
    #[track_caller]
    pub fn tries(self, expected: u32) -> Self {
        let found: Vec<u32> = self.deliveries.iter().map(|delivery| delivery.attempt).collect();
        same(&self.name, "tries", &found, &vec![expected; found.len()]);
        self
    }
}

/// The dead letters.
#[derive(Clone, Debug)]
pub struct Dead {
    letters: Vec<DeadRow>,
}

impl Dead {
    pub(super) fn new(letters: Vec<DeadRow>) -> Self {
        Self { letters }
    }

    /// The dead letters, oldest first.
    #[must_use]
    pub fn letters(&self) -> &[DeadRow] {
        &self.letters
    }

    /// There are so many.
    ///
    /// # Panics
    /// Where it is another number.
    #[track_caller]
    pub fn count(self, expected: usize) -> Self {
        let found: Vec<(&str, &str)> = self.letters.iter().map(|row| (&*row.id, &*row.reason)).collect();
        assert!(found.len() == expected, "{} dead letters, {expected} were expected: {found:?}", found.len());
        self
    }

    /// Each died for this reason, such as `error:decode`, `expired` or `unroutable`.
    ///
    /// # Panics
    /// Where one did for another.
    #[track_caller]
    pub fn reason(self, expected: &str) -> Self {
        let found: Vec<&str> = self.letters.iter().map(|row| &*row.reason).collect();
        same("dead", "reasons", &found, &vec![expected; found.len()]);
        self
    }

    /// Each died after so many tries.
    ///
    /// # Panics
    /// Where one did after another number.
    #[track_caller]
    pub fn attempts(self, expected: u32) -> Self {
        let found: Vec<u32> = self.letters.iter().map(|row| row.attempts).collect();
        same("dead", "attempts", &found, &vec![expected; found.len()]);
        self
    }
}

#[track_caller]
fn same<T: PartialEq + Debug>(about: &str, what: &str, found: &[T], expected: &[T]) {
    assert!(found == expected, "{about}: {what} {found:?}, {expected:?} were expected");
}
