//! Changes the index once a group is durable.

use tokio::sync::OwnedSemaphorePermit;

use super::build::Built;
use super::{Committer, answer};
use crate::codec;
use crate::index::{Arrival, Place};
use crate::log::Appended;
use crate::log::frame::GROUP_HEADER;
use crate::log::record::Span;
use crate::ops::{Batch, Op, Prepared, PublishOp, Reply, SettleOp, Settled};

/// Changes of the index made in one go.
const STRIDE: usize = 512;

/// Who is to be answered, and the room that each then gives back.
type Replies = Vec<(Reply, Option<OwnedSemaphorePermit>)>;

impl Committer {
    /// What is durable becomes visible; then the callers are told.
    pub(super) fn apply(&mut self, batch: Batch, built: &Built, at: Option<Appended>) {
        let place = |base: usize, span: Span| {
            let at = at.unwrap_or(Appended { segment: 0, payload_at: 0 });
            Place {
                segment: at.segment,
                offset: at.payload_at + (base + span.body - GROUP_HEADER) as u32,
                length: span.length as u32,
            }
        };
        for some in built.moved.chunks(STRIDE) {
            self.store.with(|index, _| {
                for moved in some {
                    if index.locate(moved.slot, moved.position) == Some(moved.from) {
                        index.moved(moved.slot, place(0, moved.span));
                    }
                }
            });
        }
        let mut moves = built.moves.iter();
        let mut replies = Vec::new();
        for op in batch.ops {
            self.apply_op(op, &mut moves, &place, &mut replies);
        }
        for (op, (first, base)) in batch.publications.into_iter().zip(&built.publications) {
            self.apply_publications(op, *first, *base, &place, &mut replies);
        }
        for (reply, room) in replies {
            drop(room);
            answer(reply, Ok(()));
        }
    }

    fn apply_op(
        &mut self,
        op: Op,
        moves: &mut std::slice::Iter<'_, (u64, usize)>,
        place: &impl Fn(usize, Span) -> Place,
        replies: &mut Replies,
    ) {
        match op {
            Op::Settle(SettleOp { items, reply, room, .. }) => {
                let mut items = items.into_iter();
                loop {
                    let some: Vec<_> = items.by_ref().take(STRIDE).collect();
                    if some.is_empty() {
                        break;
                    }
                    self.store.with(|index, now| {
                        for (token, _, settled) in some {
                            match settled {
                                Settled::Gone => index.finish(token, now),
                                Settled::Waits(waiting) => index.put_back(token, &waiting, now),
                                Settled::Moves { prepared, bytes } => {
                                    if let Some((position, base)) = moves.next() {
                                        let at = place(*base, prepared.span);
                                        index.replace(token, &arrival(&prepared, &bytes, *position, at), now);
                                        self.next_position = self.next_position.max(*position + 1);
                                    }
                                }
                            }
                        }
                    });
                }
                replies.push((reply, room));
            }
            Op::Declare { queues, reply } => {
                self.store.with(|index, _| queues.iter().for_each(|queue| _ = index.declare(queue)));
                replies.push((reply, None));
            }
            Op::Purge { seized, reply } => {
                for some in seized.chunks(STRIDE) {
                    self.store.with(|index, now| some.iter().for_each(|(slot, _)| index.remove(*slot, now)));
                }
                replies.push((reply, None));
            }
            Op::Count { reply } => replies.extend(reply.map(|reply| (reply, None))),
            Op::Close { .. } => {}
        }
    }

    fn apply_publications(
        &mut self,
        op: PublishOp,
        first: u64,
        base: usize,
        place: &impl Fn(usize, Span) -> Place,
        replies: &mut Replies,
    ) {
        self.next_position = first + op.batch.len() as u64;
        let mut positions = first..;
        let mut batch = op.batch.into_iter();
        loop {
            let some: Vec<_> = batch.by_ref().take(STRIDE).zip(positions.by_ref()).collect();
            if some.is_empty() {
                break;
            }
            self.store.with(|index, now| {
                for (prepared, position) in some {
                    let at = place(base, prepared.span);
                    let slot = index.add(&arrival(&prepared, &op.bytes, position, at), now);
                    if let Some(message) = prepared.message {
                        index.remember(slot, message);
                    }
                }
            });
        }
        replies.push((op.reply, Some(op.room)));
    }
}

/// What the index is told of a message whose record stands in `bytes`.
fn arrival<'a>(prepared: &'a Prepared, bytes: &'a [u8], position: u64, place: Place) -> Arrival<'a> {
    let Span { body, length, .. } = prepared.span;
    #[expect(clippy::expect_used, reason = "this process wrote the record just now")]
    let (account, destination) = codec::decode_party(&bytes[body..body + length]).expect("a record");
    Arrival { position, meta: &prepared.meta, place, destination, account, waited: None, deliveries: 0 }
}
