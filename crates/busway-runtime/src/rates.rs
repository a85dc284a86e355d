//! Messages a second into and out of each queue, over the last ten seconds.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::figures::Totals;

const SECONDS: usize = 10;

/// Samples of the totals, one a second.
#[derive(Default)]
pub(crate) struct Rates(Mutex<VecDeque<(Instant, Sample)>>);

#[derive(Clone, Copy, Default)]
struct Sample {
    published: u64,
    received: u64,
    parked: u64,
    read_back: u64,
    dead: u64,
}

/// Rates in and out of one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct InOut {
    pub(crate) in_rate: f64,
    pub(crate) out_rate: f64,
}

impl Rates {
    /// Takes a sample; called once a second.
    pub(crate) fn sample(&self, totals: &Totals) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        samples.push_back((Instant::now(), now(totals)));
        if samples.len() > SECONDS {
            samples.pop_front();
        }
    }

    /// Rates of `priority`, `delayed` and `dead`.
    pub(crate) fn of(&self, totals: &Totals) -> [InOut; 3] {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((since, before)) = samples.front().copied() else { return Default::default() };
        let seconds = since.elapsed().as_secs_f64().max(0.001);
        let after = now(totals);
        #[expect(clippy::cast_precision_loss, reason = "counts of ten seconds are far below 2^52")]
        let rate = |after: u64, before: u64| after.saturating_sub(before) as f64 / seconds;
        [
            InOut {
                in_rate: rate(after.published, before.published),
                out_rate: rate(after.received, before.received),
            },
            InOut {
                in_rate: rate(after.parked, before.parked),
                out_rate: rate(after.read_back, before.read_back),
            },
            InOut { in_rate: rate(after.dead, before.dead), out_rate: 0.0 },
        ]
    }
}

fn now(totals: &Totals) -> Sample {
    Sample {
        published: totals.published.get(),
        received: totals.received.get(),
        parked: totals.parked.get(),
        read_back: totals.read_back.get(),
        dead: totals.dead.get(),
    }
}
