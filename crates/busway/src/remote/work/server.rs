//! The holder's end: what is handed out to handlers of other processes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use busway_core::transport::{ReceiverOptions, Selector, Want};
use busway_core::{Error, ErrorKind, Name, Outcome, Queue, Receipt, Receiver, Result, Transport};
use serde_json::value::RawValue;

use super::{
    ANSWER_BYTES, ANSWER_MESSAGES, Call, LONGEST_POLL, WireError, WireLeased, WireOutcome, WireResults, json,
};

/// Sessions at once. Each keeps a connection, and verbs must find one as well.
const MOST: usize = 32;

/// The queues of handlers that are open now, and what is handed out from them.
pub(crate) struct Sessions {
    transport: Arc<dyn Transport>,
    open: Mutex<HashMap<String, Arc<Session>>>,
}

/// One queue open on one connection.
struct Session {
    name: String,
    receiver: Arc<dyn Receiver>,
    held: Mutex<HashMap<u64, Receipt>>,
}

impl Sessions {
    pub(crate) fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport, open: Mutex::default() }
    }

    /// How many processes read the queue of this handler.
    pub(crate) fn readers(&self, name: &str) -> usize {
        self.lock().values().filter(|session| session.name == name).count()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, session: &str) -> Result<Arc<Session>> {
        self.lock().get(session).cloned().ok_or_else(|| {
            Error::new("call", ErrorKind::LeaseLost, "the connection that these were handed out on has ended")
        })
    }

    async fn open(&self, id: &str, name: String, lease: Duration) -> Result<Arc<Session>> {
        let queue = Queue::To(Name::new(&name)?);
        let options = ReceiverOptions { selector: Selector::All, lease: Some(lease), prefetch: None };
        let receiver = self.transport.receiver(&queue, options).await?;
        let session = Arc::new(Session { name, receiver, held: Mutex::default() });
        let mut open = self.lock();
        if open.len() >= MOST {
            return Err(Error::new("open", ErrorKind::Full, format!("{MOST} handlers are served already"))
                .at(queue)
                .advise("stop some of their processes"));
        }
        open.insert(id.to_owned(), Arc::clone(&session));
        Ok(session)
    }
}

/// One connection: at most one queue is open on it. Dropped, what it has in hand comes again.
pub(crate) struct Member {
    sessions: Arc<Sessions>,
    id: String,
    own: Mutex<Option<Arc<Session>>>,
}

impl Member {
    /// A connection with nothing open. `id` is never used again, not by a later holder either: a token
    /// of one store may be handed out again by the next process that holds it.
    pub(crate) fn new(sessions: Arc<Sessions>, id: String) -> Self {
        Self { sessions, id, own: Mutex::default() }
    }

    /// Answers a call about messages.
    ///
    /// # Errors
    /// `Configuration` for a call that is none of these; those of the transport.
    pub(crate) async fn answer(&self, call: Call) -> Result<Box<RawValue>> {
        match call {
            Call::Open { name, lease_ms } => {
                let session = self.sessions.open(&self.id, name, Duration::from_millis(lease_ms)).await?;
                *self.own.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
                json(&self.id)
            }
            Call::Ready { wait_ms } => {
                let wait = Duration::from_millis(wait_ms).min(LONGEST_POLL);
                json(&self.own()?.receiver.ready(Instant::now() + wait).await?)
            }
            Call::Receive { max, max_bytes } => json(&self.own()?.receive(max, max_bytes).await?),
            Call::Settle { session, outcomes } => {
                json(&wire(self.sessions.of(&session)?.settle(outcomes).await))
            }
            Call::Extend { session, tokens, by_ms } => {
                let session = self.sessions.of(&session)?;
                json(&wire(session.receiver.extend(&tokens, Duration::from_millis(by_ms)).await))
            }
            Call::Abandon { session, tokens } => {
                self.sessions.of(&session)?.abandon(&tokens);
                json(&())
            }
            Call::Join { .. } | Call::Leave { .. } => {
                Err(Error::new("call", ErrorKind::Configuration, "this is no call about messages"))
            }
        }
    }

    fn own(&self) -> Result<Arc<Session>> {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner).clone();
        own.ok_or_else(|| {
            Error::new("receive", ErrorKind::Configuration, "no queue is open on this connection")
        })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // A call that is still under way keeps the session until it has ended, and no longer.
        self.sessions.lock().remove(&self.id);
    }
}

impl Session {
    async fn receive(&self, max: usize, max_bytes: usize) -> Result<Vec<WireLeased>> {
        let want = Want {
            max: max.min(ANSWER_MESSAGES),
            max_bytes: max_bytes.min(ANSWER_BYTES),
            until: Instant::now(),
        };
        let mut batch = self.receiver.receive(want).await?;
        let wire: Vec<WireLeased> = batch.iter_mut().map(WireLeased::new).collect::<Result<_>>()?;
        let mut held = self.held();
        held.extend(batch.into_iter().map(|leased| (leased.receipt.token(), leased.receipt)));
        Ok(wire)
    }

    async fn settle(&self, outcomes: Vec<(u64, WireOutcome)>) -> Vec<Result<()>> {
        let found: Vec<Option<(Receipt, Outcome)>> = {
            let mut held = self.held();
            let taken = |(token, outcome): (u64, WireOutcome)| Some((held.remove(&token)?, outcome.into()));
            outcomes.into_iter().map(taken).collect()
        };
        let known: Vec<bool> = found.iter().map(Option::is_some).collect();
        let mut settled = self.receiver.settle(found.into_iter().flatten().collect()).await.into_iter();
        let result = |known: bool| match known {
            true => settled.next().unwrap_or_else(|| Err(lost())),
            false => Err(lost()),
        };
        known.into_iter().map(result).collect()
    }

    fn abandon(&self, tokens: &[u64]) {
        let mut held = self.held();
        let given_up: Vec<Receipt> = tokens.iter().filter_map(|token| held.remove(token)).collect();
        drop(held);
        drop(given_up);
    }

    fn held(&self) -> MutexGuard<'_, HashMap<u64, Receipt>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lost() -> Error {
    Error::new("settle", ErrorKind::LeaseLost, "it is not in hand any more")
}

fn wire(results: Vec<Result<()>>) -> WireResults {
    results.iter().map(|result| result.as_ref().err().map(WireError::from)).collect()
}
