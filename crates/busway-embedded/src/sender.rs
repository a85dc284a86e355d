//! Publishes to the store.

use std::sync::Arc;

use async_trait::async_trait;
use busway_core::clock::now_ms;
use busway_core::{Error, ErrorClass, ErrorKind, Publication, Queue, Result, Sender};
use tokio::sync::oneshot;

use crate::index::Cached;
use crate::log::record::{self, Meta, Span};
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
#[derive(Default)]
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
        let (parts, mut results) = match self.encode(batch) {
            Ok(encoded) => encoded,
            Err(refused) => return refused,
        };
        let mut waiting = Vec::with_capacity(parts.len());
        for mut part in parts {
            waiting.push((std::mem::take(&mut part.places), self.submit(part).await));
        }
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
    /// and one over the limit refuses the whole batch.
    #[expect(clippy::type_complexity, reason = "parts with the answers so far, or all answers")]
    fn encode(&self, batch: Vec<Publication>) -> Result<(Vec<Part>, Vec<Result<()>>), Vec<Result<()>>> {
        let count = batch.len();
        let limit = self.store.config.max_message_bytes;
        let now = now_ms();
        let ways = self.ways(&batch);
        let mut results: Vec<Result<()>> = (0..count).map(|_| Ok(())).collect();
        let mut parts = vec![Part::sized(&batch)];
        for (at, (publication, way)) in batch.into_iter().zip(ways).enumerate() {
            let Some(way) = way else {
                results[at] = Err(Error::new("publish", ErrorKind::NotFound, "the queue was never declared")
                    .at(self.store.place(&publication.queue)));
                continue;
            };
            let Some(part) = parts.last_mut() else { break };
            let (meta, span) = record::put_publication(&mut part.bytes, &publication, way.number, now);
            if span.length > limit {
                let place = self.store.place(&publication.queue);
                return Err(refuse_all(count, at, span.length, limit, &place));
            }
            part.push(at, meta, span, way.keep.then_some(publication), now);
            if part.prepared.len() == PART_MESSAGES || part.bytes.len() > PART_BYTES {
                parts.push(Part::default());
            }
        }
        parts.retain(|part| !part.prepared.is_empty());
        Ok((parts, results))
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

    /// Hands a part to the committer; `None` where the store was closed meanwhile.
    async fn submit(&self, part: Part) -> Option<oneshot::Receiver<Result<()>>> {
        let room = self.store.ops.publish_room(part.bytes.len()).await?;
        let (reply, outcome) = oneshot::channel();
        self.store.ops.publish(PublishOp { batch: part.prepared, bytes: part.bytes, reply, room });
        Some(outcome)
    }
}

impl Part {
    /// A part with room for the records of a batch, where that is one part.
    fn sized(batch: &[Publication]) -> Self {
        const HEAD: usize = 256;
        let bytes: usize = batch.iter().map(|publication| publication.message.data.len() + HEAD).sum();
        let messages = batch.len().min(PART_MESSAGES);
        Self {
            bytes: Vec::with_capacity(bytes.min(PART_BYTES)),
            prepared: Vec::with_capacity(messages),
            places: Vec::with_capacity(messages),
        }
    }

    fn push(&mut self, at: usize, meta: Meta, span: Span, kept: Option<Publication>, now: u64) {
        let message =
            kept.map(|publication| Box::new(Cached { message: publication.message, enqueued: now }));
        self.prepared.push(Prepared { meta, span, message });
        self.places.push(at);
    }
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
