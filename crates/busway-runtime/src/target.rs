//! One endpoint with all that decides about deliveries to it. It outlives its subscriber.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use busway_core::clock::Millis;
use busway_core::endpoint::Verdict;
use busway_core::journal::{Entry, Event};
use busway_core::transport::{Group, mark_dead, mark_waiting};
use busway_core::{DeliveryError, Message, Name, Outcome, Publication, Queue, Reason, clock};
use serde_json::{Value, json};

use crate::credit::Credit;
use crate::figures::Figures;
use crate::gate::{Gate, LONGEST_RETRY_AFTER, Ticket, Way};
use crate::inbox::Inbox;
use crate::job::{Home, Job};
use crate::lanes::{Admission, KeyGuard, Lanes, Parking};
use crate::options::{EndpointSpec, RetrySchedule, Room};
use crate::producer::{Desk, Parcel};
use crate::settings::Settings;
use crate::source::Part;
use crate::workers::Workers;

/// An endpoint in a running bus.
pub(crate) struct Target {
    pub(crate) name: Arc<str>,
    pub(crate) index: usize,
    pub(crate) settings: ArcSwap<Settings>,
    pub(crate) gate: Arc<Gate>,
    /// Messages from `delayed` in hand; what bounds their number are the places behind the gate.
    pub(crate) read_credit: Arc<Credit>,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) room: Inbox<Job>,
    pub(crate) figures: Figures,
    pub(crate) workers: Arc<Workers>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) origin: String,
}

/// A message for one destination, before it has a place behind the gate.
pub(crate) struct Offer {
    pub(crate) message: Arc<Message>,
    pub(crate) part: Part,
    pub(crate) position: Option<u64>,
}

/// A message read back from `delayed` for one endpoint, with the place that was taken for it.
pub(crate) struct Returned {
    pub(crate) message: Arc<Message>,
    pub(crate) part: Part,
    pub(crate) position: Option<u64>,
    pub(crate) deliveries: Option<u32>,
    pub(crate) ticket: Ticket,
    pub(crate) max_deliveries: u32,
    /// The [`Reading`](crate::lanes::Reading) it was received in.
    pub(crate) reading: u64,
}

/// What a target is set into.
pub(crate) struct Setting<'a> {
    pub(crate) bus: &'a Name,
    pub(crate) room: Room,
    pub(crate) workers: &'a Arc<Workers>,
    pub(crate) desk: &'a Arc<Desk>,
    pub(crate) origin: &'a str,
    pub(crate) io: &'a tokio::runtime::Handle,
}

