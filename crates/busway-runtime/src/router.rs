//! The Router: turns each message into deliveries or diversions, at once. It never waits for an
//! endpoint.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use actix::prelude::*;
use arc_swap::ArcSwap;
use busway_core::journal::Event;
use busway_core::transport::mark_dead;
use busway_core::{Message, Publication, Queue, Reason, clock};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;

use crate::board::Board;
use crate::faults::Faults;
use crate::figures::Totals;
use crate::inbox::{Inbox, Poke};
use crate::lanes_open::LanesOpen;
use crate::producer::{Desk, Parcel};
use crate::routes::Destinations;
use crate::share::Shares;
use crate::source::Part;
use crate::target::{Offer, Target};
use crate::turns::TurnsBoard;
use crate::workers::Workers;

/// Messages routed before the mailbox is looked at again.
const BURST: usize = 256;
/// Panics one message may cause here before it is taken to be their cause.
const TRIES: u8 = 3;

/// A message that came from a queue and has no destination yet.
pub(crate) struct Arrival {
    pub(crate) message: Arc<Message>,
    pub(crate) part: Part,
    pub(crate) position: Option<u64>,
    pub(crate) deliveries: Option<u32>,
    pub(crate) way: ArrivedBy,
    pub(crate) tries: u8,
}

/// Where a message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArrivedBy {
    /// From `priority`: its account's share is looked at.
    Priority,
    /// Read back from `delayed`, where it had been put for its account's share.
    ReadBack,
}

/// What the intake gives to the router, in order.
pub(crate) enum Incoming {
    /// A message.
    Arrival(Arrival),
    /// All that was on `priority` when the process started has come before this.
    CaughtUp,
}

/// What routing is done by; it outlives the actor.
pub(crate) struct Desks {
    pub(crate) inbox: Inbox<Incoming>,
    pub(crate) board: ArcSwap<Board>,
    /// Rings when the board is replaced.
    pub(crate) replaced: Notify,
    pub(crate) workers: Arc<Workers>,
    pub(crate) shares: Mutex<Shares>,
    pub(crate) turns: TurnsBoard,
    pub(crate) desk: Arc<Desk>,
    pub(crate) totals: Arc<Totals>,
    pub(crate) origin: String,
    pub(crate) max_deliveries: u32,
    pub(crate) lanes_open: LanesOpen,
}

/// What is to be done with a message.
enum Plan {
    Dead(Reason),
    /// To `delayed`, once, before its deliveries begin.
    Share(Destinations),
    To {
        destinations: Destinations,
        loud: bool,
    },
}

/// The actor.
pub(crate) struct Router {
    pub(crate) desks: Arc<Desks>,
    pub(crate) faults: Faults,
    pub(crate) io: tokio::runtime::Handle,
}

impl Actor for Router {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.faults.pass("router.started");
        self.desks.inbox.bell().attach(ctx.address().recipient());
    }
}

impl Handler<Poke> for Router {
    type Result = ();

    fn handle(&mut self, _: Poke, _: &mut Self::Context) {
        self.desks.inbox.bell().answer();
        for _ in 0..BURST {
            let board = self.desks.board.load();
            // The message stays in the inbox until it is known what to do with it, so that a panic
            // on the way there neither loses it nor lets a later one overtake it.
            let looked = self.desks.inbox.with_first(|incoming| match incoming {
                Incoming::CaughtUp => None,
                Incoming::Arrival(arrival) => {
                    arrival.tries += 1;
                    if arrival.tries > TRIES {
                        return Some(Plan::Dead(Reason::error("panic")));
                    }
                    self.faults.pass("router");
                    Some(self.desks.plan(&board, arrival))
                }
            });
            // Nothing was there: what has come since pokes again.
            let Some(plan) = looked else { return };
            match (plan, self.desks.inbox.pop()) {
                (Some(plan), Some(Incoming::Arrival(arrival))) => self.desks.carry_out(&board, plan, arrival),
                (None, Some(Incoming::CaughtUp)) => self.desks.lanes_open.open(),
                _ => return,
            }
        }
        // A poke from here would be handled before the other actors of this thread have a turn.
        let desks = Arc::clone(&self.desks);
        self.io.spawn(async move {
            tokio::task::yield_now().await;
            desks.inbox.bell().ring();
        });
    }
}

impl Desks {
    /// Counts a message of this account that is on its way to be delivered.
    pub(crate) fn count(&self, account: &str) {
        self.lock_shares().count(account, Instant::now());
    }

    /// Deliveries that succeeded, over all endpoints.
    pub(crate) fn delivered(&self) -> u64 {
        self.board.load().targets.iter().map(|target| target.figures.delivered.get()).sum()
    }

