//! The Subscriber: one endpoint's deliveries. It starts calls while its gate, a worker and messages
//! are there; each call is a task of its own.

use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;

use crate::deliver::{Holds, deliver};
use crate::faults::Faults;
use crate::inbox::Poke;
use crate::settings::Settings;
use crate::target::Target;

/// The actor of one endpoint.
pub(crate) struct Subscriber {
    pub(crate) target: Arc<Target>,
    pub(crate) faults: Faults,
    pub(crate) io: tokio::runtime::Handle,
}

impl Actor for Subscriber {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.faults.pass("subscriber.started");
        self.target.room.bell().attach(ctx.address().recipient());
    }
}

impl Handler<Poke> for Subscriber {
    type Result = ();

    fn handle(&mut self, _: Poke, _: &mut Self::Context) {
        self.target.room.bell().answer();
        self.faults.pass("subscriber");
        self.target.workers.content(self.target.index);
        if self.target.gate.shut() {
            return self.target.clear_room();
        }
        while self.target.room.len() > 0 && self.start_call() {}
    }
}

impl Subscriber {
    /// How many messages the next call may carry; none while the endpoint's rate is used up, in
    /// which case this actor is poked when it is not.
    fn allowance(&self, settings: &Settings) -> Option<usize> {
        let most = settings.spec.endpoint.max_batch().max(1).min(self.target.room.len());
        let Some(pace) = &settings.pace else { return Some(most) };
        match pace.take(most, Instant::now()) {
            Ok(count) => Some(count),
            Err(at) if pace.set_alarm() => {
                let (target, pace) = (Arc::clone(&self.target), Arc::clone(pace));
                self.io.spawn(async move {
                    tokio::time::sleep_until(at.into()).await;
                    pace.rang();
                    target.room.bell().ring();
                });
                None
            }
            Err(_) => None,
        }
    }

    /// Starts one call; whether it did.
    fn start_call(&self) -> bool {
        let target = &self.target;
        let Some(call) = target.gate.call() else { return false };
        let Some(worker) = target.workers.take(target.index) else { return false };
        let settings = target.settings.load_full();
        let Some(most) = self.allowance(&settings) else { return false };
        let mut count = 0;
        let jobs = target.room.take_while(|_| {
            count += 1;
            count <= most
        });
        if jobs.is_empty() {
            return false;
        }
        let holds = Holds { call, worker };
        let (task_target, faults) = (Arc::clone(target), self.faults.clone());
        self.io.spawn(async move {
            deliver(Arc::clone(&task_target), settings, jobs, holds, faults).await;
            task_target.room.bell().ring();
        });
        true
    }
}
