//! The Producer: the only way in for every message. Callers' messages go to `priority`; what the
//! bus itself parks or kills goes to `delayed` and `dead` through the same sender, and first.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix::prelude::*;
use busway_core::admin::{PublishOutcome, PublishResult};
use busway_core::journal::{Entry, Event};
use busway_core::{
    Error, ErrorClass, ErrorKind, Journal, Message, Outcome, Publication, Queue, Reason, Result, Sender,
    clock, envelope,
};
use futures_util::FutureExt;
use tokio::sync::oneshot;

use crate::carried::Carried;
use crate::deliver::panic_message;
use crate::faults::Faults;
use crate::figures::Totals;
use crate::health::Health;
use crate::inbox::{Inbox, Poke};
use crate::lanes::{KeyGuard, Parking};
use crate::source::Part;

const BATCH_MESSAGES: usize = 1024;
const BATCH_BYTES: usize = 4 << 20;
/// Batches under way at once: the next is gathered while the disk or broker works on one.
const BATCHES: usize = 4;
/// Callers whose one message each goes to the transport by itself, from the caller's own task: what such a
/// message would win by a batch it would lose by waking the threads between.
const ALONE: usize = 16;
const ALONE_BYTES: usize = 64 << 10;
/// Bytes kept for what the bus adds to a message when it parks it.
const OWN_ATTRIBUTES: usize = 8 << 10;
const FASTEST_RETRY: Duration = Duration::from_millis(50);
const SLOWEST_RETRY: Duration = Duration::from_secs(5);

const QUEUED: u8 = 0;
const BEGUN: u8 = 1;
const GIVEN_UP: u8 = 2;

/// What the producer and its callers share; it outlives the actor.
pub(crate) struct Desk {
    /// The identity stamped on every message.
    pub(crate) identity: String,
    origin: String,
    sequence: AtomicU64,
    callers: Inbox<Request>,
    parcels: Inbox<Parcel>,
    waiting: AtomicUsize,
    waiting_bytes: AtomicUsize,
    limits: (usize, usize),
    max_message: usize,
    deadline: Duration,
    sender: Arc<dyn Sender>,
    under_way: AtomicUsize,
    alone: AtomicUsize,
    stopping: AtomicBool,
    pace: Mutex<Pace>,
    totals: Arc<Totals>,
    health: Arc<Health>,
    pub(crate) journal: Arc<dyn Journal>,
    io: tokio::runtime::Handle,
}

#[derive(Default)]
struct Pace {
    until: Option<Instant>,
    wait: Duration,
}

type Reply = oneshot::Sender<Vec<Result<()>>>;

/// Messages of one caller.
struct Request {
    messages: Vec<Message>,
    bytes: usize,
    stage: Arc<AtomicU8>,
    reply: Reply,
}

/// A copy that the bus itself makes: durable, it brings its part to an outcome.
pub(crate) struct Parcel {
    pub(crate) publication: Publication,
    pub(crate) part: Part,
    /// What has become of the message once it is durable.
    pub(crate) event: Event,
    /// Keeps the message's key busy until the copy is durable.
    pub(crate) guard: Option<Arc<KeyGuard>>,
    /// Counts the copy as on its way to its lane.
    pub(crate) parking: Option<Parking>,
    /// Whether it must not share a batch: one that it was in was refused.
    pub(crate) alone: bool,
}

/// What a desk is made of.
pub(crate) struct DeskOptions {
    pub(crate) transport: String,
    pub(crate) limits: (usize, usize),
    /// The largest message the transport takes.
    pub(crate) max_message: usize,
    pub(crate) deadline: Duration,
    pub(crate) sender: Arc<dyn Sender>,
    pub(crate) totals: Arc<Totals>,
    pub(crate) health: Arc<Health>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) io: tokio::runtime::Handle,
}

impl Desk {
    pub(crate) fn new(options: DeskOptions) -> Arc<Self> {
        Arc::new(Self {
            identity: Message::new("identity", "").id,
            origin: format!("{}/{}", options.transport, Queue::Priority),
            sequence: AtomicU64::new(0),
            callers: Inbox::default(),
            parcels: Inbox::default(),
            waiting: AtomicUsize::new(0),
            waiting_bytes: AtomicUsize::new(0),
            limits: options.limits,
            max_message: options.max_message.saturating_sub(OWN_ATTRIBUTES).max(OWN_ATTRIBUTES),
            deadline: options.deadline,
            sender: options.sender,
            under_way: AtomicUsize::new(0),
            alone: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            pace: Mutex::default(),
            totals: options.totals,
            health: options.health,
            journal: options.journal,
            io: options.io,
        })
    }

