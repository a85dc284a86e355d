//! Adds many messages to one line at once: what is counted for each alone is counted once for all.

use super::ages::Accepted;
use super::entry::{Entry, NONE, State};
use super::{Arrival, Index, Now};
use crate::log::record::{MESSAGE_OVERHEAD, Meta};

impl Index {
    /// Adds messages that can be handed out at once ([`is_plain`]), by ascending position, all of the
    /// queue, destination, account, priority and file of the first, which alone has to name them.
    /// Answers their slots.
    pub(crate) fn add_run<'a>(
        &mut self,
        first: Arrival<'a>,
        others: impl ExactSizeIterator<Item = Arrival<'a>>,
    ) -> Vec<u32> {
        let (queue, priority, segment) = (first.meta.queue, first.meta.priority, first.place.segment);
        let lane = self.lane(queue, first.destination, first.account.unwrap_or("-"));
        let mut slots = Vec::with_capacity(1 + others.len());
        let mut bytes = 0;
        let mut ages = Accepted::new(first.meta.accepted);
        for arrival in std::iter::once(first).chain(others) {
            bytes += u64::from(arrival.place.length);
            let accepted = arrival.meta.accepted;
            if !ages.add(accepted) {
                self.lanes[lane].ages.add_all(std::mem::replace(&mut ages, Accepted::new(accepted)));
                ages.add(accepted);
            }
            self.next_position = self.next_position.max(arrival.position + 1);
            slots.push(self.entries.insert(ready(lane, &arrival)));
        }
        let count = slots.len() as u64;
        *self.usage.entry(segment).or_default() += bytes + count * MESSAGE_OVERHEAD;
        let of = &mut self.lanes[lane];
        of.messages += count;
        of.ages.add_all(ages);
        of.push_all(priority, &slots, &self.entries);
        let destination = &mut self.destinations[of.destination];
        let queue = &mut self.queues[usize::from(queue)];
        for counts in [&mut of.counts, &mut destination.counts, &mut queue.counts] {
            counts.bytes += bytes;
            counts.ready += count;
        }
        self.reset_head(lane);
        self.ring(lane);
        slots
    }
}

/// Whether a message that is new to the log can be handed out at once, whatever else there is.
pub(crate) fn is_plain(meta: &Meta, now: Now) -> bool {
    meta.group.is_none() && meta.due <= now.wall
}

fn ready(lane: u32, arrival: &Arrival<'_>) -> Entry {
    let (meta, place) = (arrival.meta, arrival.place);
    Entry {
        position: arrival.position,
        order: arrival.position,
        due: meta.due,
        accepted: meta.accepted,
        parked: 0,
        group: 0,
        segment: place.segment,
        offset: place.offset,
        length: place.length,
        weight: meta.weight,
        lane,
        reason: NONE,
        attempt: meta.attempt,
        deliveries: 0,
        previous: NONE,
        next: NONE,
        priority: meta.priority,
        flags: 0,
        state: State::Ready,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use busway_core::Queue;
    use busway_core::transport::Selector;

    use super::*;
    use crate::index::{Lane, Place};

    const NOW: Now = Now { wall: 1_000_000, steady: 0 };

    fn metas() -> Vec<Meta> {
        let of = |n: u64| Meta {
            queue: 0,
            priority: 4,
            weight: 600 + n as u32,
            attempt: 1,
            due: n % 2,
            // Three seconds, out of order at the seams.
            accepted: 700_000 + n * 300 - if n.is_multiple_of(4) { 200 } else { 0 },
            group: None,
        };
        (0..10).map(of).collect()
    }

    fn arrivals<'a>(metas: &'a [Meta], from: u64) -> impl ExactSizeIterator<Item = Arrival<'a>> {
        metas.iter().enumerate().map(move |(n, meta)| Arrival {
            position: from + n as u64,
            meta,
            place: Place { segment: 3, offset: 100 * n as u32, length: 300 + n as u32 },
            destination: Some("d"),
            account: Some("a"),
            waited: None,
            deliveries: 0,
        })
    }

    /// All that is known of a store with one lane.
    fn told(index: &mut Index) -> (String, String, u64, Vec<u64>, Vec<String>) {
        let lane: &Lane = index.lanes.iter().next().unwrap().1;
        let slots = lane.lines.iter().flat_map(|(_, line)| line.iter());
        let order = slots.map(|slot| index.entries[slot].position).collect();
        let entries = (0..index.entries.slots()).filter_map(|slot| index.entries.get(slot));
        let entries = entries.map(|entry| format!("{entry:?}")).collect();
        let head = format!("{:?} {:?}", lane.messages, index.queues[0].heads);
        (format!("{:?}", index.depth(0, &Selector::All)), head, index.live_bytes(Some(3)), order, entries)
    }

    #[test]
    fn many_at_once_are_the_same_as_one_by_one() {
        let metas = metas();
        // Into a lane that is empty, behind what is there, and in front of it.
        for there in [None, Some(1..4), Some(50..53)] {
            let mut stores = [Index::new(0), Index::new(0)];
            for (at_once, index) in [true, false].into_iter().zip(&mut stores) {
                index.declare(&Queue::Priority);
                for position in there.clone().into_iter().flatten() {
                    arrivals(&metas[..1], position).for_each(|arrival| _ = index.add(&arrival, NOW));
                }
                let mut new = arrivals(&metas, 20);
                if at_once {
                    let slots = index.add_run(new.next().unwrap(), new);
                    assert!(slots.iter().zip(20..).all(|(slot, n)| index.entries[*slot].position == n));
                } else {
                    new.for_each(|arrival| _ = index.add(&arrival, NOW));
                }
                assert_eq!(index.take_bells().list.len(), 2, "the destination's and the queue's");
            }
            let [mut one, mut other] = stores;
            assert_eq!(told(&mut one), told(&mut other));
            assert_eq!(one.next_position, other.next_position);
        }
    }
}