impl Target {
    pub(crate) fn new(name: &str, index: usize, spec: EndpointSpec, into: &Setting<'_>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            index,
            gate: Gate::new(spec.max_concurrency, spec.endpoint.max_batch().max(1), into.room),
            read_credit: Credit::new(usize::MAX / 2, into.room.bytes),
            lanes: Lanes::new(spec.order),
            room: Inbox::default(),
            figures: Figures::new(into.bus.as_str(), name),
            workers: Arc::clone(into.workers),
            desk: Arc::clone(into.desk),
            origin: into.origin.to_owned(),
            settings: ArcSwap::new(Settings::new(spec, into.io)),
        })
    }

    /// Has its subscriber poked when a worker that it wanted is free.
    pub(crate) fn wake_for_workers(self: &Arc<Self>) {
        let waiting = Arc::downgrade(self);
        self.workers.on_free(self.index, move || {
            if let Some(target) = waiting.upgrade() {
                target.room.bell().ring();
            }
        });
    }

    /// Goes by this from now on; calls under way end by what they began with.
    pub(crate) fn change(&self, spec: EndpointSpec, room: Room) {
        self.resize(&spec, room);
        self.settings.store(self.settings.load().followed_by(spec));
        self.room.bell().ring();
    }

    /// Its part of the credit has become another one.
    pub(crate) fn share_room(&self, room: Room) {
        self.resize(&self.settings.load().spec, room);
    }

    fn resize(&self, spec: &EndpointSpec, room: Room) {
        self.gate.resize(spec.max_concurrency, spec.endpoint.max_batch().max(1), room);
        self.read_credit.resize(usize::MAX / 2, room.bytes);
    }

    /// Takes a message from `priority`: delivers it, lets it wait behind its key, or parks it.
    pub(crate) fn offer(&self, offer: Offer, loud: bool) {
        let key = self.lanes.key(&offer.message);
        if key.is_some_and(|key| self.lanes.must_park(key)) {
            return self.divert(offer, Reason::Order);
        }
        let way = if loud { Way::Loud } else { Way::Direct };
        let ticket = match self.gate.enter(way, offer.message.account_or_dash(), offer.message.weight()) {
            Ok(ticket) => ticket,
            Err(reason) => return self.divert(offer, reason),
        };
        let Offer { message, part, position } = offer;
        let job = Job { message, part, home: Home::Priority, key, position, ticket };
        let admission = match key {
            None => Admission::Run(job),
            Some(key) => self.lanes.admit(key, job),
        };
        match admission {
            Admission::Run(job) => self.room.push(job),
            Admission::Waits => {}
            Admission::Park(Job { message, part, position, .. }) => {
                self.divert(Offer { message, part, position }, Reason::Order);
            }
        }
    }

    /// Parks a message from `priority` untried, for this endpoint alone.
    pub(crate) fn divert(&self, offer: Offer, reason: Reason) {
        let key = self.lanes.key(&offer.message);
        let parking = key.map(|key| self.lanes.parking(key, offer.position));
        self.figures.diverted(&reason);
        let waiting = Waiting { reason, attempted: false, due: None };
        self.desk.send([self.parcel(offer, key, waiting, None, parking)]);
    }

    /// Takes a message that was read back, with the place that was taken for it.
    pub(crate) fn take_back(&self, returned: Returned) {
        let Returned { message, part, position, deliveries, ticket, max_deliveries, reading } = returned;
        let key = self.lanes.key(&message);
        let part = match key {
            Some(key) => part.in_lane(self.lanes.ticket(key)),
            None => part,
        };
        let fatal = if message.expires_at.is_some_and(|at| at < clock::now_ms()) {
            Some(Reason::Expired)
        } else if deliveries.is_some_and(|n| n > max_deliveries) {
            Some(Reason::error("crash"))
        } else {
            None
        };
        if let Some(reason) = fatal {
            self.figures.dead.add(1);
            self.note(Event::Dead, &message, message.attempt, &reason, None);
            return part.finish(Outcome::Dead { reason, attempts: message.attempt });
        }
        let job = Job { message, part, home: Home::Delayed, key, position, ticket };
        let admission = match key {
            None => Admission::Run(job),
            Some(key) => self.lanes.admit_read_back(key, job, reading),
        };
        match admission {
            Admission::Run(job) => self.room.push(job),
            Admission::Waits => {}
            Admission::Park(job) => job.give_back(),
        }
    }

    /// Whether messages of an earlier process may be parked in its lanes.
    pub(crate) fn lanes_unknown(&self) -> bool {
        self.lanes.ordered() && !self.lanes.known()
    }

    /// Brings a message to its outcome, after a try that took so long; `retry` is the schedule that its
    /// call began with.
    pub(crate) fn conclude(
        &self,
        job: Job,
        result: Result<(), DeliveryError>,
        retry: RetrySchedule,
        took: Duration,
    ) {
        self.note_try(&job.message, &result, took);
        let error = match result {
            Ok(()) => {
                self.figures.delivered.add(1);
                return self.leave(job, Outcome::Ack);
            }
            Err(error) => error,
        };
        self.figures.failed.add(1);
        tracing::debug!(endpoint = %self.name, id = %job.message.id, class = %error.class, detail = %error.detail, "a delivery failed");
        let reason = Reason::error(shortened(&error.class));
        let tried = job.message.attempt.saturating_add(1);
        let spent = tried >= retry.attempts;
        match error.verdict {
            Verdict::Reject => self.leave(job, Outcome::Dead { reason, attempts: tried }),
            Verdict::Retry if spent => self.leave(job, Outcome::Dead { reason, attempts: tried }),
            verdict => {
                let attempted = verdict == Verdict::Retry;
                let asked = error.retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
                let wait = retry.wait(tried).max(asked);
                self.wait_again(job, Waiting { reason, attempted, due: Some(wait) });
            }
        }
    }

    /// A message whose time was over before it could be tried is dead.
    pub(crate) fn expire(&self, job: Job) {
        let attempts = job.message.attempt;
        self.leave(job, Outcome::Dead { reason: Reason::Expired, attempts });
    }

    /// Gives up what waits in the room because the gate is shut.
    pub(crate) fn clear_room(&self) {
        while let Some(job) = self.room.pop() {
            self.wait_again(job, Waiting { reason: Reason::Breaker, attempted: false, due: None });
        }
    }

    /// Whether a message of an account that `quiet` says is within its share waits for a worker.
    pub(crate) fn waits(&self, quiet: impl Fn(&str) -> bool) -> bool {
        self.room.any_of_first(64, |job| job.home == Home::Priority && quiet(job.message.account_or_dash()))
    }

    pub(crate) fn snapshot(&self) -> Value {
        let (state, why) = self.gate.describe();
        let (calls, limit) = self.gate.calls();
        json!({
            "endpoint": &*self.name, "state": state, "why": why, "in_flight": calls, "limit": limit,
            "room": self.room.len(), "figures": self.figures.snapshot(),
            "parked_ordered": self.lanes.parked(), "busy_keys": self.lanes.busy(),
        })
    }

    /// The message is delivered or dead; the next of its key may run.
    fn leave(&self, job: Job, outcome: Outcome) {
        let Job { message, part, home, key, ticket, .. } = job;
        match outcome {
            Outcome::Dead { reason, attempts } if home == Home::Priority => {
                self.figures.dead.add(1);
                self.desk.send([self.dead_parcel(&message, part, reason, attempts)]);
            }
            outcome => {
                if let Outcome::Dead { reason, attempts } = &outcome {
                    self.figures.dead.add(1);
                    self.note(Event::Dead, &message, *attempts, reason, None);
                }
                part.finish(outcome);
            }
        }
        if let Some(next) = key.and_then(|key| self.lanes.next(key)) {
            self.room.push(next);
        }
        drop(ticket);
    }

    /// The message, and what waits behind it in its key, goes back to wait.
    fn wait_again(&self, job: Job, waiting: Waiting) {
        let Some(key) = job.key else {
            return self.park_or_keep(job, None, waiting, None);
        };
        let (behind, guard) = self.lanes.hold(key, &job);
        self.park_or_keep(job, Some(key), waiting, Some(&guard));
        for job in behind {
            let waiting = Waiting { reason: Reason::Order, attempted: false, due: None };
            self.park_or_keep(job, Some(key), waiting, Some(&guard));
        }
    }

    fn park_or_keep(&self, job: Job, key: Option<u64>, waiting: Waiting, guard: Option<&Arc<KeyGuard>>) {
        self.figures.diverted(&waiting.reason);
        let Job { message, part, home, position, ticket, .. } = job;
        match home {
            Home::Priority => {
                let offer = Offer { message, part, position };
                let parking = key.map(|key| self.lanes.held(key, position));
                self.desk.send([self.parcel(offer, key, waiting, guard.cloned(), parking)]);
            }
            Home::Delayed => {
                self.note_waiting(&message, &waiting);
                part.finish(match waiting.due {
                    None => Outcome::Release,
                    Some(after) if waiting.attempted => Outcome::Retry { after, reason: waiting.reason },
                    Some(after) => Outcome::Park { after, reason: waiting.reason },
                })
            }
        }
        drop(ticket);
    }

    fn note_try(&self, message: &Message, result: &Result<(), DeliveryError>, took: Duration) {
        let event = if result.is_ok() { Event::Delivered } else { Event::Failed };
        self.desk.journal.note(&Entry {
            destination: Some(&self.name),
            attempt: message.attempt.saturating_add(1),
            status: result.as_ref().err().map(|error| shortened(&error.class)),
            took: Some(took),
            ..Entry::new(clock::now_ms(), event, message)
        });
    }

    /// Notes that a message from `delayed` goes back there; one that is only given back has not
    /// changed.
    fn note_waiting(&self, message: &Message, waiting: &Waiting) {
        let Some(wait) = waiting.due else { return };
        let attempts = message.attempt + u32::from(waiting.attempted);
        let due = clock::now_ms().saturating_add(ceil_ms(wait));
        self.note(waiting.event(), message, attempts, &waiting.reason, Some(due));
    }

    fn note(&self, event: Event, message: &Message, attempt: u32, reason: &Reason, due: Option<Millis>) {
        let reason = reason.to_string();
        self.desk.journal.note(&Entry {
            destination: Some(&self.name),
            attempt,
            reason: Some(&reason),
            due,
            ..Entry::new(clock::now_ms(), event, message)
        });
    }

    fn parcel(
        &self,
        offer: Offer,
        key: Option<u64>,
        waiting: Waiting,
        guard: Option<Arc<KeyGuard>>,
        parking: Option<Parking>,
    ) -> Parcel {
        let now = clock::now_ms();
        let event = waiting.event();
        let mut message = Message::clone(&offer.message);
        let due = waiting.due.map(|wait| now.saturating_add(ceil_ms(wait)));
        let not_before = due.into_iter().chain(message.deliver_at).max();
        mark_waiting(&mut message, waiting.reason, waiting.attempted, not_before.unwrap_or(now));
        message.deliver_at = not_before;
        message.destination = Some(self.name.to_string());
        message.parked = Some(now);
        let group = key.map(|key| Group { key, position: offer.position });
        Parcel {
            publication: Publication { queue: Queue::Delayed, message, group },
            part: offer.part,
            event,
            guard,
            parking,
            alone: false,
        }
    }

    fn dead_parcel(&self, message: &Message, part: Part, reason: Reason, attempts: u32) -> Parcel {
        let mut message = message.clone();
        message.destination = Some(self.name.to_string());
        mark_dead(&mut message, reason, attempts, &self.origin, clock::now_ms());
        Parcel {
            publication: Publication::new(Queue::Dead, message),
            part,
            event: Event::Dead,
            guard: None,
            parking: None,
            alone: false,
        }
    }
}

/// Why, and until when, a message waits.
struct Waiting {
    reason: Reason,
    attempted: bool,
    due: Option<Duration>,
}

impl Waiting {
    fn event(&self) -> Event {
        match self.due {
            None => Event::Diverted,
            Some(_) if self.attempted => Event::Retried,
            Some(_) => Event::Parked,
        }
    }
}

/// A class goes into an attribute of the message, which must stay small.
fn shortened(class: &str) -> &str {
    class.char_indices().nth(64).map_or(class, |(end, _)| &class[..end])
}

fn ceil_ms(wait: Duration) -> u64 {
    u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