    /// Publishes to `priority`; an answer for each message within `deadline`: stored only once it
    /// is durable, failed where it was not begun or refused, unknown where no answer came. One that
    /// can never be taken fails by itself.
    pub(crate) async fn publish(
        self: &Arc<Self>,
        messages: Vec<Message>,
        deadline: Duration,
    ) -> Vec<PublishResult> {
        let mut taken = Vec::with_capacity(messages.len());
        let mut results: Vec<Option<PublishResult>> = Vec::with_capacity(messages.len());
        for message in messages {
            match self.check(&message) {
                Ok(()) => {
                    taken.push(message);
                    results.push(None);
                }
                Err(error) => results.push(Some(answer(&message.id, &Err(error)))),
            }
        }
        let mut published = self.submit(taken, deadline).await.into_iter();
        results.into_iter().filter_map(|refused| refused.or_else(|| published.next())).collect()
    }

    async fn submit(self: &Arc<Self>, mut messages: Vec<Message>, deadline: Duration) -> Vec<PublishResult> {
        let ids: Vec<String> = messages.iter().map(|m| m.id.clone()).collect();
        if messages.is_empty() {
            return Vec::new();
        }
        let bytes: usize = messages.iter().map(Message::weight).sum();
        if let Err(error) = self.reserve(messages.len(), bytes) {
            return ids.iter().map(|id| answer(id, &Err(error.duplicate()))).collect();
        }
        for message in &mut messages {
            self.stamp(message);
        }
        if let Some(place) = self.place_alone(messages.len(), bytes) {
            self.unreserve(messages.len(), bytes);
            return match tokio::time::timeout(deadline, self.carry_alone(messages, place)).await {
                Ok(results) => answers(&ids, &results),
                Err(_) => all(&ids, ErrorClass::Unknown, "no confirm came within the deadline"),
            };
        }
        let (reply, outcome) = oneshot::channel();
        let stage = Arc::new(AtomicU8::new(QUEUED));
        self.callers.push(Request { messages, bytes, stage: Arc::clone(&stage), reply });
        match tokio::time::timeout(deadline, outcome).await {
            Ok(Ok(results)) => answers(&ids, &results),
            Ok(Err(_)) => all(&ids, ErrorClass::Unknown, "the batch was lost on its way"),
            Err(_)
                if stage.compare_exchange(QUEUED, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire).is_ok() =>
            {
                all(&ids, ErrorClass::Retry, "its turn did not come within the deadline")
            }
            Err(_) => all(&ids, ErrorClass::Unknown, "no confirm came within the deadline"),
        }
    }

    /// A place for one message that nothing waits before: else it would overtake copies of the bus's own,
    /// and other callers.
    fn place_alone(self: &Arc<Self>, messages: usize, bytes: usize) -> Option<Alone> {
        if messages != 1 || bytes > ALONE_BYTES || self.callers.len() > 0 || self.parcels.len() > 0 {
            return None;
        }
        let taken = self.alone.fetch_add(1, Ordering::AcqRel);
        let place = Alone(Arc::clone(self));
        (taken < ALONE).then_some(place)
    }

    fn carry_alone(self: &Arc<Self>, messages: Vec<Message>, place: Alone) -> Carried<Vec<Result<()>>> {
        let desk = Arc::clone(self);
        Carried::new(&self.io, async move {
            let _until_done = place;
            let publications = messages.into_iter().map(|m| Publication::new(Queue::Priority, m)).collect();
            desk.publish_counted(publications).await
        })
    }

    /// Refuses what could not be carried, or not be parked once the bus's own attributes are added.
    fn check(&self, message: &Message) -> Result<()> {
        let refuse =
            |kind, why: String| Err(Error::new("publish", kind, why).at(format!("message {}", message.id)));
        if let Err(error) = envelope::check(message) {
            return refuse(ErrorKind::Malformed, error.to_string());
        }
        let bytes = message.weight();
        if bytes > self.max_message {
            return refuse(
                ErrorKind::TooLarge,
                format!("{bytes} bytes with its attributes, {} are the limit", self.max_message),
            );
        }
        Ok(())
    }

