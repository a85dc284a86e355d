//! Builds the bytes of a group.

use std::collections::HashSet;

use super::Committer;
use crate::clean::Moved;
use crate::index::Index;
use crate::log::frame::GROUP_HEADER;
use crate::log::record;
use crate::ops::{Batch, Op, Settled};
use crate::store::{COUNT_WITHIN, Store};

/// A group as it is built: what its parts will do to the index once it is durable.
#[derive(Default)]
pub(super) struct Built {
    pub(super) moved: Vec<Moved>,
    /// First position and offset of each publication's records.
    pub(super) publications: Vec<(u64, usize)>,
    /// Position and offset of each message that moves to another queue.
    pub(super) moves: Vec<(u64, usize)>,
    /// Deliveries that are counted in it: slots and positions.
    pub(super) counted: Vec<(u32, u64)>,
    pub(super) sync: bool,
    /// The group is the buffer of the only publication, and to be given back to it.
    pub(super) lent: bool,
}

impl Committer {
    /// Builds the group of a batch, with some of what is to be cleaned in front.
    pub(super) fn build(&mut self, batch: &mut Batch) -> Built {
        let group = &mut self.group;
        group.clear();
        group.resize(GROUP_HEADER, 0);
        let beside = batch.publications.iter().map(|op| op.bytes.len()).sum();
        let moved = self.cleaner.copy(&self.store, group, Some(beside));
        let mut built = Built { moved, ..Built::default() };
        built.sync = !built.moved.is_empty() || !batch.publications.is_empty();
        self.store.timer.counted();
        let by = if batch.ops.iter().any(|op| matches!(op, Op::Count { reply: Some(_) })) {
            0
        } else {
            COUNT_WITHIN
        };
        built.counted = put_counts(&self.store, group, by);
        self.store.with(|index, _| put_new_queues(index, &batch.ops, group));
        let mut next = self.next_position;
        for op in &batch.ops {
            built.sync |= !matches!(op, Op::Count { .. });
            put_op(group, op, &mut next, &mut built.moves);
        }
        built.lent = group.len() == GROUP_HEADER && batch.publications.len() == 1;
        for op in &mut batch.publications {
            let at = group.len() - GROUP_HEADER;
            built.publications.push((next, at));
            if built.lent {
                std::mem::swap(group, &mut op.bytes);
            } else {
                group.extend_from_slice(&op.bytes[GROUP_HEADER..]);
            }
            for prepared in &op.batch {
                record::set_position(group, at + prepared.span.record, next);
                next += 1;
            }
        }
        built
    }

    /// Gives a buffer that was lent back to its publication.
    pub(super) fn give_back(&mut self, built: &Built, batch: &mut Batch) {
        if built.lent
            && let Some(op) = batch.publications.first_mut()
        {
            std::mem::swap(&mut self.group, &mut op.bytes);
        }
    }

    /// Deliveries that were to be counted in a group that was not written are counted later.
    pub(super) fn forget_counts(&self, built: &Built) {
        self.store.with(|index, now| index.count_again(&built.counted, now));
    }
}

fn put_op(group: &mut Vec<u8>, op: &Op, next: &mut u64, moves: &mut Vec<(u64, usize)>) {
    match op {
        Op::Settle(op) => {
            let mut gone = Vec::new();
            for (_, position, settled) in &op.items {
                match settled {
                    Settled::Gone => gone.push(*position),
                    Settled::Waits(waiting) => record::put_waits(group, *position, waiting),
                    Settled::Moves { bytes, prepared } => {
                        let at = group.len();
                        group.extend_from_slice(bytes);
                        record::set_position(group, at + prepared.span.record, *next);
                        moves.push((*next, at));
                        *next += 1;
                        gone.push(*position);
                    }
                }
            }
            if !gone.is_empty() {
                record::put_settled(group, &gone);
            }
        }
        Op::Purge { seized, .. } => {
            let positions: Vec<u64> = seized.iter().map(|(_, position)| *position).collect();
            record::put_settled(group, &positions);
        }
        Op::Declare { .. } | Op::Count { .. } | Op::Close { .. } => {}
    }
}

fn put_new_queues(index: &Index, ops: &[Op], group: &mut Vec<u8>) {
    let mut number = index.queues().count() as u16;
    let mut seen = HashSet::new();
    let declared = ops.iter().filter_map(|op| match op {
        Op::Declare { queues, .. } => Some(queues),
        _ => None,
    });
    for queue in declared.flatten() {
        if index.queue_number(queue).is_none() && seen.insert(queue) {
            record::put_queue(group, number, &queue.to_string());
            number += 1;
        }
    }
}

/// Names all queues, for the beginning of a file.
pub(super) fn put_queues(index: &Index, group: &mut Vec<u8>) {
    for (number, queue) in index.queues() {
        record::put_queue(group, number, &queue.to_string());
    }
}

/// Counts deliveries that are older than `age`; answers whose they are.
pub(super) fn put_counts(store: &Store, group: &mut Vec<u8>, age: u64) -> Vec<(u32, u64)> {
    store.with(|index, now| {
        let counted = index.take_uncounted(now.steady.saturating_sub(age));
        if !counted.is_empty() {
            let counts = counted.iter().map(|(slot, position)| (*position, index.entries[*slot].deliveries));
            record::put_counts(group, &counts.collect::<Vec<_>>());
        }
        counted
    })
}
