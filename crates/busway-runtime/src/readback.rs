//! The Read-back: paces `delayed`. For each endpoint it takes places behind the gate first and then
//! reads as many messages, so that what it reads can run; what has no destination yet (diverted for
//! its account's share) is read when nobody within its share waits, and a twentieth of all
//! deliveries in any case.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use busway_core::transport::{Selector, Want};
use busway_core::{Queue, Result};

use crate::engine::Engine;
use crate::gate::Ticket;
use crate::inbox::Poke;
use crate::pump::{Ended, Pump};
use crate::router::{Arrival, ArrivedBy, Incoming};
use crate::source::{Part, Slot};
use crate::target::{Returned, Target};

const IDLE: Duration = Duration::from_secs(30);
/// Places taken at once for an endpoint.
const PLACES: usize = 512;
/// Bytes read at once.
const READ_BYTES: usize = 16 << 20;
const FIRST_REST: Duration = Duration::from_millis(10);
const LONGEST_REST: Duration = Duration::from_secs(5);
/// Share-diverted messages read at once.
const SHARED: usize = 32;
/// One in this many deliveries goes to what was diverted, whoever else waits.
const FLOOR: u64 = 20;

/// The actor that owns one loop for each endpoint and one for what has no destination.
pub(crate) struct ReadBack {
    engine: Arc<Engine>,
    /// Of the endpoints, in the order of their numbers.
    pumps: Vec<Pump>,
    shared: Option<Pump>,
}

impl ReadBack {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine, pumps: Vec::new(), shared: None }
    }
}

impl Actor for ReadBack {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.engine.faults.pass("read-back.started");
        let engine = Arc::clone(&self.engine);
        let work = async move { share_loop(&engine).await };
        self.shared = Some(Pump::start(&self.engine.io, ctx.address().recipient(), work));
        // Which pokes it for the endpoints that are there.
        self.engine.added.attach(ctx.address().recipient());
    }
}

impl Handler<Poke> for ReadBack {
    type Result = ();

    fn handle(&mut self, _: Poke, ctx: &mut Self::Context) {
        self.engine.added.answer();
        let board = self.engine.desks.board.load_full();
        for target in board.targets.iter().skip(self.pumps.len()) {
            let (engine, target) = (Arc::clone(&self.engine), Arc::clone(target));
            let work = async move { endpoint_loop(&engine, &target).await };
            self.pumps.push(Pump::start(&self.engine.io, ctx.address().recipient(), work));
        }
    }
}

impl Handler<Ended> for ReadBack {
    type Result = ();

    fn handle(&mut self, ended: Ended, ctx: &mut Self::Context) {
        tracing::warn!(why = %ended.0, "a read-back loop ended");
        ctx.stop();
    }
}

async fn endpoint_loop(engine: &Arc<Engine>, target: &Arc<Target>) {
    let selector = Selector::Destination(Arc::clone(&target.name));
    keep_reading(engine, &target.name, &selector, |slot| read_endpoint(engine, target, slot)).await;
}

async fn share_loop(engine: &Arc<Engine>) {
    keep_reading(engine, "-", &Selector::NoDestination, |slot| read_shared(engine, slot)).await;
}

