//! The cron mode: take what is ready, deliver it, end.

use std::time::{Duration, Instant};

use busway_core::admin::{OnceReport, OnceRequest};
use busway_core::transport::{Depth, Selector};
use busway_core::{Queue, Result};

use crate::runtime::Runtime;

/// How often in a row nothing may have moved before what is left is taken to be held back (a paused
/// account, say). Looks are counted, and not the time, in which a process may have been frozen.
const STILL_LOOKS: u32 = 250;
const LOOK: Duration = Duration::from_millis(2);

impl Runtime {
    /// Takes in what is ready, up to the limit, until nothing that may be delivered is left or the
    /// limit is reached; then drains within the grace. What is due later stays. A bus that takes
    /// in already finds nothing.
    pub(crate) async fn once(&self, request: OnceRequest) -> Result<OnceReport> {
        let begun = self
            .take_in(|| {
                self.engine.quota.limit(request.limit);
                if let (Some(workers), Some(target)) = (request.workers, self.engine.desks.targets.first()) {
                    target.workers.set_total(workers);
                }
            })
            .await?;
        if !begun {
            return Ok(OnceReport::default());
        }
        let started = Instant::now();
        let (mut seen, mut still) = (self.moved(), 0);
        loop {
            let moved = self.moved();
            still = if moved == seen { still + 1 } else { 0 };
            seen = moved;
            let idle = self.engine.in_hand() == 0 && self.engine.desk.idle();
            if self.engine.drains() {
                break;
            }
            if idle
                && (request.limit.is_some_and(|limit| self.received() >= limit)
                    || !self.anything_ready().await?
                    || still > STILL_LOOKS)
            {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        self.drain(self.flow.shutdown_grace).await;
        Ok(self.report(started))
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
        for target in self.engine.desks.targets.iter().filter(|target| !target.gate.shut()) {
            let selector = Selector::Destination(target.name.clone());
            if ready(transport.inspect(&Queue::Delayed, &selector).await?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn report(&self, started: Instant) -> OnceReport {
        let totals = &self.engine.totals;
        let mut report = OnceReport {
            received: self.received(),
            diverted: totals.shared.get(),
            dead: totals.dead.get(),
            seconds: started.elapsed().as_secs_f64(),
            ..OnceReport::default()
        };
        for target in &self.engine.desks.targets {
            report.delivered += target.figures.delivered.get();
            report.diverted += target.figures.diversions();
            report.retried += target.figures.retried.get();
        }
        report
    }
}
