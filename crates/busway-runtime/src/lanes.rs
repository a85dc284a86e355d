//! Order at one endpoint: one message of a key at a time, in the order in which they came.
//!
//! A key runs in the process while nothing of its lane is parked: later messages wait behind the
//! one that runs. Once something of a lane is parked, everything later of that lane is parked too,
//! each copy with its place (the position it had on `priority`), and comes back through the
//! transport's group: the head alone, in order of place, however late an earlier one was parked.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use busway_core::Message;

use crate::copies::{Check, Copies};
use crate::job::{Home, Job};
use crate::options::Order;

const LANES: usize = 256;

/// The lanes of one ordered endpoint. They outlive its actor.
pub(crate) struct Lanes {
    by: Order,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Parked messages by lane, counted while `known`.
    parked: Vec<u32>,
    /// Whether the counts are those of the queue: not at start, when a process before this one may
    /// have left messages parked, nor after an outcome that is not known.
    known: bool,
    /// Changes whenever the counts stop being known; tickets of another epoch do not count.
    epoch: u64,
    /// Rises with every message parked, so that a proof of emptiness can tell that it is stale.
    parkings: u64,
    /// Copies that are not durable yet, and so not seen in the queue.
    copies: Copies,
    keys: HashMap<u64, Key>,
    /// Tells messages of one place apart.
    arrivals: u64,
    closed: bool,
}

#[derive(Default)]
struct Key {
    waiting: BTreeMap<(u64, u64), Job>,
}

/// What becomes of a message that comes to an ordered endpoint.
pub(crate) enum Admission {
    /// Deliver it now.
    Run(Job),
    /// It waits behind an earlier one.
    Waits,
    /// It must be parked.
    Park(Job),
}

impl Lanes {
    pub(crate) fn new(by: Order) -> Arc<Self> {
        let state = State { parked: vec![0; LANES], ..State::default() };
        Arc::new(Self { by, state: Mutex::new(state) })
    }

    /// Whether the endpoint keeps order.
    pub(crate) fn ordered(&self) -> bool {
        self.by != Order::None
    }

    /// By what it does.
    pub(crate) fn by(&self) -> Order {
        self.by
    }

    /// The key of a message as a number, `None` where it is not ordered.
    pub(crate) fn key(&self, message: &Message) -> Option<u64> {
        let text = match self.by {
            Order::None => return None,
            Order::PartitionKey => message.partitionkey.as_deref()?,
            Order::Account => message.account_or_dash(),
        };
        Some(hash(text))
    }

    /// Whether a message of this key must go through `delayed` because an earlier one may be there.
    pub(crate) fn must_park(&self, key: u64) -> bool {
        let state = self.lock();
        !state.known || state.parked[lane(key)] > 0
    }

    /// Admits a message that came from `priority`. It must hold a place behind the gate.
    pub(crate) fn admit(&self, key: u64, job: Job) -> Admission {
        let mut state = self.lock();
        if !state.known || state.parked[lane(key)] > 0 {
            return Admission::Park(job);
        }
        state.admit(key, job)
    }

    /// To be taken before a receive, and kept until all that came has been admitted; one reading at
    /// a time.
    pub(crate) fn reading(self: &Arc<Self>) -> Reading {
        Reading { number: self.lock().copies.begin_reading(), lanes: Arc::clone(self) }
    }

    /// Admits a message that was received in this reading. While an earlier copy of its key is not
    /// durable it stays out of the way, and is given back to its queue when that copy stands before
    /// it; so it is at once where one has become durable since the reading began, for it was chosen
    /// before that one was there. Later copies of its key do not concern it: under a steady flow
    /// there is always one on its way.
    pub(crate) fn admit_read_back(&self, key: u64, job: Job, reading: u64) -> Admission {
        let mut state = self.lock();
        match state.copies.check(key, job, reading) {
            Check::Clear(job) => state.admit(key, job),
            Check::Kept => Admission::Waits,
            Check::Outdated(job) => Admission::Park(job),
        }
    }

    /// The message that ran is delivered or dead: the next of its key.
    pub(crate) fn next(&self, key: u64) -> Option<Job> {
        let mut state = self.lock();
        let entry = state.keys.get_mut(&key)?;
        match entry.waiting.pop_first() {
            Some((_, job)) => Some(job),
            None => {
                state.keys.remove(&key);
                None
            }
        }
    }

    /// The message that ran goes back to wait, and with it all that waited behind it: they are
    /// returned and, with the one that ran, counted as parked where they came from `priority`. The
    /// key stays busy until the guard is dropped, after the last of them is durable.
    pub(crate) fn hold(self: &Arc<Self>, key: u64, ran: &Job) -> (Vec<Job>, Arc<KeyGuard>) {
        let mut state = self.lock();
        let waiting = std::mem::take(&mut state.keys.entry(key).or_default().waiting);
        for job in waiting.values().chain([ran]).filter(|job| job.home == Home::Priority) {
            state.count(key, job.position);
        }
        (waiting.into_values().collect(), Arc::new(KeyGuard { lanes: Arc::clone(self), key }))
    }

