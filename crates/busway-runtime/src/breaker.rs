//! The breaker of one endpoint: opens on a failure rate, tries again with one probe, recovers
//! slowly.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

const WINDOW: u32 = 20;
const LEAST: u32 = 10;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How the breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Deliveries go through.
    Closed,
    /// None goes through until this moment.
    Open(Instant),
    /// One probe may go through, or is under way.
    HalfOpen,
}

/// What a later process should know of a breaker: what it has seen, whether or not it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// A bit a result, the latest lowest; set for a failure.
    results: u32,
    /// How many results there are.
    seen: u32,
    /// How long it stays open when it opens next, in milliseconds.
    wait_ms: u64,
}

/// Counts results and decides.
#[derive(Debug)]
pub(crate) struct Breaker {
    results: u32,
    seen: u32,
    standing: Standing,
    wait: Duration,
    /// Failures that opened it, and of the probes since.
    failures: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { results: 0, seen: 0, standing: Standing::Closed, wait: FIRST_WAIT, failures: 0 }
    }
}

impl Breaker {
    /// How it stands now; an open one whose time has come is half-open.
    pub(crate) fn standing(&mut self, now: Instant) -> Standing {
        if matches!(self.standing, Standing::Open(until) if until <= now) {
            self.standing = Standing::HalfOpen;
        }
        self.standing
    }

    /// A delivery succeeded; whether that closed the breaker.
    pub(crate) fn succeeded(&mut self) -> bool {
        self.record(false);
        if self.standing != Standing::HalfOpen {
            return false;
        }
        *self = Self::default();
        true
    }

    /// A delivery failed; whether that opened the breaker.
    pub(crate) fn failed(&mut self, now: Instant) -> bool {
        self.record(true);
        let failures = self.results.count_ones();
        let opens = match self.standing {
            Standing::HalfOpen => true,
            Standing::Closed => self.seen >= LEAST && failures * 2 >= self.seen,
            Standing::Open(_) => false,
        };
        if opens {
            let before = if self.standing == Standing::HalfOpen { self.failures } else { 0 };
            self.failures = before.saturating_add(failures);
            let wait = self.wait + self.wait.mul_f64(fastrand::f64() * 0.1);
            self.standing = Standing::Open(now + wait);
            self.wait = (self.wait * 2).min(LONGEST_WAIT);
            self.results = 0;
            self.seen = 0;
        }
        opens
    }

    /// What it has seen; nothing where that is no failure.
    pub(crate) fn seen(&self) -> Option<Seen> {
        let wait_ms = u64::try_from(self.wait.as_millis()).unwrap_or(u64::MAX);
        let calm = self.results == 0 && self.wait == FIRST_WAIT;
        (!calm).then_some(Seen { results: self.results, seen: self.seen, wait_ms })
    }

    /// Goes on where a process before this one ended: so that what fails once in each short process is
    /// found out too.
    pub(crate) fn recall(&mut self, seen: Seen) {
        self.results = seen.results & ((1 << WINDOW) - 1);
        self.seen = seen.seen.min(WINDOW);
        self.wait = Duration::from_millis(seen.wait_ms).clamp(FIRST_WAIT, LONGEST_WAIT);
    }

    /// How many failures have opened it, those of its probes included.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Opens it for as long as a process before this one had meant to.
    pub(crate) fn restore(&mut self, left: Duration, now: Instant) {
        self.standing = Standing::Open(now + left.min(LONGEST_WAIT));
    }

    fn record(&mut self, failure: bool) {
        self.results = ((self.results << 1) | u32::from(failure)) & ((1 << WINDOW) - 1);
        self.seen = (self.seen + 1).min(WINDOW);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_on_a_failure_rate_and_recovers_by_a_probe() {
        let mut breaker = Breaker::default();
        let now = Instant::now();
        for n in 0..9 {
            assert!(!breaker.failed(now), "{n} failures are too few to tell");
        }
        assert!(breaker.failed(now));
        assert!(matches!(breaker.standing(now), Standing::Open(_)));
        assert_eq!(breaker.failures(), 10);
        let later = now + Duration::from_secs(2);
        assert_eq!(breaker.standing(later), Standing::HalfOpen);
        assert!(breaker.failed(later), "a failed probe opens it again");
        assert_eq!(breaker.failures(), 11);
        assert!(matches!(breaker.standing(later + Duration::from_millis(1900)), Standing::Open(_)));
        assert_eq!(breaker.standing(later + Duration::from_secs(3)), Standing::HalfOpen);
        assert!(breaker.succeeded());
        assert_eq!(breaker.standing(later), Standing::Closed);
    }

    #[test]
    fn what_fails_once_in_each_process_opens_it_in_the_end() {
        let now = Instant::now();
        let mut kept = None;
        for n in 1..=10 {
            let mut breaker = Breaker::default();
            kept.into_iter().for_each(|seen| breaker.recall(seen));
            assert_eq!(breaker.failed(now), n == 10, "failure {n}");
            kept = breaker.seen();
        }
        let mut breaker = Breaker::default();
        kept.into_iter().for_each(|seen| breaker.recall(seen));
        breaker.restore(Duration::ZERO, now);
        assert_eq!(breaker.standing(now), Standing::HalfOpen);
        assert!(breaker.failed(now), "the probe failed");
        let Standing::Open(until) = breaker.standing(now) else { panic!("it is not open") };
        assert!(until >= now + FIRST_WAIT * 2, "the wait grows over processes too");
        assert!(breaker.standing(until) == Standing::HalfOpen && breaker.succeeded());
        assert_eq!(breaker.seen(), None);
    }

    #[test]
    fn a_few_failures_among_successes_leave_it_closed() {
        let mut breaker = Breaker::default();
        let now = Instant::now();
        for n in 0..200 {
            if n % 3 == 0 {
                assert!(!breaker.failed(now));
            } else {
                assert!(!breaker.succeeded());
            }
        }
    }
}
