//! Interleaved runs: what disturbs the machine disturbs both sides.

use anyhow::Result;
use serde::Serialize;

use crate::run::{Latency, Run};

/// Which of the two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// busway.
    Subject,
    /// What it is compared with.
    Twin,
}

/// Runs of both sides; without a twin, of the subject alone.
#[derive(Debug, Default)]
pub struct Pairs {
    subject: Vec<Run>,
    twin: Vec<Run>,
}

/// The middle of some figures, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "their names say it")]
pub struct Spread {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

impl Pairs {
    /// Runs each side once uncounted, then subject and twin in turns.
    ///
    /// # Errors
    /// Those of a run.
    pub fn interleave(
        pairs: usize,
        with_twin: bool,
        mut run: impl FnMut(Side) -> Result<Run>,
    ) -> Result<Self> {
        let mut all = Self::default();
        for pair in 0..=pairs {
            let subject = run(Side::Subject)?;
            let twin = if with_twin { Some(run(Side::Twin)?) } else { None };
            if pair > 0 {
                all.subject.push(subject);
                all.twin.extend(twin);
            }
        }
        Ok(all)
    }

    /// All runs of a side.
    #[must_use]
    pub fn of(&self, side: Side) -> &[Run] {
        match side {
            Side::Subject => &self.subject,
            Side::Twin => &self.twin,
        }
    }

    /// Subject over twin of each pair, more is better: of the rates, or of the p99 of latencies,
    /// turned over.
    #[must_use]
    pub fn ratios(&self) -> Vec<f64> {
        let ratio = |(subject, twin): (&Run, &Run)| match (&subject.latency, &twin.latency) {
            (Some(subject), Some(twin)) => twin.percentiles().p99 / subject.percentiles().p99.max(1e-6),
            _ => subject.rate() / twin.rate(),
        };
        self.subject.iter().zip(&self.twin).map(ratio).collect()
    }

    /// A side's p99 of each pair over that of the twin's syncs.
    #[must_use]
    pub fn p99_in_syncs(&self, side: Side) -> Vec<f64> {
        let p99 = |latency: &Option<Latency>| latency.as_ref().map(|latency| latency.percentiles().p99);
        let both = |(run, twin): (&Run, &Run)| Some(p99(&run.latency)? / p99(&twin.syncs)?.max(1e-6));
        self.of(side).iter().zip(&self.twin).filter_map(both).collect()
    }

    /// The latencies of all runs of a side; none where it measured none.
    #[must_use]
    pub fn latency(&self, side: Side) -> Option<Latency> {
        let mut runs = self.of(side).iter().filter_map(|run| run.latency.as_ref());
        let mut all = runs.next()?.clone();
        runs.for_each(|latency| all.add(latency));
        Some(all)
    }
}

/// Their least, middle and most.
#[must_use]
pub fn spread(figures: &[f64]) -> Option<Spread> {
    let sorted = sorted(figures);
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let middle = sorted.len() / 2;
    let below = sorted[if sorted.len().is_multiple_of(2) { middle - 1 } else { middle }];
    Some(Spread { min, median: f64::midpoint(below, sorted[middle]), max })
}

/// The figure that their true median lies at or below, with 90 % confidence, whatever their
/// distribution; none where there are too few (below four).
#[must_use]
pub fn upper_bound(figures: &[f64]) -> Option<f64> {
    let sorted = sorted(figures);
    let n = sorted.len();
    // The k-th smallest is no lower than the median when fewer than k figures fall below it.
    let (mut chance, mut below) = (0.5_f64.powi(i32::try_from(n).ok()?), 0.0);
    for k in 1..=n {
        below += chance;
        if below >= 0.9 {
            return Some(sorted[k - 1]);
        }
        chance *= crate::run::count((n - k + 1) as u64) / crate::run::count(k as u64);
    }
    None
}

/// As [`upper_bound`], from below.
#[must_use]
pub fn lower_bound(figures: &[f64]) -> Option<f64> {
    let turned: Vec<f64> = figures.iter().map(|figure| -figure).collect();
    upper_bound(&turned).map(|bound| -bound)
}

fn sorted(figures: &[f64]) -> Vec<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stopwatch;

    #[test]
    fn sides_take_turns_and_the_first_round_does_not_count() {
        let mut order = Vec::new();
        let pairs = Pairs::interleave(2, true, |side| {
            order.push(side);
            Ok(Stopwatch::start().stop(order.len() as u64))
        });
        let pairs = pairs.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(order, [Side::Subject, Side::Twin].repeat(3));
        assert_eq!(pairs.of(Side::Subject).iter().map(|run| run.messages).collect::<Vec<_>>(), [3, 5]);
        assert_eq!(pairs.of(Side::Twin).iter().map(|run| run.messages).collect::<Vec<_>>(), [4, 6]);
        assert_eq!(pairs.ratios().len(), 2);
    }

    #[test]
    fn the_bound_is_the_eleventh_of_fifteen() {
        let figures: Vec<f64> = (1..=15).rev().map(f64::from).collect();
        // Binomial(15, 1/2): at most 9 below has 0.849, at most 10 has 0.941.
        assert_eq!(upper_bound(&figures), Some(11.0));
        assert_eq!(lower_bound(&figures), Some(5.0));
        assert_eq!(upper_bound(&[1.0, 2.0, 3.0]), None);
        assert_eq!(upper_bound(&[1.0, 2.0, 3.0, 4.0]), Some(4.0));
        assert_eq!(spread(&figures), Some(Spread { min: 1.0, median: 8.0, max: 15.0 }));
        assert_eq!(spread(&[4.0, 1.0]), Some(Spread { min: 1.0, median: 2.5, max: 4.0 }));
        assert_eq!(spread(&[]), None);
    }
}
