//! Threads of the bus's own: actix systems for the actors, a tokio runtime for transports and
//! deliveries. `Actor::start` panics inside a plain tokio runtime, so a bus never uses its caller's.

use std::thread::JoinHandle;

use actix::{ArbiterHandle, System};
use busway_core::{Error, ErrorKind, Result};

/// A thread with an actix system in which actors live.
pub(crate) struct ActorThread {
    arbiter: ArbiterHandle,
    system: System,
    thread: Option<JoinHandle<()>>,
}

impl ActorThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// `Internal` where the operating system gives no thread.
    pub(crate) fn start(name: &str) -> Result<Self> {
        let failed = |detail: &str| Error::new("start", ErrorKind::Internal, detail.to_owned());
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let runner = System::new();
                if send.send((System::current(), System::current().arbiter().clone())).is_ok()
                    && let Err(error) = runner.run()
                {
                    tracing::error!(%error, "an actor thread ended with an error");
                }
            })
            .map_err(|e| failed("no thread for actors").caused_by(e))?;
        let (system, arbiter) = receive.recv().map_err(|e| failed("the actor thread died").caused_by(e))?;
        Ok(Self { arbiter, system, thread: Some(thread) })
    }

    /// Where actors are started from other threads.
    pub(crate) fn arbiter(&self) -> &ArbiterHandle {
        &self.arbiter
    }
}

impl Drop for ActorThread {
    fn drop(&mut self) {
        self.system.stop();
        let Some(thread) = self.thread.take() else { return };
        // The last handle of a bus may be dropped by one of its own actors.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("an actor thread had panicked");
        }
    }
}
