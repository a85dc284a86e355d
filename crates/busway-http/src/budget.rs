//! The bound on all bytes that requests hold together.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;

/// Bytes that may be held; shared by all workers.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    held: AtomicUsize,
    most: usize,
}

/// Bytes held; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Inner { held: AtomicUsize::new(0), most }))
    }

    /// An account of nothing yet.
    pub(crate) fn open(&self) -> Held {
        Held { budget: self.clone(), bytes: 0 }
    }

    pub(crate) fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }
}

impl Held {
    /// Adds bytes, unless that would go over the budget.
    #[must_use]
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let inner = &self.budget.0;
        let taken = inner.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            held.checked_add(bytes).filter(|sum| *sum <= inner.most)
        });
        if taken.is_ok() {
            self.bytes += bytes;
        }
        taken.is_ok()
    }

    /// A response's body that stays on this account until it has been sent.
    pub(crate) fn with_body(self, body: impl Into<Bytes>) -> HeldBody {
        HeldBody { body: body.into(), _held: self }
    }
}

/// A body that is on an account.
pub(crate) struct HeldBody {
    body: Bytes,
    _held: Held,
}

impl MessageBody for HeldBody {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.0.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_never_exceeds_the_budget_and_comes_back() {
        let budget = Budget::new(10);
        let mut first = budget.open();
        assert!(first.grow(6));
        let mut second = budget.open();
        assert!(!second.grow(5));
        assert!(second.grow(4));
        assert_eq!(budget.held(), 10);
        drop(first);
        assert_eq!(budget.held(), 4);
        assert!(second.grow(6));
        drop(second);
        assert_eq!(budget.held(), 0);
    }
}
