//! Whether a bus still does what it is given, for whoever watches over the process.

use std::sync::{Arc, PoisonError, Weak};

use actix::ArbiterHandle;
use busway_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

use crate::engine::Engine;
use crate::runtime::Runtime;

/// Feels the pulse of a running bus. It does not keep the bus.
#[derive(Clone)]
pub struct Pulse {
    engine: Weak<Engine>,
    arbiters: Vec<ArbiterHandle>,
}

impl Runtime {
    /// What tells whether the bus, as it runs now, answers.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let arbiters = threads.iter().map(|thread| thread.arbiter().clone()).collect();
        Pulse { engine: Arc::downgrade(&self.engine), arbiters }
    }
}

impl Pulse {
    /// Answers when each thread of actors, the runtime of deliveries and the transport have come to
    /// what they are given now. It has no time-out: a bus that hangs never answers.
    ///
    /// Cancelling it loses nothing.
    ///
    /// # Errors
    /// `Closed` once the bus has stopped; why the transport can do no work any more.
    pub async fn answers(&self) -> Result<()> {
        let gone = || Error::new("feel the pulse", ErrorKind::Closed, "the bus has stopped");
        for arbiter in &self.arbiters {
            let (tell, told) = oneshot::channel();
            let asked = arbiter.spawn_fn(move || {
                // Nobody waits for the answer where this was cancelled.
                tell.send(()).ok();
            });
            if !asked || told.await.is_err() {
                return Err(gone());
            }
        }
        let engine = self.engine.upgrade().ok_or_else(gone)?;
        let (io, transport) = (engine.io.clone(), Arc::clone(&engine.transport));
        drop(engine);
        io.spawn(async move { transport.answers().await }).await.map_err(|_| gone())?
    }
}
