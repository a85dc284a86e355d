//! A loop that an actor owns: it runs on the transports' runtime, ends with its actor, and its end
//! is told to the actor, panics included.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use actix::prelude::*;
use futures_util::FutureExt;

use crate::deliver::panic_message;

/// Tells an actor that a loop of its own has ended, and why.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Ended(pub(crate) String);

/// A running loop; dropped, it is cancelled.
pub(crate) struct Pump(tokio::task::JoinHandle<()>);

impl Pump {
    /// Runs `work` until it ends or the pump is dropped.
    pub(crate) fn start(
        io: &tokio::runtime::Handle,
        owner: Recipient<Ended>,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self(io.spawn(async move {
            let end = match AssertUnwindSafe(work).catch_unwind().await {
                Ok(()) => "it came to its end".to_owned(),
                Err(payload) => panic_message(&*payload),
            };
            owner.do_send(Ended(end));
        }))
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.abort();
    }
}
