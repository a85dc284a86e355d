//! The thread that acts when a moment comes: due messages, leases that run out, receipts that were
//! dropped, delivery counts that are to be written. It never waits for the disk.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::index::{Index, Now, Token};
use crate::ops::Op;
use crate::store::{COUNT_WITHIN, Store};

/// The longest sleep while something waits for the wall clock, which may be set meanwhile.
const CLOCK_CHECK: u64 = 1000;

/// Changes made in one go, with the index locked.
const STRIDE: usize = 1024;

/// The way to the timer's thread.
pub(crate) struct Timer {
    state: Mutex<State>,
    bell: Condvar,
    /// When it will look again by itself, by either clock.
    wall: AtomicU64,
    steady: AtomicU64,
    /// The committer has been asked to count deliveries and has not yet done so.
    counting: AtomicBool,
}

#[derive(Default)]
struct State {
    abandoned: Vec<Token>,
    woken: bool,
    stop: bool,
}

impl Default for Timer {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            bell: Condvar::new(),
            wall: AtomicU64::new(0),
            steady: AtomicU64::new(0),
            counting: AtomicBool::new(false),
        }
    }
}

impl Timer {
    /// Whether something in the index happens before the timer looks again.
    pub(crate) fn is_late_for(&self, index: &Index) -> bool {
        let (wall, steady) = self.next_moments(index);
        wall < self.wall.load(Ordering::Relaxed) || steady < self.steady.load(Ordering::Relaxed)
    }

    pub(crate) fn wake(&self) {
        self.lock().woken = true;
        self.bell.notify_one();
    }

    /// Takes note of a dropped receipt.
    pub(crate) fn abandon(&self, token: Token) {
        let mut state = self.lock();
        if !state.stop {
            state.abandoned.push(token);
            state.woken = true;
            self.bell.notify_one();
        }
    }

    /// The committer has counted deliveries.
    pub(crate) fn counted(&self) {
        self.counting.store(false, Ordering::Relaxed);
    }

    pub(crate) fn stop(&self) {
        self.lock().stop = true;
        self.bell.notify_one();
    }

    /// What the timer's thread runs.
    pub(crate) fn run(store: &Arc<Store>) {
        let _end = End(store.clone());
        let timer = &store.timer;
        let mut wait = Duration::ZERO;
        loop {
            let mut state = timer.lock();
            if !state.woken && !state.stop {
                state = timer.bell.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
            }
            if state.stop {
                return;
            }
            state.woken = false;
            let abandoned = std::mem::take(&mut state.abandoned);
            drop(state);
            for some in abandoned.chunks(STRIDE) {
                give_back(store, some);
            }
            wait = look(store);
        }
    }

    /// Notes when the timer looks again, with the index locked; answers how long that is.
    fn sleep_until(&self, index: &Index, now: Now) -> Duration {
        let (wall, steady) = self.next_moments(index);
        self.wall.store(wall, Ordering::Relaxed);
        self.steady.store(steady, Ordering::Relaxed);
        let mut wait = steady.saturating_sub(now.steady).min(3_600_000);
        if wall != u64::MAX {
            wait = wait.min(wall.saturating_sub(now.wall)).min(CLOCK_CHECK);
        }
        Duration::from_millis(wait)
    }

    /// The next moment by the wall clock and by the steady one. What the committer has been asked
    /// to count is no longer waited for.
    fn next_moments(&self, index: &Index) -> (u64, u64) {
        let asked = self.counting.load(Ordering::Relaxed);
        let count = index.uncounted_since().filter(|_| !asked).map(|since| since + COUNT_WITHIN);
        let steady = [count, index.leases.next_end()].into_iter().flatten().min();
        (index.next_due().unwrap_or(u64::MAX), steady.unwrap_or(u64::MAX))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without its timer a store would go on, and no message would ever become due or come back.
struct End(Arc<Store>);

impl Drop for End {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set_broken("its timer failed".to_owned());
            // Wakes the committer, which lets go of what waits and of the lock.
            self.0.ops.push(Op::Count { reply: None });
        }
    }
}

/// Does what is due by now; answers how long there is nothing more to do.
fn look(store: &Store) -> Duration {
    loop {
        let (more, count, wait) = store.with(|index, now| {
            index.follow_clock(now);
            let ripe = index.ripen(now, STRIDE);
            let over = index.expire(now, STRIDE);
            index.forget_settled();
            let since = index.uncounted_since();
            let count = since.is_some_and(|since| since + COUNT_WITHIN <= now.steady)
                && !store.timer.counting.swap(true, Ordering::Relaxed);
            (ripe || over, count, store.timer.sleep_until(index, now))
        });
        if count {
            store.ops.push(Op::Count { reply: None });
        }
        if !more {
            return wait;
        }
    }
}

/// Returns messages whose receipts were dropped, each after a back-off by how often it has been
/// handed out.
fn give_back(store: &Store, tokens: &[Token]) {
    let first = store.config.backoff_first.as_millis() as u64;
    let most = store.config.backoff_max.as_millis() as u64;
    store.with(|index, now| {
        for token in tokens {
            let Some(deliveries) = index.deliveries(*token) else { continue };
            let doublings = deliveries.saturating_sub(1).min(32);
            index.hold(*token, first.saturating_mul(1 << doublings).min(most), now);
        }
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::config::EmbeddedConfig;

    #[test]
    fn a_timer_that_fails_is_not_silent() {
        let index = Index::new(0);
        let store =
            Arc::new(Store::new(EmbeddedConfig::new("local", "shop", "/nowhere"), index, Instant::now(), 0));
        let timer = store.clone();
        let failed = std::thread::spawn(move || {
            let _end = End(timer);
            panic!("as the test wants it");
        });
        assert!(failed.join().is_err());
        assert!(store.is_broken());
    }
}
