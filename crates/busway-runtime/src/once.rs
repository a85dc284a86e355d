//! The cron mode: take what is ready, deliver it, end.

use std::time::{Duration, Instant};

use busway_core::admin::{OnceReport, OnceRequest};
use busway_core::transport::{Depth, Selector};
use busway_core::{Queue, Result};

use crate::runtime::Runtime;

/// How often in a row nothing may have moved before what is left is taken to be held back (a paused
/// account, say). Counted in looks, so that a process that was stopped for a while is not taken for still.
const STILL: u32 = 250;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(2);

impl Runtime {
    /// Takes in what is ready, up to the limit, until nothing that may be delivered is left or the
    /// limit is reached; then finishes what is in hand within the grace. What is due later stays. A
    /// bus that takes in already finds nothing. The bus publishes meanwhile and after it, and can be
    /// asked again.
    ///
    /// Cancelled, the bus goes on to take in until it is stopped.
    pub(crate) async fn once(&self, request: OnceRequest) -> Result<OnceReport> {
        let begun = self
            .take_in(|| {
                self.engine.quota.limit(request.limit);
                let workers = request.workers.unwrap_or(self.flow.workers);
                self.engine.desks.workers.set_total(workers);
            })
            .await?;
        if !begun {
            return Ok(OnceReport::default());
        }
        let (started, before) = (Instant::now(), self.counted());
        let (mut moved, mut still) = (self.moved(), 0);
        while !self.engine.drains() {
            let now = self.moved();
            still = if now == moved { still + 1 } else { 0 };
            moved = now;
            let reached = || request.limit.is_some_and(|limit| self.received() - before.received >= limit);
            if self.engine.in_hand() == 0 && (reached() || still > STILL || !self.anything_ready().await?) {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        self.leave_off(self.flow.shutdown_grace).await;
        Ok(since(&before, &self.counted(), started))
    }

    fn moved(&self) -> u64 {
        let totals = &self.engine.totals;
        totals.received.get() + totals.read_back.get() + totals.settled.get() + totals.parked.get()
    }

    fn received(&self) -> u64 {
        self.engine.totals.received.get() + self.engine.totals.found.get()
    }

    async fn anything_ready(&self) -> Result<bool> {
        let transport = &self.engine.transport;
        // What is in flight and not in hand is on its way here.
        let ready = |depth: Depth| {
            depth.ready.is_none_or(|count| count > 0) || depth.in_flight.is_some_and(|count| count > 0)
        };
        if ready(transport.inspect(&Queue::Priority, &Selector::All).await?)
            || ready(transport.inspect(&Queue::Delayed, &Selector::NoDestination).await?)
        {
            return Ok(true);
        }
        let board = self.engine.desks.board.load_full();
        for target in board.targets.iter().filter(|target| !target.gate.shut()) {
            let selector = Selector::Destination(target.name.clone());
            if ready(transport.inspect(&Queue::Delayed, &selector).await?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the bus has done since it was started.
    fn counted(&self) -> OnceReport {
        let totals = &self.engine.totals;
        let mut report = OnceReport {
            received: self.received(),
            diverted: totals.shared.get(),
            dead: totals.dead.get(),
            ..OnceReport::default()
        };
        for target in &self.engine.desks.board.load().targets {
            report.delivered += target.figures.delivered.get();
            report.diverted += target.figures.diversions();
            report.retried += target.figures.retried.get();
        }
        report
    }
}

fn since(before: &OnceReport, now: &OnceReport, started: Instant) -> OnceReport {
    OnceReport {
        received: now.received - before.received,
        delivered: now.delivered - before.delivered,
        diverted: now.diverted - before.diverted,
        retried: now.retried - before.retried,
        dead: now.dead - before.dead,
        seconds: started.elapsed().as_secs_f64(),
    }
}
