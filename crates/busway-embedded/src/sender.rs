//! Publishes to the store.

use std::sync::Arc;

use async_trait::async_trait;
use busway_core::clock::now_ms;
use busway_core::{Error, ErrorClass, ErrorKind, Publication, Queue, Result, Sender};
use tokio::sync::oneshot;

use crate::index::Cached;
use crate::log::frame::GROUP_HEADER;
use crate::log::record;
use crate::ops::{Prepared, PublishOp};
use crate::store::Store;

/// The most bytes that one atomic part of a batch has.
const PART_BYTES: usize = 64 << 20;

/// The most messages that one atomic part of a batch has.
pub(crate) const PART_MESSAGES: usize = 4096;

/// A way to publish to an embedded store.
pub(crate) struct EmbeddedSender {
    pub(crate) store: Arc<Store>,
}

/// Where a publication goes.
#[derive(Clone, Copy)]
struct Way {
    /// Its queue's number.
    number: u16,
    /// Whether it is likely to be read so soon that the message is kept in memory.
    keep: bool,
}

/// A part of a batch, encoded: written and made durable as one.
struct Part {
    bytes: Vec<u8>,
    prepared: Vec<Prepared>,
    /// Where in the batch its messages stood.
    places: Vec<usize>,
}

#[async_trait]
impl Sender for EmbeddedSender {
    async fn publish(&self, batch: Vec<Publication>) -> Vec<Result<()>> {
        let count = batch.len();
        if let Err(error) = self.store.check("publish") {
            return repeat(&error, count);
        }
        let (parts, mut results, rest) = match self.encode(batch) {
            Ok(encoded) => encoded,
            Err(refused) => return refused,
        };
        let mut waiting = Vec::with_capacity(parts.len());
        for mut part in parts {
            waiting.push((std::mem::take(&mut part.places), self.submit(part).await));
        }
        // A thousand messages take half as long to be freed as to be encoded: that is done beside the sync.
        drop(rest);
        for (places, outcome) in waiting {
            let outcome = match outcome {
                Some(outcome) => outcome.await.unwrap_or_else(|_| Err(self.store.outcome_unknown("publish"))),
                None => Err(self.store.outcome_unknown("publish")),
            };
            for place in places {
                results[place] = match &outcome {
                    Ok(()) => Ok(()),
                    Err(error) => Err(error.duplicate()),
                };
            }
        }
        results
    }
}

impl EmbeddedSender {
    /// Encodes a batch into parts; a message to a queue that does not exist has its answer at once,
    /// and one over the limit refuses the whole batch. Messages that are not kept are answered as
    /// well, to be let go of once the parts are on their way.
    #[expect(clippy::type_complexity, reason = "parts, the answers so far and the rest, or all answers")]
    fn encode(
        &self,
        batch: Vec<Publication>,
    ) -> Result<(Vec<Part>, Vec<Result<()>>, Vec<Publication>), Vec<Result<()>>> {
        let count = batch.len();
        let limit = self.store.config.max_message_bytes;
        let now = now_ms();
        let ways = self.ways(&batch);
        let mut results: Vec<Result<()>> = (0..count).map(|_| Ok(())).collect();
        let mut parts = vec![self.part_for(&batch)];
        for (at, (publication, way)) in batch.iter().zip(&ways).enumerate() {
            let Some(way) = way else {
                results[at] = Err(Error::new("publish", ErrorKind::NotFound, "the queue was never declared")
                    .at(self.store.place(&publication.queue)));
                continue;
            };
            let Some(part) = parts.last_mut() else { break };
            let (meta, span) = record::put_publication(&mut part.bytes, publication, way.number, now);
            if span.length > limit {
                let place = self.store.place(&publication.queue);
                return Err(refuse_all(count, at, span.length, limit, &place));
            }
            let same = part.places.last().is_some_and(|before| is_for_the_same(&batch[*before], publication));
            part.prepared.push(Prepared { meta, span, same, message: None });
            part.places.push(at);
            if part.prepared.len() == PART_MESSAGES || part.bytes.len() > PART_BYTES {
                parts.push(self.part_for(&batch[at + 1..]));
            }
        }
        parts.retain(|part| !part.prepared.is_empty());
        let rest = if ways.iter().flatten().any(|way| way.keep) {
            keep(batch, &ways, &mut parts, now)
        } else {
            batch
        };
        Ok((parts, results, rest))
    }

    /// Where each publication goes; `None` for a queue that does not exist.
    fn ways(&self, batch: &[Publication]) -> Vec<Option<Way>> {
        self.store.with(|index, _| {
            let mut last: Option<(&Queue, Option<Way>)> = None;
            let mut ways = Vec::with_capacity(batch.len());
            for Publication { queue, .. } in batch {
                let way = match last {
                    Some((before, way)) if before == queue => way,
                    _ => index.queue_number(queue).map(|number| Way { number, keep: index.is_short(number) }),
                };
                last = Some((queue, way));
                ways.push(way);
            }
            ways
        })
    }

    /// A part with room for the records of a batch, where that is one part.
    fn part_for(&self, batch: &[Publication]) -> Part {
        const HEAD: usize = 256;
        let bytes: usize = batch.iter().map(|publication| publication.message.data.len() + HEAD).sum();
        let messages = batch.len().min(PART_MESSAGES);
        let mut buffer = self.store.ops.buffers.take(GROUP_HEADER + bytes.min(PART_BYTES));
        buffer.resize(GROUP_HEADER, 0);
        Part { bytes: buffer, prepared: Vec::with_capacity(messages), places: Vec::with_capacity(messages) }
    }

    /// Hands a part to the committer; `None` where the store was closed meanwhile.
    async fn submit(&self, part: Part) -> Option<oneshot::Receiver<Result<()>>> {
        let room = self.store.ops.publish_room(part.bytes.len()).await?;
        let (reply, outcome) = oneshot::channel();
        self.store.ops.publish(PublishOp { batch: part.prepared, bytes: part.bytes, reply, room });
        Some(outcome)
    }
}

/// Gives the messages that are likely to be read soon to their parts; answers the others.
fn keep(batch: Vec<Publication>, ways: &[Option<Way>], parts: &mut [Part], now: u64) -> Vec<Publication> {
    let mut prepared = parts.iter_mut().flat_map(|part| &mut part.prepared);
    let mut rest = Vec::new();
    for (publication, way) in batch.into_iter().zip(ways) {
        let prepared = way.and_then(|_| prepared.next());
        match prepared.filter(|_| way.is_some_and(|way| way.keep)) {
            Some(prepared) => {
                let message = publication.message;
                prepared.message = Some(Box::new(Cached { message, enqueued: now }));
            }
            None => rest.push(publication),
        }
    }
    rest
}

/// Whether two messages are for one account, destination and queue.
fn is_for_the_same(one: &Publication, other: &Publication) -> bool {
    one.message.account == other.message.account
        && one.message.destination == other.message.destination
        && one.queue == other.queue
}

fn refuse_all(count: usize, bad: usize, length: usize, limit: usize, place: &str) -> Vec<Result<()>> {
    (0..count)
        .map(|at| {
            let refused = |detail| Error::new("publish", ErrorKind::TooLarge, detail).at(place);
            Err(match at == bad {
                true => refused(format!("the message has {length} bytes, at most {limit} are allowed")),
                false => refused(format!("its batch was refused whole: message {bad} of it is too large"))
                    .class_of(ErrorClass::Retry),
            })
        })
        .collect()
}

fn repeat(error: &Error, count: usize) -> Vec<Result<()>> {
    (0..count).map(|_| Err(error.duplicate())).collect()
}
