//! Dead letters, taken a batch at a time by an operator's verbs.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use busway_core::admin::{DeadCursor, DeadReport, DeadRequest};
use busway_core::clock;
use busway_core::journal::{Entry, Event};
use busway_core::transport::{Filter, Selector, Want};
use busway_core::{Error, ErrorKind, Leased, Message, Outcome, Publication, Queue, Result};

use crate::credit::Credit;
use crate::producer::Parcel;
use crate::runtime::Runtime;
use crate::source::{Part, Slot};

/// How long a batch may take to be settled.
const LONGEST: Duration = Duration::from_secs(60);
const BATCH: u64 = 256;
const BATCH_BYTES: usize = 16 << 20;
/// Letters replayed a second, where not asked for otherwise: what they died of may not be over.
const REPLAY_RATE: f64 = 1000.0;
/// A batch is not more than what may go in this time, so that letters go evenly.
const EVENLY: f64 = 0.1;

/// How a verb ended.
enum End {
    /// Nothing is left that it was meant for.
    Done,
    /// It has taken as many as it was to take.
    Enough,
    /// A batch was not settled in time.
    Late,
    /// The bus stops.
    Stopping,
}

/// How far a verb has come.
struct Progress {
    taken: u64,
    most: u64,
    left: u64,
    /// Letters a second.
    rate: Option<f64>,
    started: Instant,
}

impl Runtime {
    /// Publishes each letter that matches again, for the destination it died for; it is settled when
    /// the copy is durable. A batch goes as one, and the next one once it is durable, so that none
    /// overtakes another.
    pub(crate) async fn replay(&self, mut request: DeadRequest) -> Result<DeadReport> {
        request.rate = request.rate.or(Some(REPLAY_RATE));
        let parcel = |(message, part)| {
            let mut copy: Message = message;
            copy.attempt = 0;
            copy.reason = None;
            copy.parked = None;
            copy.deliver_at = None;
            copy.set_replays(copy.replays().saturating_add(1));
            Parcel {
                publication: Publication::new(Queue::Priority, copy),
                part,
                event: Event::Replayed,
                guard: None,
                parking: None,
                alone: false,
            }
        };
        let publish = |batch: Vec<(Message, Part)>| {
            self.engine.desk.send(batch.into_iter().map(parcel));
        };
        self.for_each_batch(request, publish).await
    }

    /// Removes each letter that matches.
    pub(crate) async fn delete(&self, request: DeadRequest) -> Result<DeadReport> {
        let delete = |batch: Vec<(Message, Part)>| {
            for (message, part) in batch {
                self.engine.journal.note(&Entry::new(clock::now_ms(), Event::Deleted, &message));
                part.finish(Outcome::Ack);
            }
        };
        self.for_each_batch(request, delete).await
    }

    /// Takes the dead letters that match and died before the operation began, in the order in which
    /// they died; tells how many the broker has settled.
    ///
    /// Cancelled, what was not settled stays.
    ///
    /// # Errors
    /// `Timeout` where a batch was not settled in a minute; `Unavailable` where the bus stops, or some
    /// could not be settled. What was settled is done.
    async fn for_each_batch(
        &self,
        request: DeadRequest,
        act: impl Fn(Vec<(Message, Part)>),
    ) -> Result<DeadReport> {
        let DeadRequest { filter, max, rate, from } = request;
        let DeadCursor { before, left } = match from {
            Some(cursor) => cursor,
            None => self.begin_with_dead().await?,
        };
        let until = filter.until.map_or(before, |until| until.min(before));
        let filter = Filter { until: Some(until), ..filter };
        let slot = self.engine.open(&Queue::Dead, Selector::Matching(filter)).await?;
        let most = max.unwrap_or(u64::MAX);
        let mut progress = Progress { taken: 0, most, left, rate, started: Instant::now() };
        let end = self.take_dead(&slot, &mut progress, act).await?;
        let done = slot.acked();
        let (kind, why) = match end {
            End::Late => (ErrorKind::Timeout, "a batch was not settled in a minute"),
            End::Stopping => (ErrorKind::Unavailable, "the bus is stopping"),
            _ if done < progress.taken => (ErrorKind::Unavailable, "not all could be settled"),
            end => {
                slot.receiver.close().await?;
                let left = left.saturating_sub(progress.taken);
                let more = matches!(end, End::Enough) && left > 0;
                return Ok(DeadReport { done, next: more.then_some(DeadCursor { before, left }) });
            }
        };
        Err(Error::new("dead letters", kind, format!("{why}: {done} were settled"))
            .at(Queue::Dead)
            .advise("run it again for the rest; what was settled is done"))
    }

    /// Where an operation begins: with what is there, and with what has died by now.
    async fn begin_with_dead(&self) -> Result<DeadCursor> {
        let depth = self.engine.transport.inspect(&Queue::Dead, &Selector::All).await?;
        let counts = [depth.ready, depth.delayed, depth.in_flight];
        let left = if counts.contains(&None) { u64::MAX } else { counts.into_iter().flatten().sum() };
        let now = clock::now_ms();
        // What dies from now on dies in a later millisecond than all that has died.
        while clock::now_ms() == now {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(DeadCursor { before: now.saturating_add(1), left })
    }

    /// Takes batches until one is empty, or it has taken enough.
    async fn take_dead(
        &self,
        slot: &Arc<Slot>,
        progress: &mut Progress,
        act: impl Fn(Vec<(Message, Part)>),
    ) -> Result<End> {
        let in_hand = Credit::new(usize::MAX / 2, usize::MAX / 2);
        loop {
            // Counted with what is in hand before it looks, so that a stop waits for it.
            let counted = self.engine.shared_credit.take(0);
            if self.engine.drains() {
                return Ok(End::Stopping);
            }
            let max = progress.batch();
            if max == 0 {
                return Ok(if progress.left == 0 { End::Done } else { End::Enough });
            }
            let want = Want { max, max_bytes: BATCH_BYTES, until: Instant::now() };
            let batch = slot.receiver.receive(want).await?;
            if batch.is_empty() {
                return Ok(End::Done);
            }
            progress.take(batch.len() as u64);
            let taken = |leased: Leased| {
                let permit = in_hand.take(leased.message.weight());
                (leased.message, Part::whole(slot, leased.receipt, leased.position, permit))
            };
            act(batch.into_iter().map(taken).collect());
            if tokio::time::timeout(LONGEST, in_hand.idle()).await.is_err() {
                return Ok(End::Late);
            }
            drop(counted);
            progress.pace(self.engine.draining()).await;
        }
    }
}

impl Progress {
    /// How many are to be taken next.
    fn batch(&self) -> usize {
        let evenly = self.rate.map_or(BATCH, |rate| ceil(rate * EVENLY).clamp(1, BATCH));
        let most = evenly.min(self.left).min(self.most.saturating_sub(self.taken));
        usize::try_from(most).unwrap_or_default()
    }

    fn take(&mut self, count: u64) {
        self.taken += count;
        self.left = self.left.saturating_sub(count);
    }

    /// Waits until the next may go, or until `over`.
    async fn pace(&self, over: impl Future<Output = ()>) {
        let Some(rate) = self.rate else { return };
        #[expect(clippy::cast_precision_loss, reason = "counts of letters are far below 2^52")]
        let due = Duration::try_from_secs_f64(self.taken as f64 / rate).unwrap_or(Duration::MAX);
        let wait = due.saturating_sub(self.started.elapsed());
        let _paced_or_over = tokio::time::timeout(wait, over).await;
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive, small number")]
fn ceil(number: f64) -> u64 {
    number.ceil() as u64
}
