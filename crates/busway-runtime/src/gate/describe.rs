//! How a gate stands, for operators.

use std::time::{Duration, Instant};

use busway_core::clock::{self, Millis};

use super::Gate;
use crate::breaker::Standing;

/// How a gate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    /// Deliveries go through.
    Open,
    /// An operator has paused it.
    Paused,
    /// The endpoint asked to be left alone until then.
    Quiet(Millis),
    /// The breaker is open until then, after so many failures.
    Broken(Millis, u32),
    /// One delivery decides.
    HalfOpen,
}

impl Gate {
    /// How it stands.
    pub(crate) fn stands(&self) -> Stands {
        let mut state = self.lock();
        let now = Instant::now();
        let at = |until: Instant| clock::now_ms().saturating_add(millis(until - now));
        if state.paused {
            return Stands::Paused;
        }
        if let Some(until) = state.quiet_until.filter(|until| *until > now) {
            return Stands::Quiet(at(until));
        }
        match state.breaker.standing(now) {
            Standing::Closed => Stands::Open,
            Standing::Open(until) => Stands::Broken(at(until), state.breaker.failures()),
            Standing::HalfOpen => Stands::HalfOpen,
        }
    }

    /// One word for how it stands, and why in more, as operators see it.
    pub(crate) fn describe(&self) -> (&'static str, Option<String>) {
        let left = |at: Millis| Duration::from_millis(at.saturating_sub(clock::now_ms()));
        match self.stands() {
            Stands::Paused => ("paused", Some("paused by an operator".to_owned())),
            Stands::Quiet(until) => {
                ("waiting", Some(format!("it asked to be left alone for {:.1?}", left(until))))
            }
            Stands::Broken(until, failures) => {
                ("closed", Some(format!("{failures} failures; a probe in {:.1?}", left(until))))
            }
            Stands::HalfOpen => ("half-open", Some("one probe decides".to_owned())),
            Stands::Open => ("open", None),
        }
    }
}

fn millis(wait: Duration) -> Millis {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}
