//! A fixed rate of deliveries to one endpoint (the generic cell rate algorithm).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// At most `count` messages in any `per`, with a burst of a tenth of a second's worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Messages.
    pub count: u64,
    /// The time they are spread over.
    pub per: Duration,
}

/// The pace that a rate gives.
#[derive(Debug)]
pub(crate) struct Pace {
    every: Duration,
    burst: Duration,
    next: Mutex<Instant>,
    alarm: AtomicBool,
}

impl Pace {
    /// Whether the caller is the one to set an alarm for the moment there is leave again.
    pub(crate) fn set_alarm(&self) -> bool {
        !self.alarm.swap(true, Ordering::AcqRel)
    }

    /// The alarm has rung.
    pub(crate) fn rang(&self) {
        self.alarm.store(false, Ordering::Release);
    }

    /// The pace of another rate that goes on where this one is, so that a change gives no leave.
    pub(crate) fn at(&self, rate: Rate) -> Self {
        let next = *self.next.lock().unwrap_or_else(PoisonError::into_inner);
        Self { next: Mutex::new(next), ..Self::new(rate) }
    }

    pub(crate) fn new(rate: Rate) -> Self {
        let every = rate.per.div_f64(rate.count.max(1) as f64);
        Self {
            every,
            burst: every.max(Duration::from_millis(100)),
            next: Mutex::new(Instant::now()),
            alarm: AtomicBool::new(false),
        }
    }

    /// Takes leave for up to `most` messages at once; with none to be had, says when there will be.
    pub(crate) fn take(&self, most: usize, now: Instant) -> Result<usize, Instant> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let from = (*next).max(now);
        let room = (now + self.burst).saturating_duration_since(from);
        let count = usize::try_from(room.as_nanos() / self.every.as_nanos().max(1)).unwrap_or(most).min(most);
        if count == 0 {
            return Err(from + self.every - self.burst);
        }
        *next = from + self.every.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_rate_goes_through() {
        let pace = Pace::new(Rate { count: 100, per: Duration::from_secs(1) });
        let start = Instant::now();
        let mut now = start;
        let mut taken = 0;
        while now < start + Duration::from_secs(2) {
            match pace.take(7, now) {
                Ok(count) => taken += count,
                Err(at) => {
                    assert!(at > now, "a wait that is none would spin");
                    now = at;
                }
            }
        }
        assert!((200..=211).contains(&taken), "{taken} in two seconds at 100 a second");
    }
}
