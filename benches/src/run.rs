//! One run of one side, and how it is timed.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// What one run of one side came to.
#[derive(Clone, Debug)]
pub struct Run {
    /// Messages that went through.
    pub messages: u64,
    /// Wall clock.
    pub elapsed: Duration,
    /// User and system time of this process.
    pub cpu: Duration,
    /// Messages that were confirmed and did not come.
    pub lost: u64,
    /// Messages that came once more than they should.
    pub duplicated: u64,
    /// Of an open loop: how long each message took from the moment it was meant to be sent.
    pub latency: Option<Latency>,
    /// How long each sync took, where the side tells.
    pub syncs: Option<Latency>,
}

impl Run {
    /// Adds what a [`Tally`](crate::Tally) has counted.
    #[must_use]
    pub fn counted(mut self, lost: u64, duplicated: u64) -> Self {
        (self.lost, self.duplicated) = (lost, duplicated);
        self
    }

    /// Makes it a measure of latency.
    #[must_use]
    pub fn latency(mut self, latency: Latency) -> Self {
        self.latency = Some(latency);
        self
    }

    /// Messages a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        count(self.messages) / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Microseconds of CPU a message.
    #[must_use]
    pub fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / count(self.messages.max(1))
    }
}

/// Runs while a side is measured; prepare before it is started, and check after it has stopped.
#[derive(Debug)]
pub struct Stopwatch {
    begun: Instant,
    cpu: Duration,
}

impl Stopwatch {
    /// Starts both clocks: the wall's and that of this process's CPU time.
    #[must_use]
    pub fn start() -> Self {
        Self { cpu: process_cpu(), begun: Instant::now() }
    }

    /// Stops them; `messages` have gone through since the start.
    #[must_use]
    pub fn stop(self, messages: u64) -> Run {
        let elapsed = self.begun.elapsed();
        let cpu = process_cpu().saturating_sub(self.cpu);
        Run { messages, elapsed, cpu, lost: 0, duplicated: 0, latency: None, syncs: None }
    }
}

/// Latencies of many messages, to three digits.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "their names say it")]
pub struct Percentiles {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
}

impl Default for Latency {
    fn default() -> Self {
        let mut histogram = Histogram::new_with_bounds(1, 3_600_000_000_000, 3)
            .or_else(|_| Histogram::new(3))
            .unwrap_or_else(|error| unreachable!("three digits are allowed: {error}"));
        histogram.auto(true);
        Self(histogram)
    }
}

impl Latency {
    /// Adds one message.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds all of another run.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds, so nothing of it can be out of them.
        self.0.add(&other.0).unwrap_or_else(|error| unreachable!("the bounds are the same: {error}"));
    }

    /// Its percentiles.
    #[must_use]
    pub fn percentiles(&self) -> Percentiles {
        let ms = |quantile| count(self.0.value_at_quantile(quantile)) / 1e6;
        Percentiles { p50: ms(0.5), p99: ms(0.99), p999: ms(0.999) }
    }
}

/// As a number to divide by.
pub(crate) fn count(messages: u64) -> f64 {
    messages as f64
}

fn process_cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_count_work() {
        let watch = Stopwatch::start();
        while watch.begun.elapsed() < Duration::from_millis(5) || process_cpu() == watch.cpu {
            std::hint::spin_loop();
        }
        let worked = watch.stop(10);
        assert!(worked.cpu_us() > 0.0 && worked.rate() > 0.0, "{worked:?}");
    }

    #[test]
    fn percentiles_are_those_of_all_runs() {
        let (mut all, mut other) = (Latency::default(), Latency::default());
        for ms in 1..=990 {
            all.record(Duration::from_millis(ms));
        }
        (0..10).for_each(|_| other.record(Duration::from_secs(5)));
        all.add(&other);
        let found = all.percentiles();
        assert!((found.p50 - 500.0).abs() < 1.0 && (found.p99 - 990.0).abs() < 2.0, "{found:?}");
        assert!((found.p999 - 5000.0).abs() < 10.0, "{found:?}");
    }
}
