//! The gate of one endpoint: how much may be on its way to it, now.
//!
//! A message *enters* when it is given to the subscriber, directly from `priority` or read back
//! from `delayed`; it leaves when its delivery has an outcome. There is room for twice as many as
//! may be under way, but not for more than its endpoint's part of the credit. Messages read back may fill one half of it; so may direct ones while others
//! wait in `delayed`: neither way starves the other. The last quarter is kept for direct messages of
//! accounts that have less than that inside, and accounts over their share may fill half of what direct
//! ones may, so that one that floods does not shut the others out.

mod describe;
mod held;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use busway_core::{DeliveryError, Reason};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::breaker::{Breaker, Standing};
use crate::options::Room;

pub(crate) use describe::Stands;
pub(crate) use held::{Call, Ticket};

/// The longest rest an endpoint can ask for.
pub(crate) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// How a message comes to the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From `priority`.
    Direct,
    /// From `priority`, of an account over its share.
    Loud,
    /// From `delayed`.
    ReadBack,
}

/// The gate of one endpoint.
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Notify,
}

/// How much a gate lets through.
#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    calls: usize,
    batch: usize,
    most: Room,
}

#[derive(Default)]
struct State {
    limits: Limits,
    /// Inside since the breaker opened last, by the way they came.
    direct: usize,
    loud: usize,
    /// All messages inside that came from `priority`, by account.
    accounts: HashMap<Box<str>, usize>,
    read_back: usize,
    /// Bytes of all that is inside and came from `priority`.
    bytes: usize,
    calls: usize,
    /// How often the breaker has opened. What entered and was called before it did is not counted
    /// in the above any more, but below: it says nothing of how the endpoint is now.
    openings: u64,
    earlier: usize,
    earlier_calls: usize,
    backlog: bool,
    paused: bool,
    quiet_until: Option<Instant>,
    breaker: Breaker,
    slow_start: Option<usize>,
}

impl Gate {
    /// A gate for at most `limit` calls at once of at most `batch` messages each, and for no
    /// more than `most` in all.
    pub(crate) fn new(limit: usize, batch: usize, most: Room) -> Arc<Self> {
        let state = State { limits: Limits { calls: limit, batch, most }, ..State::default() };
        Arc::new(Self { state: Mutex::new(state), changed: Notify::new() })
    }

    /// Changes how much it lets through; what is inside and under way stays, and so does what the gate
    /// has learned.
    pub(crate) fn resize(&self, limit: usize, batch: usize, most: Room) {
        self.lock().limits = Limits { calls: limit, batch, most };
        self.changed.notify_waiters();
    }

    /// Lets one message of this account and of so many bytes in, or says why it must wait elsewhere.
    /// The bytes of what is read back are not looked at here.
    pub(crate) fn enter(self: &Arc<Self>, way: Way, account: &str, bytes: usize) -> Result<Ticket, Reason> {
        let mut state = self.lock();
        let inside = state.accounts.get(account).copied().unwrap_or_default();
        let newcomer = way == Way::Direct && inside < self.kept(&mut state);
        let bytes = if way == Way::ReadBack { 0 } else { bytes };
        // One of any size gets through when nothing else is inside.
        let heavy = bytes > 0 && state.bytes > 0 && state.bytes + bytes > state.limits.most.bytes;
        if heavy || self.room(&mut state, way, newcomer, Instant::now()) == 0 {
            return Err(if state.closed() { Reason::Breaker } else { Reason::Saturated });
        }
        let account = match way {
            Way::ReadBack => {
                state.read_back += 1;
                None
            }
            Way::Direct | Way::Loud => {
                *(if way == Way::Loud { &mut state.loud } else { &mut state.direct }) += 1;
                *state.accounts.entry(account.into()).or_default() += 1;
                Some(account.into())
            }
        };
        state.bytes += bytes;
        Ok(Ticket { gate: Arc::clone(self), opening: state.openings, way, account, bytes })
    }

