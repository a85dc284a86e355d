//! The gate of one endpoint: how much may be on its way to it, now.
//!
//! A message *enters* when it is given to the subscriber, directly from `priority` or read back
//! from `delayed`; it leaves when its delivery has an outcome. There is room for twice as many as
//! may be under way, but not for more than its endpoint's part of the credit. Messages read back may fill one half of it; so may direct ones while others
//! wait in `delayed`: neither way starves the other. The last quarter is kept for direct messages of
//! accounts that have less than that inside, and accounts over their share may fill half of what direct
//! ones may, so that one that floods does not shut the others out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use busway_core::{DeliveryError, Reason};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::breaker::{Breaker, Standing};
use crate::options::Room;

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
    limit: usize,
    batch: usize,
    most: Room,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    direct: usize,
    loud: usize,
    /// Messages inside that came from `priority`, by account.
    accounts: HashMap<Box<str>, usize>,
    read_back: usize,
    /// Bytes inside that came from `priority`.
    bytes: usize,
    calls: usize,
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
        Arc::new(Self { limit, batch, most, state: Mutex::default(), changed: Notify::new() })
    }

    /// Lets one message of this account and of so many bytes in, or says why it must wait elsewhere.
    /// The bytes of what is read back are not looked at here.
    pub(crate) fn enter(self: &Arc<Self>, way: Way, account: &str, bytes: usize) -> Result<Ticket, Reason> {
        let mut state = self.lock();
        let inside = state.accounts.get(account).copied().unwrap_or_default();
        let newcomer = way == Way::Direct && inside < self.kept(&mut state);
        let bytes = if way == Way::ReadBack { 0 } else { bytes };
        // One of any size gets through when nothing else is inside.
        let heavy = bytes > 0 && state.bytes > 0 && state.bytes + bytes > self.most.bytes;
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
        Ok(Ticket { gate: Arc::clone(self), way, account, bytes })
    }

    /// Waits until messages may be read back, then takes as many places as there are, up to `max`.
    ///
    /// Cancelling it takes nothing.
    pub(crate) async fn read_back_places(self: &Arc<Self>, max: usize) -> Vec<Ticket> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let places: Vec<Ticket> =
                std::iter::from_fn(|| self.enter(Way::ReadBack, "", 0).ok()).take(max).collect();
            if !places.is_empty() {
                return places;
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
        if state.paused || self.is_quiet(&state) || state.calls >= self.calls_now(&mut state) {
            return None;
        }
        state.calls += 1;
        Some(Call(Arc::clone(self)))
    }

    /// Why what has entered may not be delivered now, if so: it is to be parked.
    pub(crate) fn shut(&self) -> bool {
        let mut state = self.lock();
        let now = Instant::now();
        state.paused || self.is_quiet(&state) || matches!(state.breaker.standing(now), Standing::Open(_))
    }

    /// Learns from the result of one delivery.
    pub(crate) fn learn(&self, result: &Result<(), DeliveryError>) {
        let mut state = self.lock();
        match result {
            Ok(()) => {
                if state.breaker.succeeded() {
                    state.slow_start = Some(1);
                } else if let Some(calls) = state.slow_start {
                    state.slow_start = (calls * 2 < self.limit).then_some(calls * 2);
                }
            }
            Err(error) => {
                if let Some(wait) = error.retry_after {
                    let until = Instant::now() + wait.min(LONGEST_RETRY_AFTER);
                    state.quiet_until = Some(state.quiet_until.map_or(until, |before| before.max(until)));
                }
                if error.verdict != busway_core::endpoint::Verdict::Reject && error.retry_after.is_none() {
                    state.breaker.failed(Instant::now());
                }
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Places that a direct message could take now.
    pub(crate) fn free(&self) -> usize {
        self.room(&mut self.lock(), Way::Direct, true, Instant::now())
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

    /// One word for how it stands, and why in more, as operators see it.
    pub(crate) fn describe(&self) -> (&'static str, Option<String>) {
        let mut state = self.lock();
        let now = Instant::now();
        if state.paused {
            return ("paused", Some("paused by an operator".to_owned()));
        }
        if let Some(until) = state.quiet_until.filter(|until| *until > now) {
            return ("waiting", Some(format!("it asked to be left alone for {:.1?}", until - now)));
        }
        match state.breaker.standing(now) {
            Standing::Closed => ("open", None),
            Standing::Open(until) => {
                ("closed", Some(format!("too many failures; a probe in {:.1?}", until - now)))
            }
            Standing::HalfOpen => ("half-open", Some("one probe decides".to_owned())),
        }
    }

    /// Calls under way, and how many may be.
    pub(crate) fn calls(&self) -> (usize, usize) {
        let mut state = self.lock();
        let limit = self.calls_now(&mut state);
        (state.calls, limit)
    }

    /// What a later process should know: for how many milliseconds the endpoint is to be left
    /// alone, and whether its breaker was open.
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
        json!({ "quiet_until": quiet, "breaker_until": open })
    }

    /// Takes over what a process before this one knew.
    pub(crate) fn restore(&self, memory: &Value) {
        let now_ms = busway_core::clock::now_ms();
        let left =
            |key: &str| memory[key].as_u64().map(|at| Duration::from_millis(at.saturating_sub(now_ms)));
        let mut state = self.lock();
        let now = Instant::now();
        state.quiet_until = left("quiet_until").map(|wait| now + wait.min(LONGEST_RETRY_AFTER));
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
                let free = places.saturating_sub(inside);
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
        (self.calls_now(state) * self.batch * 2).min(self.most.messages)
    }

    /// Places kept for accounts that have few inside.
    fn kept(&self, state: &mut State) -> usize {
        // Of two or three places, one kept would be the one for the backlog.
        (self.places(state) / 4).max(usize::from(!state.backlog))
    }

    fn calls_now(&self, state: &mut State) -> usize {
        match state.breaker.standing(Instant::now()) {
            Standing::Closed => state.slow_start.unwrap_or(self.limit).min(self.limit),
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
    fn closed(&mut self) -> bool {
        let now = Instant::now();
        self.paused
            || self.quiet_until.is_some_and(|until| until > now)
            || self.breaker.standing(now) != Standing::Closed
    }
}

/// A place behind the gate; given back when dropped.
pub(crate) struct Ticket {
    gate: Arc<Gate>,
    way: Way,
    account: Option<Box<str>>,
    bytes: usize,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        {
            let mut state = self.gate.lock();
            match self.way {
                Way::Direct => state.direct -= 1,
                Way::Loud => state.loud -= 1,
                Way::ReadBack => state.read_back -= 1,
            }
            state.bytes -= self.bytes;
            if let Some(account) = self.account.take()
                && let Some(inside) = state.accounts.get_mut(&account)
            {
                *inside -= 1;
                if *inside == 0 {
                    state.accounts.remove(&account);
                }
            }
        }
        self.gate.changed.notify_waiters();
    }
}

/// A call under way; ended when dropped.
pub(crate) struct Call(Arc<Gate>);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.lock().calls -= 1;
        self.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn plain(limit: usize) -> Arc<Gate> {
        Gate::new(limit, 1, Room { messages: 100, bytes: 1000 })
    }

    fn fill(gate: &Arc<Gate>, way: Way, account: &str) -> Vec<Ticket> {
        std::iter::from_fn(|| gate.enter(way, account, 10).ok()).collect()
    }

    #[test]
    fn direct_messages_and_a_backlog_have_half_the_room_each() {
        let gate = plain(4);
        gate.set_backlog(true);
        let direct = fill(&gate, Way::Direct, "a");
        assert_eq!(direct.len(), 4);
        drop(direct);
        let read_back = fill(&gate, Way::ReadBack, "");
        assert_eq!(read_back.len(), 4);
        let direct = fill(&gate, Way::Direct, "a");
        assert_eq!(direct.len(), 2);
        assert_eq!(gate.enter(Way::ReadBack, "", 0).err(), Some(Reason::Saturated));
        assert_eq!(gate.enter(Way::Direct, "a", 10).err(), Some(Reason::Saturated));
        assert!(gate.enter(Way::Direct, "b", 10).is_ok(), "a place is kept for who has few inside");
    }

    #[test]
    fn one_account_leaves_room_to_the_others_and_a_loud_one_half() {
        let gate = plain(4);
        let alone = fill(&gate, Way::Direct, "a");
        assert_eq!(alone.len(), 6, "enough to keep four calls busy");
        let other = gate.enter(Way::Direct, "b", 10);
        assert!(other.is_ok());
        drop((alone, other));
        assert_eq!(fill(&gate, Way::Loud, "a").len(), 4);
        assert_eq!(gate.free(), 8, "a place is free again when its ticket is dropped");
    }

    #[test]
    fn newcomers_leave_room_to_a_backlog() {
        for (limit, least) in [(1, 1), (4, 2), (16, 8)] {
            let gate = plain(limit);
            gate.set_backlog(true);
            let newcomers: Vec<_> =
                (0..100).filter_map(|n| gate.enter(Way::Direct, &format!("a{n}"), 10).ok()).collect();
            assert!(newcomers.len() >= limit, "{} of {limit} calls", newcomers.len());
            assert_eq!(fill(&gate, Way::ReadBack, "").len(), least, "{limit} calls");
        }
    }

    #[test]
    fn a_gate_holds_no_more_than_its_part_of_the_credit() {
        let few = Gate::new(2, 512, Room { messages: 8, bytes: 1000 });
        assert_eq!(fill(&few, Way::Direct, "a").len(), 6);
        let heavy = Gate::new(2, 512, Room { messages: 100, bytes: 25 });
        let direct = fill(&heavy, Way::Direct, "a");
        assert_eq!(direct.len(), 2);
        assert_eq!(heavy.enter(Way::Direct, "b", 10).err(), Some(Reason::Saturated));
        drop(direct);
        assert!(heavy.enter(Way::Direct, "b", 100).is_ok(), "one of any size, alone");
    }

    #[test]
    fn a_paused_gate_lets_nothing_in_and_remembers_nothing_wrong() {
        let gate = plain(2);
        gate.set_paused(true);
        assert_eq!(gate.enter(Way::ReadBack, "", 0).err(), Some(Reason::Breaker));
        gate.set_paused(false);
        assert!(gate.enter(Way::ReadBack, "", 0).is_ok());
    }

    #[test]
    fn retry_after_survives_into_the_next_process() {
        let gate = plain(2);
        gate.learn(&Err(DeliveryError::retry("status-503", "busy").after(Duration::from_secs(60))));
        assert!(gate.enter(Way::Direct, "a", 10).is_err());
        let next = plain(2);
        next.restore(&gate.memory());
        assert!(next.enter(Way::Direct, "a", 10).is_err());
        assert_eq!(next.describe().0, "waiting");
    }

    #[tokio::test]
    async fn a_half_open_breaker_lets_one_probe_through() {
        let gate = plain(4);
        for _ in 0..10 {
            gate.learn(&Err(DeliveryError::retry("refused", "refused")));
        }
        assert!(gate.shut());
        let probe = tokio::time::timeout(Duration::from_secs(5), gate.read_back_places(10)).await.unwrap();
        assert_eq!(probe.len(), 1);
        assert!(gate.enter(Way::ReadBack, "", 0).is_err());
        gate.learn(&Ok(()));
        drop(probe);
        assert_eq!(gate.calls().1, 1, "a slow start");
        gate.learn(&Ok(()));
        assert_eq!(gate.calls().1, 2);
        gate.learn(&Ok(()));
        assert_eq!(gate.calls().1, 4);
    }
}
