//! Groups whose messages come out of order.

use std::time::{Duration, Instant};

use busway_core::Queue;
use busway_core::transport::Group;

use super::*;
use crate::index::{Arrival, Place};
use crate::log::record::Meta;

const NOW: Now = Now { wall: 1, steady: 1 };

fn add(index: &mut Index, position: u64, place: u64) -> u32 {
    let group = Some(Group { key: 7, position: Some(place) });
    let meta = Meta { queue: 0, priority: 0, weight: 1, attempt: 0, due: 0, accepted: 0, group };
    let place = Place { segment: 1, offset: 0, length: 1 };
    let (destination, account, waited) = (None, None, None);
    let arrival = Arrival { position, meta: &meta, place, destination, account, waited, deliveries: 0 };
    index.add(&arrival, NOW)
}

fn index() -> Index {
    let mut index = Index::new(0);
    index.declare(&Queue::Priority);
    index
}

/// The places of the group of `slot` in their order, from the first on.
fn places(index: &Index, slot: u32) -> Vec<u64> {
    let first = index.first_of(index.group_of(slot)).unwrap();
    let next = |slot: &u32| Some(index.entries[*slot].next).filter(|next| *next != first);
    std::iter::successors(Some(first), next).map(|slot| index.entries[slot].order).collect()
}

#[test]
fn a_hundred_thousand_of_one_key_by_ten_priorities_are_linked_in_no_time() {
    const COUNT: u64 = 100_000;
    let mut index = index();
    let begun = Instant::now();
    let mut position = 0;
    let mut last = 0;
    for priority in (0..10).rev() {
        for place in (0..COUNT).filter(|place| place * 7919 % 10 == priority) {
            position += 1;
            last = add(&mut index, position, place + 1);
            assert!(begun.elapsed() < Duration::from_secs(10), "{position} in {:?}", begun.elapsed());
        }
    }
    assert!(places(&index, last).iter().copied().eq(1..=COUNT));
}

#[test]
fn a_group_in_any_order_stays_in_order_whatever_goes() {
    let mut index = index();
    let mut random = fastrand::Rng::with_seed(1);
    let mut there: Vec<(u64, u32)> = Vec::new();
    for position in 1..6000 {
        let grows = position % 3000 < 1500;
        for _ in 0..if grows { 1 } else { 2 } {
            if !there.is_empty() && (!grows || random.u8(..3) == 0) {
                let (_, slot) = there.swap_remove(random.usize(..there.len()));
                index.remove(slot, NOW);
            }
        }
        let place = random.u64(..1 << 40);
        there.push((place, add(&mut index, position, place)));
        if position % 100 == 0 {
            let mut expected: Vec<u64> = there.iter().map(|(place, _)| *place).collect();
            expected.sort_unstable();
            assert_eq!(places(&index, there[0].1), expected);
        }
    }
    for (_, slot) in there {
        index.remove(slot, NOW);
    }
    assert!(index.groups.long.is_empty(), "what is over costs nothing");
}