    /// Takes copies that the bus itself makes. They are tried until they are durable: what bounds
    /// them is the credit that each holds.
    pub(crate) fn send(&self, parcels: impl IntoIterator<Item = Parcel>) {
        self.parcels.extend(parcels);
        self.callers.bell().ring();
    }

    /// Messages of callers, and the bus's own copies, that wait or are under way.
    pub(crate) fn depth(&self) -> (usize, usize) {
        (self.waiting.load(Ordering::Relaxed), self.parcels.len() + self.under_way.load(Ordering::Relaxed))
    }

    /// How long the transport may take for a batch.
    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Whether nothing waits and nothing is under way.
    pub(crate) fn idle(&self) -> bool {
        let under_way = self.under_way.load(Ordering::Acquire) + self.alone.load(Ordering::Acquire);
        self.callers.len() == 0 && self.parcels.len() == 0 && under_way == 0
    }

    /// Drops what waits, at the end.
    pub(crate) fn clear(&self) {
        self.callers.close();
        self.parcels.close();
    }

    /// Takes no more of callers' messages; what was begun is finished.
    pub(crate) fn stop_taking(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    fn reserve(&self, messages: usize, bytes: usize) -> Result<()> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(Error::new("publish", ErrorKind::Unavailable, "the bus is stopping")
                .at(Queue::Priority)
                .advise("publish again when it runs"));
        }
        let waiting = self.waiting.fetch_add(messages, Ordering::AcqRel);
        let waiting_bytes = self.waiting_bytes.fetch_add(bytes, Ordering::AcqRel);
        // A batch of any size gets through when nothing else waits.
        if waiting > 0 && (waiting + messages > self.limits.0 || waiting_bytes + bytes > self.limits.1) {
            self.unreserve(messages, bytes);
            return Err(Error::new("publish", ErrorKind::Full, "the bus has more to publish than it holds")
                .at(Queue::Priority)
                .advise("publish again in a second"));
        }
        Ok(())
    }

    fn unreserve(&self, messages: usize, bytes: usize) {
        self.waiting.fetch_sub(messages, Ordering::AcqRel);
        self.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    fn stamp(&self, message: &mut Message) {
        message.producer = Some(self.identity.clone());
        message.sequence = Some(self.sequence.fetch_add(1, Ordering::Relaxed));
        message.accepted = Some(clock::now_ms());
        message.origin = Some(self.origin.clone());
        message.attempt = 0;
        message.parked = None;
        message.reason = None;
        message.set_replays(0);
    }

    /// Starts as many batches as may be under way: copies of the bus's own and callers' messages in
    /// turn, never in one batch, for a batch can be refused for one of its messages.
    fn dispatch(self: &Arc<Self>) {
        while self.under_way.load(Ordering::Acquire) < BATCHES {
            let parcels = self.gather_parcels();
            let mine = !parcels.is_empty();
            if mine {
                self.start(|desk| async move { desk.carry_parcels(parcels).await });
            }
            let (publications, replies) = self.gather_callers();
            if !publications.is_empty() {
                self.start(|desk| async move { desk.carry_callers(publications, replies).await });
            } else if !mine {
                return;
            }
        }
    }

    fn start<W: Future<Output = ()> + Send + 'static>(self: &Arc<Self>, work: impl FnOnce(Arc<Self>) -> W) {
        self.under_way.fetch_add(1, Ordering::AcqRel);
        let under_way = UnderWay(Arc::clone(self));
        let work = work(Arc::clone(self));
        self.io.spawn(async move {
            let _until_done = under_way;
            work.await;
        });
    }

    fn gather_callers(&self) -> (Vec<Publication>, Vec<(Reply, std::ops::Range<usize>)>) {
        let (mut publications, mut replies) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        while publications.len() < BATCH_MESSAGES && bytes < BATCH_BYTES {
            let Some(request) = self.callers.pop() else { break };
            self.unreserve(request.messages.len(), request.bytes);
            if request.stage.compare_exchange(QUEUED, BEGUN, Ordering::AcqRel, Ordering::Acquire).is_err() {
                continue;
            }
            bytes += request.bytes;
            let start = publications.len();
            publications.extend(request.messages.into_iter().map(|m| Publication::new(Queue::Priority, m)));
            replies.push((request.reply, start..publications.len()));
        }
        (publications, replies)
    }

    async fn carry_callers(
        &self,
        publications: Vec<Publication>,
        replies: Vec<(Reply, std::ops::Range<usize>)>,
    ) {
        let mut results = self.publish_counted(publications).await;
        for (reply, range) in replies.into_iter().rev() {
            if reply.send(results.split_off(range.start)).is_err() {
                tracing::debug!("a caller left before its answer came");
            }
        }
    }

    async fn publish_counted(&self, publications: Vec<Publication>) -> Vec<Result<()>> {
        let results = self.publish_now(publications).await;
        let stored = results.iter().filter(|result| result.is_ok()).count();
        self.totals.published.add(stored as u64);
        results
    }

    /// Publishes within the deadline; as many results as publications, whatever the transport does.
    async fn publish_now(&self, publications: Vec<Publication>) -> Vec<Result<()>> {
        let count = publications.len();
        let published = tokio::time::timeout(self.deadline, self.sender.publish(publications));
        let results = match AssertUnwindSafe(published).catch_unwind().await {
            Ok(Ok(results)) if results.len() == count => return results,
            Ok(Ok(results)) => format!("{} results for {count} messages", results.len()),
            Ok(Err(_)) => "no confirm within the deadline".to_owned(),
            Err(payload) => panic_message(&*payload),
        };
        tracing::error!(why = %results, "a publish has no known outcome");
        (0..count).map(|_| Err(no_answer())).collect()
    }

    fn gather_parcels(&self) -> Vec<Parcel> {
        if self.resting() {
            return Vec::new();
        }
        let (mut count, mut bytes) = (0, 0);
        let mut alone = false;
        self.parcels.take_while(|parcel| {
            count += 1;
            bytes += parcel.publication.message.weight();
            let first = count == 1;
            alone |= parcel.alone;
            first || (!alone && count <= BATCH_MESSAGES && bytes <= BATCH_BYTES)
        })
    }

    async fn carry_parcels(&self, parcels: Vec<Parcel>) {
        let results =
            self.publish_now(parcels.iter().map(|parcel| parcel.publication.clone()).collect()).await;
        let single = parcels.len() == 1;
        let mut again = Vec::new();
        let mut last = None;
        let mut parted = true;
        for (mut parcel, result) in parcels.into_iter().zip(results) {
            let Err(error) = result else {
                self.arrived(parcel);
                continue;
            };
            match error.class() {
                ErrorClass::Reject if single => {
                    self.refused(parcel, &error);
                    continue;
                }
                ErrorClass::Unknown => {
                    if let Some(parking) = &parcel.parking {
                        parking.unsure();
                    }
                }
                _ => {}
            }
            // A batch is refused whole: which of its copies is at fault shows when each goes alone.
            let refused = error.kind() == ErrorKind::TooLarge || error.class() == ErrorClass::Reject;
            parted &= refused && !parcel.alone;
            parcel.alone |= refused;
            last = Some(error);
            again.push(parcel);
        }
        self.rest(again, last, parted);
    }

    /// The copy is durable: its part has come to its outcome.
    fn arrived(&self, parcel: Parcel) {
        let Parcel { publication, part, event, guard, parking, .. } = parcel;
        match publication.queue {
            Queue::Dead => self.totals.dead.add(1),
            Queue::Delayed => self.totals.parked.add(1),
            _ => {}
        }
        self.note(event, &publication.message);
        part.done();
        drop(parking);
        drop(guard);
    }

    /// Notes what has become of a message as its copy tells it.
    fn note(&self, event: Event, copy: &Message) {
        let reason = copy.reason.as_ref().map(ToString::to_string);
        let at = copy.parked.unwrap_or_else(clock::now_ms);
        let due = copy.deliver_at.filter(|_| event != Event::Diverted);
        self.journal.note(&Entry { reason: reason.as_deref(), due, ..Entry::new(at, event, copy) });
    }

    /// A copy that the transport will never take: the message dies in its place where it can, and
    /// comes again where parts of it are elsewhere.
    fn refused(&self, parcel: Parcel, error: &Error) {
        let id = &parcel.publication.message.id;
        tracing::error!(%error, %id, "a copy of a message is refused for good");
        if let Some(parking) = &parcel.parking {
            // It is counted as parked and never comes back from there.
            parking.unsure();
        }
        if parcel.part.split_up() {
            self.health.fault(&format!("message {id}"), error.to_string());
            return;
        }
        let attempts = parcel.publication.message.attempt;
        let reason = Reason::error("unparkable");
        let mut dead = parcel.publication.message;
        dead.reason = Some(reason.clone());
        dead.parked = None;
        self.note(Event::Dead, &dead);
        parcel.part.finish(Outcome::Dead { reason, attempts });
    }

    /// Copies that did not become durable are tried again in their order: after a rest, or at once
    /// where each of them was only parted from its batch.
    fn rest(&self, again: Vec<Parcel>, last: Option<Error>, parted: bool) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(error) = last else {
            *pace = Pace::default();
            drop(pace);
            return self.health.clear("parking");
        };
        pace.wait = if parted { Duration::ZERO } else { (pace.wait * 2).clamp(FASTEST_RETRY, SLOWEST_RETRY) };
        pace.until = Some(Instant::now() + pace.wait);
        drop(pace);
        if !parted {
            tracing::warn!(%error, copies = again.len(), "messages could not be parked; no more are taken in until they are");
            self.health.fault("parking", error.to_string());
        }
        self.parcels.put_back(again.into_iter());
    }

    fn resting(&self) -> bool {
        self.pace
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .until
            .is_some_and(|until| until > Instant::now())
    }
}

