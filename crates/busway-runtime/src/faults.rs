//! Faults that tests inject into a running bus, to see that nothing is lost by them.

use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

/// A script of panics and hangs by place; cheap to clone, empty by default.
///
/// Places: `producer`, `intake`, `router`, `subscriber`, `settler`, `read-back` (each in the
/// actor's message handler), `PLACE.started` (in its `started`), and `delivery` (in the spawned
/// delivery future).
#[derive(Clone, Default)]
pub struct Faults(Option<Arc<Mutex<HashMap<&'static str, Plan>>>>);

#[derive(Default)]
struct Plan {
    passes: u64,
    every: u64,
    left: u64,
    hits: u64,
    hang: Option<Receiver<()>>,
}

impl Faults {
    /// An empty script that faults can be added to while the bus runs.
    #[must_use]
    pub fn scripted() -> Self {
        Self(Some(Arc::default()))
    }

    /// Panics at `place` on every `every`-th pass, `times` times in all.
    pub fn panic_at(&self, place: &'static str, every: u64, times: u64) {
        if let Some(plans) = &self.0 {
            let mut plans = plans.lock().unwrap_or_else(PoisonError::into_inner);
            let plan = plans.entry(place).or_default();
            plan.every = every.max(1);
            plan.left = times;
        }
    }

    /// Hangs at `place` on the next pass, until the sender of `until` is dropped.
    pub fn hang_at(&self, place: &'static str, until: Receiver<()>) {
        if let Some(plans) = &self.0 {
            let mut plans = plans.lock().unwrap_or_else(PoisonError::into_inner);
            plans.entry(place).or_default().hang = Some(until);
        }
    }

    /// How often a fault was injected at `place`.
    #[must_use]
    pub fn hits(&self, place: &'static str) -> u64 {
        self.0.as_ref().map_or(0, |plans| {
            plans.lock().unwrap_or_else(PoisonError::into_inner).get(place).map_or(0, |plan| plan.hits)
        })
    }

    /// Passes `place`.
    ///
    /// # Panics
    /// Where the script says so.
    pub(crate) fn pass(&self, place: &'static str) {
        let Some(plans) = &self.0 else { return };
        let (strike, hang) = {
            let mut plans = plans.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(plan) = plans.get_mut(place) else { return };
            plan.passes += 1;
            let strike = plan.left > 0 && plan.passes % plan.every == 0;
            if strike {
                plan.left -= 1;
                plan.hits += 1;
            }
            (strike, plan.hang.take())
        };
        if let Some(until) = hang {
            // The error is the sender's end.
            until.recv().ok();
        }
        assert!(!strike, "a fault injected at {place}");
    }
}
