//! Idle connections of one endpoint, bounded in number and age.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::link::Link;

/// Idle connections, the latest used first.
pub(super) struct Pool {
    state: Mutex<State>,
    max_idle: usize,
    max_age: Duration,
}

#[derive(Default)]
struct State {
    idle: Vec<Link>,
    /// A task is there that closes what is too old.
    swept: bool,
    closed: bool,
}

impl Pool {
    pub(super) fn new(max_idle: usize, max_age: Duration) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), max_idle, max_age })
    }

    /// A connection that can carry a request as far as anyone can know on this side: it could when it
    /// was put here, and nothing has come since.
    pub(super) fn take(&self) -> Option<Link> {
        loop {
            let link = self.lock().idle.pop()?;
            if link.idle_since.elapsed() < self.max_age && link.meter.quiet() {
                return Some(link);
            }
        }
    }

    /// Keeps a connection whose answer was read to its end.
    pub(super) fn put(self: &Arc<Self>, mut link: Link) {
        link.idle_since = Instant::now();
        link.reused = true;
        let mut state = self.lock();
        if state.closed || state.idle.len() >= self.max_idle {
            return;
        }
        state.idle.push(link);
        if !std::mem::replace(&mut state.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self), self.max_age));
        }
    }

    /// Closes all of them and keeps none any more.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        drop(idle);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what is too old; returns whether any are left.
    fn expire(&self) -> bool {
        let mut state = self.lock();
        let old = state.idle.iter().take_while(|link| link.idle_since.elapsed() >= self.max_age).count();
        let old: Vec<Link> = state.idle.drain(..old).collect();
        state.swept = !state.idle.is_empty();
        let left = state.swept;
        drop(state);
        drop(old);
        left
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("idle", &self.lock().idle.len()).finish_non_exhaustive()
    }
}

/// Runs while there are idle connections and somebody holds the pool.
async fn sweep(pool: Weak<Pool>, every: Duration) {
    loop {
        sleep(every).await;
        if !pool.upgrade().is_some_and(|pool| pool.expire()) {
            return;
        }
    }
}
