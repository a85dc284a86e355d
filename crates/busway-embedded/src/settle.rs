//! Ends leases: what is durable is told as `Ok`, what is not comes again.

use std::sync::Arc;

use busway_core::clock::now_ms;
use busway_core::delivery::AbandonSink;
use busway_core::reason::Reason;
use busway_core::transport::mark_dead;
use busway_core::{Error, ErrorKind, Outcome, Publication, Queue, Receipt, Result};
use tokio::sync::oneshot;

use crate::files::ReadError;
use crate::index::{Item, Token};
use crate::log::record::{self, Waiting};
use crate::ops::{Op, Prepared, SettleOp, Settled};
use crate::receiver::{lease_lost, off_the_runtime};
use crate::store::Store;

/// Settles a batch; see [`busway_core::Receiver::settle`].
pub(crate) async fn settle(
    store: &Arc<Store>,
    sink: &Arc<dyn AbandonSink>,
    queue: &Queue,
    batch: Vec<(Receipt, Outcome)>,
) -> Vec<Result<()>> {
    let count = batch.len();
    let room = store.ops.settle_room(count).await;
    let Some(room) = room.filter(|_| store.check("settle").is_ok()) else {
        let error = store.check("settle").err().unwrap_or_else(|| store.outcome_unknown("settle"));
        return (0..count).map(|_| Err(error.duplicate())).collect();
    };
    let mut settling = Settling { store, tokens: Vec::new() };
    let mut results: Vec<Result<()>> = (0..count).map(|_| Ok(())).collect();
    let (mut work, dead) = settling.begin(sink, queue, batch, &mut results);
    let unburied = match dead.is_empty() {
        true => Vec::new(),
        false => bury(store, dead, &mut work, &mut results).await,
    };
    let mut room = Some(room);
    let mut waiting = Vec::new();
    for part in split(work) {
        let (reply, outcome) = oneshot::channel();
        let places: Vec<usize> = part.iter().map(|(at, ..)| *at).collect();
        let bytes = part.iter().map(|(.., settled)| bytes_of(settled)).sum();
        let items =
            part.into_iter().map(|(_, token, position, settled)| (token, position, settled)).collect();
        store.ops.push(Op::Settle(SettleOp { items, bytes, reply, room: room.take() }));
        waiting.push((places, outcome));
    }
    settling.tokens = unburied;
    for (places, outcome) in waiting {
        if let Err(error) = outcome.await.unwrap_or_else(|_| Err(store.outcome_unknown("settle"))) {
            for place in places {
                results[place] = Err(error.duplicate());
            }
        }
    }
    results
}

/// Parts of a batch that are small enough to be written as one.
fn split(work: Vec<Work>) -> Vec<Vec<Work>> {
    let mut parts: Vec<Vec<Work>> = Vec::new();
    let mut bytes = PART_BYTES;
    for one in work {
        if bytes >= PART_BYTES {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += bytes_of(&one.3);
        if let Some(part) = parts.last_mut() {
            part.push(one);
        }
    }
    parts
}

fn bytes_of(settled: &Settled) -> usize {
    match settled {
        Settled::Gone => 8,
        Settled::Waits(_) => 64,
        Settled::Moves { bytes, .. } => bytes.len(),
    }
}

/// The most bytes, about, of one part of a batch.
const PART_BYTES: usize = 16 << 20;

/// A message to be removed or put back: its place in the batch, token, position and outcome.
type Work = (usize, Token, u64, Settled);

/// A message to be moved to the dead queue.
struct Dead {
    /// Its place in the batch.
    at: usize,
    token: Token,
    item: Item,
    /// The queue it dies in, which need not be the one whose receiver settles it.
    queue: Queue,
    reason: Reason,
    attempts: u32,
}

/// Leases that nobody else can end, given back if the settle that holds them is cancelled.
struct Settling<'a> {
    store: &'a Store,
    tokens: Vec<Token>,
}