/// One batch under way; when it ends, the producer looks for the next.
struct UnderWay(Arc<Desk>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
        self.0.callers.bell().ring();
    }
}

/// The place of one message that its caller carries.
struct Alone(Arc<Desk>);

impl Drop for Alone {
    fn drop(&mut self) {
        self.0.alone.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The actor: gathers what waits into batches, at once when the transport is idle, more at a time
/// under load.
pub(crate) struct Producer {
    pub(crate) desk: Arc<Desk>,
    pub(crate) faults: Faults,
}

impl Actor for Producer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.faults.pass("producer.started");
        self.desk.callers.bell().attach(ctx.address().recipient());
        // Copies that rest after a failure are looked at again without a poke.
        ctx.run_interval(Duration::from_millis(25), |actor, _| {
            if actor.desk.parcels.len() > 0 {
                actor.desk.dispatch();
            }
        });
    }
}

impl Handler<Poke> for Producer {
    type Result = ();

    fn handle(&mut self, _: Poke, _: &mut Self::Context) {
        self.desk.callers.bell().answer();
        self.faults.pass("producer");
        self.desk.dispatch();
    }
}

fn no_answer() -> Error {
    Error::new("publish", ErrorKind::Timeout, "no confirm came within the deadline")
        .class_of(ErrorClass::Unknown)
}

fn answer(id: &str, result: &Result<()>) -> PublishResult {
    let (outcome, error, class) = match result {
        Ok(()) => (PublishOutcome::Stored, None, None),
        Err(error) => {
            let outcome = match error.class() {
                ErrorClass::Unknown => PublishOutcome::Unknown,
                _ => PublishOutcome::Failed,
            };
            let class = match error.kind() {
                ErrorKind::Full => "full",
                ErrorKind::TooLarge => "too-large",
                _ => error.class().as_str(),
            };
            (outcome, Some(error.to_string()), Some(class.to_owned()))
        }
    };
    PublishResult { id: id.to_owned(), outcome, error, class }
}

fn answers(ids: &[String], results: &[Result<()>]) -> Vec<PublishResult> {
    ids.iter().zip(results).map(|(id, result)| answer(id, result)).collect()
}

fn all(ids: &[String], class: ErrorClass, why: &str) -> Vec<PublishResult> {
    let error = Error::new("publish", ErrorKind::Timeout, why).at(Queue::Priority).class_of(class);
    ids.iter().map(|id| answer(id, &Err(error.duplicate()))).collect()
}
