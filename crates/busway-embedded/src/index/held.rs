//! Messages that are kept back for a while, because their receipts were dropped or they could not be
//! read.
//!
//! They stand among those that wait for a moment of the wall clock, and that clock may be set. A
//! back-off is a length of time, so its end moves along with the clock.

use super::entry::{Entry, State};
use super::leases::Token;
use super::pool::NumberMap;
use super::{Index, Now};

/// By how many milliseconds the clocks may drift apart before that counts as the clock being set.
const DRIFT: i64 = 1000;

/// Until when the messages that are [`Entry::HELD`] are kept back.
#[derive(Default)]
pub(crate) struct Held {
    pub(super) until: NumberMap<u32, u64>,
    /// The wall clock less the steady one, by which these moments were reckoned.
    ahead: Option<i64>,
}

impl Index {
    /// The message is kept back for a while, then handed out again, in its old place. Nothing of
    /// this is on disk: after a restart it is ready.
    pub(crate) fn hold(&mut self, token: Token, wait_ms: u64, now: Now) {
        self.follow_clock(now);
        if let Some(lease) = self.end(token) {
            self.held.until.insert(lease.slot, now.wall.saturating_add(wait_ms));
            self.entries[lease.slot].flags |= Entry::HELD;
            self.let_go(lease.slot, now);
        }
    }

    /// Moves the end of every back-off along where the wall clock has been set.
    pub(crate) fn follow_clock(&mut self, now: Now) {
        let ahead = now.wall.wrapping_sub(now.steady).cast_signed();
        let by = ahead.saturating_sub(*self.held.ahead.get_or_insert(ahead));
        if by.saturating_abs() < DRIFT {
            return;
        }
        self.held.ahead = Some(ahead);
        for slot in self.held.until.keys().copied().collect::<Vec<_>>() {
            let waits = self.entries[slot].state == State::Delayed;
            if waits {
                self.hide(slot);
            }
            if let Some(until) = self.held.until.get_mut(&slot) {
                *until = until.saturating_add_signed(by);
            }
            if waits {
                self.place(slot, now);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use busway_core::Queue;
    use busway_core::transport::Selector;

    use super::*;
    use crate::index::{Arrival, Ask, Place};
    use crate::log::record::Meta;

    const DAY: u64 = 24 * 3_600_000;
    const ASK: Ask = Ask { max: 10, max_bytes: usize::MAX };

    /// An index whose one message is held for ten seconds from `now` on, and its receiver.
    fn held(now: Now) -> (Index, u32) {
        let mut index = Index::new(0);
        index.declare(&Queue::Priority);
        let (receiver, ..) = index.open_receiver(0, &Selector::All, usize::MAX, 60_000);
        let meta = Meta { queue: 0, priority: 0, weight: 1, attempt: 0, due: 0, accepted: 0, group: None };
        let place = Place { segment: 1, offset: 0, length: 1 };
        let (destination, account, waited) = (None, None, None);
        let arrival =
            Arrival { position: 1, meta: &meta, place, destination, account, waited, deliveries: 0 };
        index.add(&arrival, now);
        let taken = index.take(receiver, ASK, now);
        index.hold(taken.items[0].token, 10_000, now);
        (index, receiver)
    }

    fn comes(index: &mut Index, receiver: u32, now: Now) -> bool {
        index.follow_clock(now);
        index.ripen(now, 100);
        !index.take(receiver, ASK, now).items.is_empty()
    }

    #[test]
    fn a_back_off_is_as_long_whichever_way_the_clock_is_set() {
        let start = Now { wall: 20 * DAY, steady: 5 };
        for wall in [19 * DAY, 20 * DAY, 21 * DAY] {
            let (mut index, receiver) = held(start);
            let after = |ms: u64| Now { wall: wall + ms, steady: 5 + ms };
            assert!(!comes(&mut index, receiver, after(9_000)), "too early at {wall}");
            assert!(comes(&mut index, receiver, after(10_000)), "too late at {wall}");
        }
    }
}