impl Settling<'_> {
    /// Stops the leases from running out and sorts them by what is to be done; releases are done.
    fn begin(
        &mut self,
        sink: &Arc<dyn AbandonSink>,
        queue: &Queue,
        batch: Vec<(Receipt, Outcome)>,
        results: &mut [Result<()>],
    ) -> (Vec<Work>, Vec<Dead>) {
        let place = self.store.place(queue);
        let mut work = Vec::with_capacity(batch.len());
        let mut dead = Vec::new();
        let mut own = Vec::with_capacity(batch.len());
        for (at, (receipt, outcome)) in batch.into_iter().enumerate() {
            if receipt.belongs_to(sink) {
                own.push((at, receipt.redeem().0, outcome));
            } else {
                results[at] = Err(foreign(&place));
            }
        }
        self.store.with(|index, now| {
            for (at, token, outcome) in own {
                let Some(slot) = index.freeze(token) else {
                    results[at] = Err(lease_lost("settle", &place));
                    continue;
                };
                let entry = index.entries[slot];
                let wait = |after: std::time::Duration, reason, attempted: bool| {
                    Settled::Waits(Waiting {
                        due: due(now.wall, after),
                        attempt: entry.attempt.saturating_add(u32::from(attempted)),
                        parked: now.wall,
                        reason,
                    })
                };
                let settled = match outcome {
                    Outcome::Ack => Settled::Gone,
                    Outcome::Retry { after, reason } => wait(after, reason, true),
                    Outcome::Park { after, reason } => wait(after, reason, false),
                    Outcome::Release => {
                        index.give_back(token, now);
                        continue;
                    }
                    Outcome::Dead { reason, attempts } => {
                        self.tokens.push(token);
                        let (item, queue) = (index.describe(slot), index.queue_of(slot));
                        dead.push(Dead { at, token, item, queue, reason, attempts });
                        continue;
                    }
                };
                self.tokens.push(token);
                work.push((at, token, entry.position, settled));
            }
        });
        (work, dead)
    }
}

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        if !self.tokens.is_empty() {
            let wait = self.store.config.backoff_first.as_millis() as u64;
            self.store.with(|index, now| {
                self.tokens.iter().for_each(|token| index.hold(*token, wait, now));
            });
        }
    }
}

/// Makes dead letters of messages: reads them, since what they carry changes. Answers the tokens
/// of those that could not be read.
async fn bury(
    store: &Arc<Store>,
    dead: Vec<Dead>,
    work: &mut Vec<Work>,
    results: &mut [Result<()>],
) -> Vec<Token> {
    let all: Vec<(usize, Token)> = dead.iter().map(|dead| (dead.at, dead.token)).collect();
    let buried = match declare_dead(store).await {
        Ok(number) => {
            let store = store.clone();
            off_the_runtime(move || dead.into_iter().map(|one| dig(&store, number, one)).collect()).await
        }
        Err(error) => Err(error),
    };
    let buried: Vec<(usize, Result<Work>)> = match buried {
        Ok(buried) => buried,
        Err(error) => all.iter().map(|(at, _)| (*at, Err(error.duplicate()))).collect(),
    };
    let mut unburied = Vec::new();
    for ((at, outcome), (_, token)) in buried.into_iter().zip(all) {
        match outcome {
            Ok(one) => work.push(one),
            Err(error) => {
                results[at] = Err(error);
                unburied.push(token);
            }
        }
    }
    unburied
}

/// The dead queue's number; declares it where that was not done.
async fn declare_dead(store: &Store) -> Result<u16> {
    let known = |store: &Store| store.with(|index, _| index.queue_number(&Queue::Dead));
    if known(store).is_none() {
        declare(store, vec![Queue::Dead]).await?;
    }
    known(store).ok_or_else(|| Error::new("settle", ErrorKind::Internal, "the dead queue is not there"))
}

/// Declares queues, durably.
pub(crate) async fn declare(store: &Store, queues: Vec<Queue>) -> Result<()> {
    let (reply, done) = oneshot::channel();
    store.ops.push(Op::Declare { queues, reply });
    done.await.unwrap_or_else(|_| Err(store.outcome_unknown("declare")))
}

/// Reads a message and writes its dead letter. Blocks on the disk.
fn dig(store: &Store, number: u16, dead: Dead) -> (usize, Result<Work>) {
    let Dead { at, token, item, queue, reason, attempts } = dead;
    let origin = store.place(&queue);
    let stored = match store.read(std::slice::from_ref(&item)).pop() {
        Some(Ok(stored)) => stored,
        Some(Err(ReadError::Failed(error))) => return (at, Err(error)),
        Some(Err(ReadError::Gone)) | None => return (at, Err(lease_lost("settle", &origin))),
    };
    let mut message = stored.message;
    if let Some(waited) = &item.waited {
        waited.put_on(&mut message);
    }
    let now = now_ms();
    mark_dead(&mut message, reason, attempts, &origin, now);
    let publication = Publication::new(Queue::Dead, message);
    let mut bytes = Vec::new();
    let (meta, span) = record::put_publication(&mut bytes, &publication, number, now);
    let prepared = Prepared { meta, span, same: false, message: None };
    (at, Ok((at, token, item.position, Settled::Moves { bytes, prepared })))
}

/// The first moment, by a clock that counts whole milliseconds, at which `after` has passed.
fn due(now: u64, after: std::time::Duration) -> u64 {
    let wait = after.as_micros().div_ceil(1000).min(u128::from(u64::MAX)) as u64;
    if wait == 0 { now } else { now.saturating_add(wait).saturating_add(1) }
}

fn foreign(place: &str) -> Error {
    Error::new("settle", ErrorKind::LeaseLost, "the receipt is of another transport").at(place)
}