    /// Counts a message as parked, before its copy is published; `position` is its place in the
    /// order of its key.
    pub(crate) fn parking(self: &Arc<Self>, key: u64, position: Option<u64>) -> Parking {
        self.lock().count(key, position);
        self.held(key, position)
    }

    /// For a message that [`Lanes::hold`] has counted as parked.
    pub(crate) fn held(self: &Arc<Self>, key: u64, position: Option<u64>) -> Parking {
        Parking { lanes: Arc::clone(self), key, position }
    }

    /// What must be passed to [`Lanes::proven_empty`] later; none while a copy is not durable, for
    /// then nothing can be proven.
    pub(crate) fn parkings(&self) -> Option<u64> {
        let state = self.lock();
        state.copies.none().then_some(state.parkings)
    }

    /// The queue was seen to hold nothing for this endpoint, ready, delayed or in flight, after
    /// `parkings` messages had been parked: from here on the counts are exact.
    pub(crate) fn proven_empty(&self, parkings: u64) {
        let mut state = self.lock();
        if !state.known && state.parkings == parkings && state.keys.is_empty() {
            state.parked.fill(0);
            state.known = true;
        }
    }

    /// It is not known whether a copy was stored, or is gone: the counts may be wrong until the
    /// queue is proven empty again.
    pub(crate) fn forget(&self) {
        let mut state = self.lock();
        state.known = false;
        state.epoch += 1;
    }

    /// Drops what waits and what still comes, at the end.
    pub(crate) fn close(&self) {
        let (keys, late) = {
            let mut state = self.lock();
            state.closed = true;
            (std::mem::take(&mut state.keys), state.copies.take_kept())
        };
        drop((keys, late));
    }

    /// Whether the counts are exact.
    pub(crate) fn known(&self) -> bool {
        self.lock().known
    }

    /// Messages counted as parked.
    pub(crate) fn parked(&self) -> u64 {
        self.lock().parked.iter().map(|n| u64::from(*n)).sum()
    }

    /// Keys with a message under way.
    pub(crate) fn busy(&self) -> usize {
        self.lock().keys.len()
    }

    /// A ticket for a message received from `delayed`.
    pub(crate) fn ticket(self: &Arc<Self>, key: u64) -> ParkedTicket {
        let state = self.lock();
        ParkedTicket { lanes: Arc::clone(self), key, epoch: state.known.then_some(state.epoch) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, key: u64, position: Option<u64>) {
        let parked = &mut self.parked[lane(key)];
        *parked = parked.saturating_add(1);
        self.parkings += 1;
        self.copies.begin(key, position);
    }

    fn admit(&mut self, key: u64, job: Job) -> Admission {
        if self.closed {
            return Admission::Park(job);
        }
        match self.keys.get_mut(&key) {
            Some(entry) => {
                self.arrivals += 1;
                entry.waiting.insert((job.position.unwrap_or(u64::MAX), self.arrivals), job);
                Admission::Waits
            }
            None => {
                self.keys.insert(key, Key::default());
                Admission::Run(job)
            }
        }
    }
}

/// A receive from `delayed` and the admission of what came; over when dropped.
pub(crate) struct Reading {
    lanes: Arc<Lanes>,
    number: u64,
}

impl Reading {
    /// What [`Lanes::admit_read_back`] knows it by.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.lanes.lock().copies.end_reading(self.number);
    }
}

/// A copy on its way to `delayed`; dropped when it is durable.
pub(crate) struct Parking {
    lanes: Arc<Lanes>,
    key: u64,
    position: Option<u64>,
}

impl Parking {
    /// It is not known whether the copy was stored.
    pub(crate) fn unsure(&self) {
        self.lanes.forget();
    }
}

impl Drop for Parking {
    fn drop(&mut self) {
        let freed = self.lanes.lock().copies.end(self.key, self.position);
        freed.into_iter().for_each(Job::give_back);
    }
}

/// Keeps a key busy; dropped, the key is free, and what was read back meanwhile is given back to
/// its queue, where what was parked before it now stands first.
pub(crate) struct KeyGuard {
    lanes: Arc<Lanes>,
    key: u64,
}

impl Drop for KeyGuard {
    fn drop(&mut self) {
        let late = self.lanes.lock().keys.remove(&self.key);
        for job in late.into_iter().flat_map(|key| key.waiting.into_values()) {
            job.give_back();
        }
    }
}

/// Says that a message was parked in a lane; used when the broker has settled it.
pub(crate) struct ParkedTicket {
    lanes: Arc<Lanes>,
    key: u64,
    /// The epoch in which the message was received, where the counts were exact: one received
    /// before that is not among those counted since.
    epoch: Option<u64>,
}

impl ParkedTicket {
    /// The message has left the queue for good.
    pub(crate) fn gone(self) {
        let mut state = self.lanes.lock();
        if state.known && self.epoch == Some(state.epoch) {
            let parked = &mut state.parked[lane(self.key)];
            *parked = parked.saturating_sub(1);
        }
    }

    /// It is not known whether the message has left the queue.
    pub(crate) fn unsure(self) {
        self.lanes.forget();
    }
}

/// The number of a key (FNV-1a, 64 bits): it is stored with parked messages, so it must be the same
/// in every version of the program.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn lane(key: u64) -> usize {
    usize::try_from(key % LANES as u64).unwrap_or_default()
}