    /// Whether a message of an account within its share waits for a worker.
    pub(crate) fn quiet_waits(&self) -> bool {
        let shares = self.lock_shares();
        self.board.load().targets.iter().any(|target| target.waits(|account| !shares.over(account)))
    }

    /// How many messages diverted for share could be routed without being parked once more: the
    /// places that an account over its share has behind the gate with most, but for those that are
    /// read back and not routed yet.
    pub(crate) fn room_for_shared(&self) -> usize {
        let free = |target: &Arc<Target>| target.gate.free_to_loud();
        let room = self.board.load().targets.iter().map(free).max().unwrap_or_default();
        let read_back =
            |incoming: &Incoming| matches!(incoming, Incoming::Arrival(a) if a.way == ArrivedBy::ReadBack);
        room.saturating_sub(self.inbox.count(read_back))
    }

    /// Waits until a gate is open, or the endpoints change.
    pub(crate) async fn any_open(&self) {
        let board = self.board.load_full();
        tokio::select! {
            () = self.replaced.notified() => {}
            () = first(board.targets.iter().map(|target| target.gate.open())) => {}
        }
    }

    /// Waits until a gate changes, or the endpoints do.
    pub(crate) async fn any_changed(&self) {
        let board = self.board.load_full();
        tokio::select! {
            () = self.replaced.notified() => {}
            () = first(board.targets.iter().map(|target| target.gate.changed())) => {}
        }
    }

    pub(crate) fn lock_shares(&self) -> MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plan(&self, board: &Board, arrival: &Arrival) -> Plan {
        let message = &arrival.message;
        if message.expires_at.is_some_and(|at| at < clock::now_ms()) {
            return Plan::Dead(Reason::Expired);
        }
        if arrival.deliveries.is_some_and(|n| n > self.max_deliveries) {
            return Plan::Dead(Reason::error("crash"));
        }
        let destinations = match &message.destination {
            Some(name) => board.target(name).map(|target| target.index).into_iter().collect(),
            None => board.routes.destinations(message),
        };
        if destinations.is_empty() {
            return Plan::Dead(Reason::Unroutable);
        }
        let account = message.account_or_dash();
        let paused = self.turns.paused(account);
        let shares = self.lock_shares();
        let loud = shares.over(account);
        let diverted = arrival.way == ArrivedBy::Priority
            && loud
            && destinations
                .iter()
                .any(|d| board.targets[*d].waits(|other| other != account && !shares.over(other)));
        if paused || diverted { Plan::Share(destinations) } else { Plan::To { destinations, loud } }
    }

    fn carry_out(&self, board: &Board, plan: Plan, arrival: Arrival) {
        let Arrival { message, part, position, .. } = arrival;
        self.count(message.account_or_dash());
        match plan {
            Plan::Dead(reason) => self.bury(&message, part, reason),
            Plan::To { destinations, loud } => {
                for (part, destination) in part.split(destinations.len()).into_iter().zip(&destinations) {
                    let offer = Offer { message: Arc::clone(&message), part, position };
                    board.targets[*destination].offer(offer, loud);
                }
            }
            Plan::Share(destinations) => self.divert(board, &message, part, position, &destinations),
        }
    }

    /// One copy without a destination, unless an ordered endpoint is among the destinations: its
    /// copy goes to the lane of its key, or later messages would overtake it.
    fn divert(
        &self,
        board: &Board,
        message: &Arc<Message>,
        part: Part,
        position: Option<u64>,
        destinations: &[usize],
    ) {
        let ordered = destinations.iter().any(|d| board.targets[*d].lanes.key(message).is_some());
        if ordered || message.destination.is_some() {
            for (part, destination) in part.split(destinations.len()).into_iter().zip(destinations) {
                let offer = Offer { message: Arc::clone(message), part, position };
                board.targets[*destination].divert(offer, Reason::Share);
            }
            return;
        }
        self.totals.shared.add(1);
        let mut copy = Message::clone(message);
        copy.reason = Some(Reason::Share);
        copy.parked = Some(clock::now_ms());
        self.desk.send([Parcel {
            publication: Publication::new(Queue::Delayed, copy),
            part,
            event: Event::Diverted,
            guard: None,
            parking: None,
            alone: false,
        }]);
    }

    fn bury(&self, message: &Message, part: Part, reason: Reason) {
        let mut copy = message.clone();
        let attempts = copy.attempt;
        mark_dead(&mut copy, reason, attempts, &self.origin, clock::now_ms());
        self.desk.send([Parcel {
            publication: Publication::new(Queue::Dead, copy),
            part,
            event: Event::Dead,
            guard: None,
            parking: None,
            alone: false,
        }]);
    }
}

/// Waits for the first of these, for ever where there are none.
async fn first(all: impl Iterator<Item = impl Future<Output = ()>>) {
    if all.collect::<FuturesUnordered<_>>().next().await.is_none() {
        std::future::pending().await
    }
}