    /// Waits until messages may be read back, then takes as many places as there are, up to `max`.
    ///
    /// Cancelling it takes nothing.
    pub(crate) async fn read_back_places(self: &Arc<Self>, max: usize) -> Vec<Ticket> {
        let take = || {
            let places: Vec<Ticket> =
                std::iter::from_fn(|| self.enter(Way::ReadBack, "", 0).ok()).take(max).collect();
            (!places.is_empty()).then_some(places)
        };
        self.once(take).await
    }

    /// Waits until what has entered may be delivered.
    ///
    /// Cancelling it loses nothing.
    pub(crate) async fn open(&self) {
        self.once(|| (!self.shut()).then_some(())).await;
    }

    /// Waits until a place or a call is given back, or how the gate stands changes.
    ///
    /// Cancelling it loses nothing.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Looks whenever the gate changes or opens by itself, until there is what is looked for.
    async fn once<T>(&self, look: impl Fn() -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(found) = look() {
                return found;
            }
            match self.opens_at() {
                Some(at) => {
                    let _timed_out = tokio::time::timeout_at(at.into(), changed).await;
                }
                None => changed.await,
            }
        }
    }

    /// Starts a call, where one more may run.
    pub(crate) fn call(self: &Arc<Self>) -> Option<Call> {
        let mut state = self.lock();
        let all = state.calls + state.earlier_calls;
        if state.paused
            || self.is_quiet(&state)
            || all >= state.limits.calls
            || state.calls >= self.calls_now(&mut state)
        {
            return None;
        }
        state.calls += 1;
        Some(Call { gate: Arc::clone(self), opening: state.openings })
    }

    /// Why what has entered may not be delivered now, if so: it is to be parked.
    pub(crate) fn shut(&self) -> bool {
        let mut state = self.lock();
        let now = Instant::now();
        state.paused || self.is_quiet(&state) || matches!(state.breaker.standing(now), Standing::Open(_))
    }

    /// Learns from the result of one delivery of a call that began after so many openings of the
    /// breaker: while it is not closed, only results of calls begun since it opened decide.
    pub(crate) fn learn(&self, opening: u64, result: &Result<(), DeliveryError>) {
        let mut state = self.lock();
        let now = Instant::now();
        let counts = opening == state.openings || state.breaker.standing(now) == Standing::Closed;
        match result {
            Ok(()) if counts => {
                if state.breaker.succeeded() {
                    state.slow_start = Some(1);
                } else if let Some(calls) = state.slow_start {
                    state.slow_start = (calls * 2 < state.limits.calls).then_some(calls * 2);
                }
            }
            Ok(()) => {}
            Err(error) => {
                if let Some(wait) = error.retry_after {
                    let until = now + wait.min(LONGEST_RETRY_AFTER);
                    state.quiet_until = Some(state.quiet_until.map_or(until, |before| before.max(until)));
                }
                let ill =
                    error.verdict != busway_core::endpoint::Verdict::Reject && error.retry_after.is_none();
                if counts && ill && state.breaker.failed(now) {
                    state.opened();
                }
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Places that messages of an account over its share could take now.
    pub(crate) fn free_to_loud(&self) -> usize {
        self.room(&mut self.lock(), Way::Loud, false, Instant::now())
    }

    /// Whether messages wait in `delayed` that could be delivered.
    pub(crate) fn set_backlog(&self, backlog: bool) {
        self.lock().backlog = backlog;
    }

    /// Pauses or resumes.
    pub(crate) fn set_paused(&self, paused: bool) {
        self.lock().paused = paused;
        self.changed.notify_waiters();
    }

    /// Calls under way, and how many may be.
    pub(crate) fn calls(&self) -> (usize, usize) {
        let mut state = self.lock();
        let limit = self.calls_now(&mut state);
        (state.calls + state.earlier_calls, limit)
    }

    /// What a later process should know: until when the endpoint is to be left alone, until when its
    /// breaker is open, and what the breaker has seen.
    pub(crate) fn memory(&self) -> Value {
        let mut state = self.lock();
        let now = Instant::now();
        let left = |until: Instant| u64::try_from((until - now).as_millis()).unwrap_or(u64::MAX);
        let now_ms = busway_core::clock::now_ms();
        let quiet = state.quiet_until.filter(|until| *until > now).map(|until| now_ms + left(until));
        let open = match state.breaker.standing(now) {
            Standing::Open(until) => Some(now_ms + left(until)),
            Standing::HalfOpen => Some(now_ms),
            Standing::Closed => None,
        };
        json!({ "quiet_until": quiet, "breaker_until": open, "breaker": state.breaker.seen() })
    }

    /// Takes over what a process before this one knew.
    pub(crate) fn restore(&self, memory: &Value) {
        let now_ms = busway_core::clock::now_ms();
        let left =
            |key: &str| memory[key].as_u64().map(|at| Duration::from_millis(at.saturating_sub(now_ms)));
        let mut state = self.lock();
        let now = Instant::now();
        state.quiet_until = left("quiet_until").map(|wait| now + wait.min(LONGEST_RETRY_AFTER));
        if let Ok(seen) = serde_json::from_value(memory["breaker"].clone()) {
            state.breaker.recall(seen);
        }
        if let Some(wait) = left("breaker_until") {
            state.breaker.restore(wait, now);
        }
    }

    /// Places free to a message that comes this way; a newcomer's account has nothing inside.
    fn room(&self, state: &mut State, way: Way, newcomer: bool, now: Instant) -> usize {
        if state.paused || self.is_quiet(state) {
            return 0;
        }
        let direct = state.direct + state.loud;
        let inside = direct + state.read_back;
        match state.breaker.standing(now) {
            Standing::Open(_) => 0,
            Standing::HalfOpen => usize::from(inside == 0 && (way == Way::ReadBack || !state.backlog)),
            Standing::Closed => {
                let places = self.places(state);
                let Limits { calls, batch, most } = state.limits;
                let full = (calls * batch * 2).min(most.messages);
                let free = places.min(full.saturating_sub(state.earlier)).saturating_sub(inside);
                let kept = self.kept(state);
                let for_direct = if state.backlog { places / 2 } else { places };
                let common = free.saturating_sub(kept);
                match way {
                    Way::ReadBack => {
                        // Direct messages beyond their half have filled what is kept for them.
                        let filled = direct.saturating_sub(for_direct);
                        let common = free.saturating_sub(kept.saturating_sub(filled));
                        common.min((places / 2).saturating_sub(state.read_back))
                    }
                    Way::Direct if newcomer => free.min((for_direct + kept).saturating_sub(direct)),
                    Way::Direct => common.min(for_direct.saturating_sub(direct)),
                    Way::Loud => common.min((for_direct / 2).saturating_sub(state.loud)),
                }
            }
        }
    }

    fn places(&self, state: &mut State) -> usize {
        (self.calls_now(state) * state.limits.batch * 2).min(state.limits.most.messages)
    }

    /// Places kept for accounts that have few inside.
    fn kept(&self, state: &mut State) -> usize {
        // Of two or three places, one kept would be the one for the backlog.
        (self.places(state) / 4).max(usize::from(!state.backlog))
    }

    fn calls_now(&self, state: &mut State) -> usize {
        match state.breaker.standing(Instant::now()) {
            Standing::Closed => state.slow_start.unwrap_or(state.limits.calls).min(state.limits.calls),
            _ => 1,
        }
    }

    fn is_quiet(&self, state: &State) -> bool {
        state.quiet_until.is_some_and(|until| until > Instant::now())
    }

    /// When a gate that is shut opens by itself.
    fn opens_at(&self) -> Option<Instant> {
        let mut state = self.lock();
        let now = Instant::now();
        let breaker = match state.breaker.standing(now) {
            Standing::Open(until) => Some(until),
            _ => None,
        };
        breaker.max(state.quiet_until.filter(|until| *until > now))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The breaker has opened: what is inside and under way belongs to the time before.
    fn opened(&mut self) {
        self.openings += 1;
        self.earlier += std::mem::take(&mut self.direct);
        self.earlier += std::mem::take(&mut self.loud);
        self.earlier += std::mem::take(&mut self.read_back);
        self.earlier_calls += std::mem::take(&mut self.calls);
    }

    fn closed(&mut self) -> bool {
        let now = Instant::now();
        self.paused
            || self.quiet_until.is_some_and(|until| until > now)
            || self.breaker.standing(now) != Standing::Closed
    }
}
