//! The workers of a bus: how many calls may run at once, over all endpoints.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A pool of workers shared by the endpoints of one bus.
pub(crate) struct Workers {
    total: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    used: Vec<usize>,
    wanting: Vec<bool>,
    wake: Vec<Option<Box<dyn Fn() + Send>>>,
    next: usize,
}

impl Workers {
    pub(crate) fn new(total: usize, endpoints: usize) -> Arc<Self> {
        Arc::new(Self {
            total: AtomicUsize::new(total),
            state: Mutex::new(State {
                used: vec![0; endpoints],
                wanting: vec![false; endpoints],
                wake: (0..endpoints).map(|_| None).collect(),
                next: 0,
            }),
        })
    }

    /// How an endpoint is told that a worker it wanted is free.
    pub(crate) fn on_free(&self, endpoint: usize, wake: impl Fn() + Send + 'static) {
        self.lock().wake[endpoint] = Some(Box::new(wake));
    }

    /// Makes room for so many endpoints in all.
    pub(crate) fn grow(&self, endpoints: usize) {
        let mut state = self.lock();
        state.used.resize(endpoints, 0);
        state.wanting.resize(endpoints, false);
        state.wake.resize_with(endpoints, || None);
    }

    /// A worker for this endpoint. While others want one, no endpoint holds more than a quarter of
    /// them, nor the last one that an endpoint without any would need. Refused, the endpoint is
    /// told when it is worth asking again.
    pub(crate) fn take(self: &Arc<Self>, endpoint: usize) -> Option<Worker> {
        let mut state = self.lock();
        let total = self.total.load(Ordering::Relaxed);
        let free = total.saturating_sub(state.used.iter().sum());
        let others = || (0..state.used.len()).filter(|other| *other != endpoint && state.wanting[*other]);
        let quarter = (total / 4).max(1);
        // One that has its quarter already is not kept waiting by others.
        let wanted = others().any(|other| state.used[other] < quarter);
        let starving = others().filter(|other| state.used[*other] == 0).count();
        let over = wanted && state.used[endpoint] >= quarter;
        let reserved = if state.used[endpoint] > 0 { starving } else { 0 };
        if over || free <= reserved {
            state.wanting[endpoint] = true;
            return None;
        }
        state.wanting[endpoint] = false;
        state.used[endpoint] += 1;
        Some(Worker { workers: Arc::clone(self), endpoint })
    }

    /// Changes how many there are; those in use beyond that are not replaced.
    pub(crate) fn set_total(&self, total: usize) {
        self.total.store(total.max(1), Ordering::Relaxed);
        let state = self.lock();
        state.wake.iter().flatten().for_each(|wake| wake());
    }

    /// The endpoint wants no worker now.
    pub(crate) fn content(&self, endpoint: usize) {
        self.lock().wanting[endpoint] = false;
    }

    /// Workers in use.
    pub(crate) fn used(&self) -> usize {
        self.lock().used.iter().sum()
    }

    fn give_back(&self, endpoint: usize) {
        let mut state = self.lock();
        state.used[endpoint] -= 1;
        let count = state.used.len();
        let start = state.next;
        state.next = (state.next + 1) % count;
        for step in 0..count {
            let other = (start + step) % count;
            if state.wanting[other]
                && let Some(wake) = &state.wake[other]
            {
                wake();
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker in use; free again when dropped.
pub(crate) struct Worker {
    workers: Arc<Workers>,
    endpoint: usize,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.workers.give_back(self.endpoint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_endpoint_leaves_workers_to_one_that_wants_them() {
        let workers = Workers::new(8, 2);
        let mut greedy: Vec<_> = std::iter::from_fn(|| workers.take(0)).collect();
        assert_eq!(greedy.len(), 8, "alone it may have all");
        assert!(workers.take(1).is_none());
        greedy.pop();
        assert!(workers.take(0).is_none(), "the other one wants it");
        let other = workers.take(1);
        assert!(other.is_some());
        greedy.truncate(1);
        assert!(workers.take(0).is_some());
        assert_eq!(workers.used(), 2);
    }

    #[test]
    fn with_fewer_workers_than_endpoints_each_gets_its_turn() {
        let workers = Workers::new(1, 2);
        let first = workers.take(0);
        assert!(first.is_some() && workers.take(1).is_none());
        drop(first);
        assert!(workers.take(1).is_some());
    }

    #[test]
    fn who_waits_is_told_when_there_are_more_workers_and_more_endpoints() {
        let workers = Workers::new(1, 1);
        let first = workers.take(0);
        workers.grow(2);
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        workers.on_free(1, move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert!(workers.take(1).is_none());
        workers.set_total(2);
        assert_eq!(told.load(Ordering::Relaxed), 1);
        assert!(workers.take(1).is_some());
        drop(first);
    }
}