/// Opens the receiver, and again after an error, until the bus drains.
async fn keep_reading<W: Future<Output = Result<()>>>(
    engine: &Engine,
    about: &str,
    selector: &Selector,
    read: impl Fn(Arc<Slot>) -> W,
) {
    let fault = format!("read-back {about}");
    let reading = async {
        let mut wait = Duration::from_millis(50);
        loop {
            let result = match engine.open(&Queue::Delayed, selector.clone()).await {
                Ok(slot) => {
                    engine.desks.turns.apply(&slot.receiver);
                    engine.health.clear(&fault);
                    wait = Duration::from_millis(50);
                    read(slot).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                tracing::warn!(%error, about, "delayed could not be read");
                engine.health.fault(&fault, error.to_string());
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(5));
        }
    };
    engine.read_until_draining(reading).await;
}

async fn read_endpoint(engine: &Arc<Engine>, target: &Arc<Target>, slot: Arc<Slot>) -> Result<()> {
    if target.lanes.ordered() {
        prove_lanes(engine, target).await?;
        engine.desks.lanes_open.wait().await;
    }
    let mut rest = FIRST_REST;
    loop {
        let idle = if target.lanes_unknown() { Duration::from_secs(1) } else { IDLE };
        if !slot.receiver.ready(Instant::now() + idle).await? {
            target.gate.set_backlog(false);
            prove_lanes(engine, target).await?;
            continue;
        }
        target.gate.set_backlog(true);
        let (messages, bytes) = target.read_credit.available().await;
        let mut places = target.gate.read_back_places(PLACES.min(messages)).await;
        let allowed = engine.quota.take(places.len());
        if allowed == 0 {
            drop(places);
            tokio::time::sleep(FIRST_REST).await;
            continue;
        }
        places.truncate(allowed);
        let taken = read_places(engine, target, &slot, places, bytes).await?;
        engine.faults.pass("read-back");
        if taken > 0 {
            rest = FIRST_REST;
            continue;
        }
        // A transport that cannot tell whether something is ready says that there is.
        target.gate.set_backlog(false);
        prove_lanes(engine, target).await?;
        tokio::time::sleep(rest).await;
        rest = (rest * 2).min(LONGEST_REST);
    }
}

/// Reads as many messages as there are places and gives each its place; returns how many.
async fn read_places(
    engine: &Engine,
    target: &Target,
    slot: &Arc<Slot>,
    places: Vec<Ticket>,
    bytes: usize,
) -> Result<usize> {
    let want = Want { max: places.len(), max_bytes: bytes.min(READ_BYTES), until: Instant::now() };
    let reading = target.lanes.reading();
    let received = slot.receiver.receive(want).await;
    let taken = received.as_ref().map_or(0, Vec::len);
    engine.quota.give_back(places.len().saturating_sub(taken));
    let batch = received?;
    engine.count_read_back(&batch);
    for (leased, place) in batch.into_iter().zip(places) {
        let permit = target.read_credit.take(leased.message.weight());
        engine.desks.count(leased.message.account_or_dash());
        target.take_back(Returned {
            part: Part::whole(slot, leased.receipt, leased.position, permit),
            message: Arc::new(leased.message),
            position: leased.position,
            deliveries: leased.deliveries,
            ticket: place,
            max_deliveries: engine.desks.max_deliveries,
            reading: reading.number(),
        });
    }
    Ok(taken)
}

/// Asks the transport whether nothing of an ordered endpoint is parked, where that is not known.
pub(crate) async fn prove_lanes(engine: &Engine, target: &Target) -> Result<()> {
    let (true, Some(parkings)) = (target.lanes_unknown(), target.lanes.parkings()) else {
        return Ok(());
    };
    let selector = Selector::Destination(Arc::clone(&target.name));
    let depth = engine.transport.inspect(&Queue::Delayed, &selector).await?;
    if [depth.ready, depth.delayed, depth.in_flight] == [Some(0); 3] {
        target.lanes.proven_empty(parkings);
    }
    Ok(())
}

async fn read_shared(engine: &Arc<Engine>, slot: Arc<Slot>) -> Result<()> {
    let mut delivered = engine.desks.delivered();
    loop {
        if !slot.receiver.ready(Instant::now() + IDLE).await? {
            continue;
        }
        let _again_in_time = tokio::time::timeout(IDLE, engine.desks.any_open()).await;
        let owed = engine.desks.delivered().saturating_sub(delivered) / FLOOR;
        let owed = usize::try_from(owed).unwrap_or(SHARED);
        let room = if engine.desks.quiet_waits() { 0 } else { engine.desks.room_for_shared() };
        let most = room.max(owed).min(SHARED);
        let allowed = engine.quota.take(most);
        if allowed == 0 {
            // In time also for what changes without a gate: who waits, and what a run may take.
            let _looks_anyway = tokio::time::timeout(FIRST_REST, engine.desks.any_changed()).await;
            continue;
        }
        delivered = engine.desks.delivered();
        let (_, bytes) = engine.shared_credit.available().await;
        let want = Want { max: allowed, max_bytes: bytes.min(READ_BYTES), until: Instant::now() };
        let batch = match slot.receiver.receive(want).await {
            Ok(batch) => batch,
            Err(error) => {
                engine.quota.give_back(allowed);
                return Err(error);
            }
        };
        engine.quota.give_back(allowed.saturating_sub(batch.len()));
        engine.count_read_back(&batch);
        let arrivals: Vec<Incoming> = batch
            .into_iter()
            .map(|leased| {
                let permit = engine.shared_credit.take(leased.message.weight());
                Incoming::Arrival(Arrival {
                    part: Part::whole(&slot, leased.receipt, leased.position, permit),
                    message: Arc::new(leased.message),
                    position: leased.position,
                    deliveries: leased.deliveries,
                    way: ArrivedBy::ReadBack,
                    tries: 0,
                })
            })
            .collect();
        if arrivals.is_empty() {
            tokio::time::sleep(FIRST_REST).await;
        }
        engine.desks.inbox.extend(arrivals);
        engine.faults.pass("read-back");
    }
}
