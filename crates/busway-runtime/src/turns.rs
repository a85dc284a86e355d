//! Whose turn it is among accounts, told to every receiver of `delayed` that is open.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use busway_core::transport::Turns;
use busway_core::{ErrorKind, Receiver};

/// The turns in force and who must know them.
#[derive(Default)]
pub(crate) struct TurnsBoard(Mutex<State>);

#[derive(Default)]
struct State {
    turns: Turns,
    receivers: Vec<Weak<dyn Receiver>>,
}

impl TurnsBoard {
    /// Tells a new receiver, now and at every change.
    pub(crate) fn apply(&self, receiver: &Arc<dyn Receiver>) {
        let mut state = self.lock();
        state.receivers.retain(|known| known.strong_count() > 0);
        state.receivers.push(Arc::downgrade(receiver));
        tell(receiver, state.turns.clone());
    }

    /// Changes the turns.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Turns)) {
        let mut state = self.lock();
        change(&mut state.turns);
        for receiver in state.receivers.iter().filter_map(Weak::upgrade) {
            tell(&receiver, state.turns.clone());
        }
    }

    pub(crate) fn paused(&self, account: &str) -> bool {
        self.lock().turns.paused.contains(account)
    }

    pub(crate) fn turns(&self) -> Turns {
        self.lock().turns.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(receiver: &Arc<dyn Receiver>, turns: Turns) {
    match receiver.set_turns(turns) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::Unsupported || error.kind() == ErrorKind::Closed => {}
        Err(error) => tracing::warn!(%error, "a receiver did not take the turns of accounts"),
    }
}
