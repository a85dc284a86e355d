//! Reloads that clients of the HTTP interface ask for: made by the daemon's loop, one at a time.

use std::sync::Arc;

use busway::core::{Error, ErrorKind, Result};
use busway::holder::{Reload, Reloaded};
use tokio::sync::{mpsc, oneshot};

/// How many may wait.
const WAITING: usize = 4;

/// Where the daemon finds what it was asked for.
pub(super) struct Asked {
    sender: mpsc::Sender<Reply>,
    receiver: mpsc::Receiver<Reply>,
}

/// To whoever asked; dropped, it says that the daemon stops.
pub(super) struct Reply(oneshot::Sender<Result<Reloaded>>);

impl Asked {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        Self { sender, receiver }
    }

    /// What asks. Left by its caller, what was asked for is done all the same.
    pub(super) fn ask(&self) -> Reload {
        let sender = self.sender.clone();
        Arc::new(move || {
            let sender = sender.clone();
            Box::pin(async move {
                let (reply, answer) = oneshot::channel();
                let stops = || Error::new("reload", ErrorKind::Closed, "the bus stops");
                sender.try_send(Reply(reply)).map_err(|error| match error {
                    mpsc::error::TrySendError::Full(_) => {
                        Error::new("reload", ErrorKind::Conflict, "other reloads are under way")
                            .advise("ask again when they are done")
                    }
                    mpsc::error::TrySendError::Closed(_) => stops(),
                })?;
                answer.await.map_err(|_| stops())?
            })
        })
    }

    /// Waits to be asked. Cancelling it loses nothing.
    pub(super) async fn next(&mut self) -> Reply {
        match self.receiver.recv().await {
            Some(reply) => reply,
            // It has a sender of its own.
            None => std::future::pending().await,
        }
    }
}

impl Reply {
    /// Answers.
    pub(super) fn give(self, reloaded: Result<Reloaded>) {
        if self.0.send(reloaded).is_err() {
            tracing::debug!("a client left before its reload was done");
        }
    }
}
