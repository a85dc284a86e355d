//! The Intake: reads `priority` as fast as there is credit, and gives what it read to the router.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use busway_core::journal::{Entry, Event};
use busway_core::transport::{Selector, Want};
use busway_core::{ErrorClass, ErrorKind, Leased, Queue, clock};

use crate::engine::Engine;
use crate::pump::{Ended, Pump};
use crate::router::{Arrival, ArrivedBy, Incoming};
use crate::source::{Part, Slot};

const BATCH: usize = 256;
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long a share of a run's limit is held or waited for.
const QUOTA_WAIT: Duration = Duration::from_millis(10);
const FAULT: &str = "intake";

/// The actor that owns the reading loop.
pub(crate) struct Intake {
    pub(crate) engine: Arc<Engine>,
    pub(crate) pump: Option<Pump>,
}

impl Actor for Intake {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.engine.faults.pass("intake.started");
        let engine = Arc::clone(&self.engine);
        let work = async move { read(&engine).await };
        self.pump = Some(Pump::start(&self.engine.io, ctx.address().recipient(), work));
    }
}

impl Handler<Ended> for Intake {
    type Result = ();

    fn handle(&mut self, ended: Ended, ctx: &mut Self::Context) {
        tracing::warn!(why = %ended.0, "the reading of priority ended");
        ctx.stop();
    }
}

/// Reads until the bus drains; then waits for the end.
async fn read(engine: &Engine) {
    let reading = async {
        let mut wait = Duration::from_millis(50);
        loop {
            match engine.open(&Queue::Priority, Selector::All).await {
                Ok(slot) => {
                    wait = Duration::from_millis(50);
                    read_slot(engine, &slot).await;
                }
                Err(error) => engine.health.fault(FAULT, error.to_string()),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    };
    engine.read_until_draining(reading).await;
}

/// Reads one receiver until it has to be opened anew.
async fn read_slot(engine: &Engine, slot: &Arc<Slot>) {
    let mut mark = Mark::default();
    if mark.caught_up(engine).await {
        engine.desks.inbox.push(Incoming::CaughtUp);
    }
    loop {
        while engine.health.has("parking") {
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        let (messages, bytes) = engine.credit.available().await;
        let allowed = engine.quota.take(messages.min(BATCH));
        if allowed == 0 {
            // The read-back may give some of it back.
            tokio::time::sleep(QUOTA_WAIT).await;
            continue;
        }
        let wait = if engine.quota.limited() { QUOTA_WAIT } else { Duration::from_secs(1) };
        let want = Want { max: allowed, max_bytes: bytes, until: Instant::now() + wait };
        match slot.receiver.receive(want).await {
            Ok(batch) => {
                engine.health.clear(FAULT);
                engine.quota.give_back(allowed - batch.len().min(allowed));
                mark.see(engine, &batch);
                hand_over(engine, slot, batch);
                if mark.caught_up(engine).await {
                    engine.desks.inbox.push(Incoming::CaughtUp);
                }
                engine.faults.pass("intake");
            }
            Err(error) => {
                engine.quota.give_back(allowed);
                tracing::warn!(%error, "priority could not be read");
                engine.health.fault(FAULT, error.to_string());
                if error.class() != ErrorClass::Retry || error.kind() == ErrorKind::Closed {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

fn hand_over(engine: &Engine, slot: &Arc<Slot>, batch: Vec<Leased>) {
    engine.totals.received.add(batch.len() as u64);
    let now = clock::now_ms();
    for Leased { message, .. } in &batch {
        let accepted = Entry::new(message.accepted.unwrap_or(now), Event::Accepted, message);
        // As it was first accepted, also where it is a copy of a dead letter.
        engine.journal.note(&Entry { destination: None, attempt: 0, ..accepted });
    }
    let arrivals = batch.into_iter().map(|leased| {
        let permit = engine.credit.take(leased.message.weight());
        Incoming::Arrival(Arrival {
            part: Part::whole(slot, leased.receipt, leased.position, permit),
            message: Arc::new(leased.message),
            position: leased.position,
            deliveries: leased.deliveries,
            way: ArrivedBy::Priority,
            tries: 0,
        })
    });
    // Collected first: between receiving a message and its place in the inbox nothing may panic
    // or wait, or a later one could overtake it.
    let arrivals: Vec<_> = arrivals.collect();
    engine.desks.inbox.extend(arrivals);
}

/// Knows when all that was on `priority` at the start has been read: the queue was seen empty, or
/// nothing is ready below the first message that this process itself has published.
#[derive(Default)]
struct Mark {
    told: bool,
    empty: bool,
    own: Option<u64>,
}

impl Mark {
    fn see(&mut self, engine: &Engine, batch: &[Leased]) {
        if self.told {
            return;
        }
        self.empty = batch.is_empty();
        let own = batch
            .iter()
            .filter(|leased| leased.message.producer.as_deref() == Some(&*engine.desk.identity))
            .filter_map(|leased| leased.position)
            .min();
        self.own = self.own.into_iter().chain(own).min();
    }

    async fn caught_up(&mut self, engine: &Engine) -> bool {
        if self.told || engine.desks.lanes_open.is_open() {
            return false;
        }
        let depth = engine.transport.inspect(&Queue::Priority, &Selector::All).await.ok();
        let lowest = depth.and_then(|depth| depth.lowest_ready);
        let nothing_ready = depth.is_some_and(|depth| depth.ready == Some(0));
        self.told = match (self.own, lowest) {
            (Some(own), Some(lowest)) => lowest > own,
            _ => self.empty || nothing_ready,
        };
        self.told
    }
}
