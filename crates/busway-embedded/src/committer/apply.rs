//! Changes the index once a group is durable.

use tokio::sync::OwnedSemaphorePermit;

use super::build::Built;
use super::{Committer, answer};
use crate::codec;
use crate::index::{Arrival, Index, Now, Place, is_plain};
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
        mut op: PublishOp,
        first: u64,
        base: usize,
        place: &impl Fn(usize, Span) -> Place,
        replies: &mut Replies,
    ) {
        self.next_position = first + op.batch.len() as u64;
        let mut position = first;
        for some in op.batch.chunks_mut(STRIDE) {
            self.store.with(|index, now| {
                let mut rest = some;
                while !rest.is_empty() {
                    let (run, others) = rest.split_at_mut(run_of(rest, now));
                    add(index, now, run, &op.bytes, position, |span| place(base, span));
                    position += run.len() as u64;
                    rest = others;
                }
            });
        }
        replies.push((op.reply, Some(op.room)));
        self.store.ops.buffers.put(op.bytes);
    }
}

/// How many of the first messages can be added at once.
fn run_of(prepared: &[Prepared], now: Now) -> usize {
    let Some(first) = prepared.first().filter(|first| is_plain(&first.meta, now)) else { return 1 };
    let goes_on = |other: &&Prepared| {
        other.same && other.meta.priority == first.meta.priority && is_plain(&other.meta, now)
    };
    1 + prepared[1..].iter().take_while(goes_on).count()
}

/// Adds messages that can be added at once, the first of which has this position.
fn add(
    index: &mut Index,
    now: Now,
    run: &mut [Prepared],
    bytes: &[u8],
    position: u64,
    place: impl Fn(Span) -> Place,
) {
    let Some((first, others)) = run.split_first() else { return };
    let named = arrival(first, bytes, position, place(first.span));
    let slots = if is_plain(&first.meta, now) {
        let others = others.iter().enumerate();
        index.add_run(named, others.map(|(n, p)| nameless(p, position + 1 + n as u64, place(p.span))))
    } else {
        vec![index.add(&named, now)]
    };
    for (prepared, slot) in run.iter_mut().zip(slots) {
        if let Some(message) = prepared.message.take() {
            index.remember(slot, message);
        }
    }
}

/// What the index is told of a message whose record stands in `bytes`.
fn arrival<'a>(prepared: &'a Prepared, bytes: &'a [u8], position: u64, place: Place) -> Arrival<'a> {
    let Span { body, length, .. } = prepared.span;
    #[expect(clippy::expect_used, reason = "this process wrote the record just now")]
    let (account, destination) = codec::decode_party(&bytes[body..body + length]).expect("a record");
    Arrival { destination, account, ..nameless(prepared, position, place) }
}

/// The same without an account and a destination.
fn nameless(prepared: &Prepared, position: u64, place: Place) -> Arrival<'_> {
    let meta = &prepared.meta;
    Arrival { position, meta, place, destination: None, account: None, waited: None, deliveries: 0 }
}
