//! A wall clock that is set while messages wait.

use busway_core::Queue;

use super::*;
use crate::index::{Arrival, Ask, Place};
use crate::log::record::Meta;

const NONE: [u64; 0] = [];
const DAY: u64 = 86_400_000;
/// Noon, by both clocks.
const NOON: Now = Now { wall: 20_000 * DAY, steady: 1_000_000 };

/// What the clocks say after so many milliseconds, the wall clock set by `set` meanwhile.
fn later(passed: u64, set: i64) -> Now {
    Now { wall: (NOON.wall + passed).strict_add_signed(set), steady: NOON.steady + passed }
}

/// An index with messages due at these moments, and a receiver.
fn index(due: &[u64]) -> (Index, u32) {
    let mut index = Index::new(0);
    let queue = index.declare(&Queue::Delayed);
    for (position, due) in (1..).zip(due) {
        let meta =
            Meta { queue, priority: 0, weight: 1, attempt: 0, due: *due, accepted: NOON.wall, group: None };
        let place = Place { segment: 1, offset: 0, length: 1 };
        let (destination, account, waited) = (None, None, None);
        let arrival = Arrival { position, meta: &meta, place, destination, account, waited, deliveries: 0 };
        index.add(&arrival, NOON);
    }
    let (receiver, ..) = index.open_receiver(queue, &busway_core::transport::Selector::All, 100, 60_000);
    (index, receiver)
}

/// Positions handed out now, as the timer and a receiver would.
fn taken(index: &mut Index, receiver: u32, now: Now) -> Vec<u64> {
    index.follow_clock(now);
    while index.ripen(now, 100) {}
    let items = index.take(receiver, Ask { max: 100, max_bytes: usize::MAX }, now).items;
    items.iter().map(|item| item.position).collect()
}

#[test]
fn a_clock_set_forward_brings_what_is_due_by_it_and_nothing_else() {
    let (mut index, receiver) = index(&[NOON.wall + 60_000, NOON.wall + 2 * DAY]);
    assert_eq!(taken(&mut index, receiver, later(1, 0)), NONE);
    assert_eq!(taken(&mut index, receiver, later(2, DAY as i64)), [1]);
    assert_eq!(taken(&mut index, receiver, later(DAY, DAY as i64)), [2]);
}

#[test]
fn a_clock_set_back_hands_nothing_out_early_and_loses_nothing() {
    let (mut index, receiver) = index(&[NOON.wall - 1, NOON.wall + 60_000]);
    // The first stands ready, and is not due after all.
    let back = -(DAY as i64);
    assert_eq!(taken(&mut index, receiver, later(1, back)), NONE);
    assert_eq!(index.next_due(), Some(NOON.wall - 1));
    assert_eq!(taken(&mut index, receiver, later(DAY - 2, back)), NONE);
    assert_eq!(taken(&mut index, receiver, later(DAY, back)), [1]);
    assert_eq!(taken(&mut index, receiver, later(DAY + 60_000, back)), [2]);
}

#[test]
fn leases_and_back_offs_end_by_the_steady_clock_wherever_the_other_is_set() {
    for set in [DAY as i64, -(DAY as i64)] {
        let (mut index, receiver) = index(&[0, 0]);
        index.follow_clock(NOON);
        let items = index.take(receiver, Ask { max: 2, max_bytes: usize::MAX }, NOON).items;
        index.hold(items[0].token, 30_000, NOON);
        let before = later(29_000, set);
        assert!(!index.expire(before, 100));
        assert_eq!(taken(&mut index, receiver, before), NONE, "set by {set}");
        assert_eq!(taken(&mut index, receiver, later(31_000, set)), [1], "its back-off is over");
        let after = later(60_002, set);
        index.expire(after, 100);
        assert_eq!(taken(&mut index, receiver, after), [2], "its lease is over");
    }
}
