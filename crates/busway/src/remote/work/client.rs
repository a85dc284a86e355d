//! The other end: a receiver of a queue that another process hands out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use busway_core::delivery::AbandonSink;
use busway_core::transport::{Turns, Want};
use busway_core::{Error, ErrorKind, Leased, Outcome, Receipt, Receiver, Result};
use busway_embedded::socket::{Client, Connection};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::{Notify, mpsc, oneshot};

use super::{
    ANSWER_MESSAGES, Call, LONGEST_POLL, VERB, WireLeased, WireOutcome, WireResults, ceil_ms, json, read,
};

/// How long the holder may take for an answer, besides what it was asked to wait.
const ANSWER: Duration = Duration::from_secs(20);

/// Calls that wait for the connection: the loop that reads has one at a time.
const WAITING: usize = 4;

/// Reads the queue of a handler through the process that holds the store. What it has in hand is leased
/// to its connection, which a task of its own drives, so that a call that is given up leaves the
/// connection and the leases as they are.
pub(crate) struct Reader {
    client: Client,
    session: String,
    calls: mpsc::Sender<Asked>,
    sink: Arc<dyn AbandonSink>,
    closed: AtomicBool,
}

struct Asked {
    call: Call,
    answer: oneshot::Sender<Result<Box<RawValue>>>,
}

impl Reader {
    /// Opens the queue of `name`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// `Unavailable` where nobody holds the store; those of the holder.
    pub(crate) async fn open(client: Client, name: &str, lease: Duration) -> Result<Arc<dyn Receiver>> {
        let mut connection = client.dial().await?;
        let call = Call::Open { name: name.to_owned(), lease_ms: ceil_ms(lease) };
        let session: String = read(&connection.call(VERB, json(&call)?, ANSWER).await?)?;
        let (calls, asked) = mpsc::channel(WAITING);
        let sink = Arc::new(Dropped::default());
        tokio::spawn(drive(connection, session.clone(), asked, Arc::clone(&sink)));
        Ok(Arc::new(Self { client, session, calls, sink, closed: AtomicBool::new(false) }))
    }

    async fn ask<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let asked = Asked { call, answer };
        let gone = || Error::new("receive", ErrorKind::Unavailable, "the connection to the holder has ended");
        self.calls.send(asked).await.map_err(|_| gone())?;
        read(&answered.await.map_err(|_| gone())??)
    }

    /// A call that does not wait for those about messages.
    async fn aside<T: DeserializeOwned>(&self, call: &Call) -> Result<T> {
        read(&self.client.call(VERB, json(call)?, ANSWER).await?)
    }

    fn check(&self, operation: &'static str) -> Result<()> {
        match self.closed.load(Ordering::Acquire) {
            true => Err(Error::new(operation, ErrorKind::Closed, "the receiver was closed")),
            false => Ok(()),
        }
    }

    fn leased(&self, wire: WireLeased) -> Result<Leased> {
        let WireLeased { token, message, deliveries, position, enqueued } = wire;
        // First, so that a message that cannot be read is given up and not kept.
        let receipt = Receipt::new(token, Arc::clone(&self.sink));
        Ok(Leased { message: message.into_message()?, receipt, deliveries, position, enqueued })
    }
}

#[async_trait]
impl Receiver for Reader {
    async fn receive(&self, want: Want) -> Result<Vec<Leased>> {
        loop {
            self.check("receive")?;
            let call = Call::Receive { max: want.max.min(ANSWER_MESSAGES), max_bytes: want.max_bytes };
            let batch: Vec<WireLeased> = self.ask(call).await?;
            if !batch.is_empty() || want.until <= Instant::now() {
                return batch.into_iter().map(|wire| self.leased(wire)).collect();
            }
            self.ready(want.until).await?;
        }
    }

    async fn ready(&self, until: Instant) -> Result<bool> {
        loop {
            self.check("ready")?;
            let wait = until.saturating_duration_since(Instant::now()).min(LONGEST_POLL);
            if self.ask(Call::Ready { wait_ms: ceil_ms(wait) }).await? {
                return Ok(true);
            }
            if until <= Instant::now() {
                return Ok(false);
            }
        }
    }

    async fn settle(&self, batch: Vec<(Receipt, Outcome)>) -> Vec<Result<()>> {
        let count = batch.len();
        let outcomes: Vec<(u64, WireOutcome)> =
            batch.into_iter().map(|(receipt, outcome)| (receipt.redeem().0, outcome.into())).collect();
        let tokens: Vec<u64> = outcomes.iter().map(|(token, _)| *token).collect();
        let call = Call::Settle { session: self.session.clone(), outcomes };
        let asked = self.aside(&call).await;
        if asked.is_err() {
            // What the holder has not settled comes again at once, not when its lease ends.
            tokens.into_iter().for_each(|token| self.sink.abandoned(token));
        }
        results("settle", count, asked)
    }

    async fn extend(&self, tokens: &[u64], by: Duration) -> Vec<Result<()>> {
        let call =
            Call::Extend { session: self.session.clone(), tokens: tokens.to_vec(), by_ms: ceil_ms(by) };
        results("extend", tokens.len(), self.aside(&call).await)
    }

    fn set_turns(&self, _: Turns) -> Result<()> {
        Err(Error::new("set turns", ErrorKind::Unsupported, "the holder of the store sets the turns"))
    }

    async fn close(&self) -> Result<()> {
        self.check("close")?;
        self.closed.store(true, Ordering::Release);
        Ok(())
    }
}

/// A result for each, in order, whatever came.
fn results(operation: &'static str, count: usize, asked: Result<WireResults>) -> Vec<Result<()>> {
    let missing = || Error::new(operation, ErrorKind::LeaseLost, "the holder gave no result");
    match asked {
        Ok(results) => {
            let mut results = results.into_iter();
            let next = |_| match results.next() {
                Some(None) => Ok(()),
                Some(Some(error)) => Err(error.into_error(operation)),
                None => Err(missing()),
            };
            (0..count).map(next).collect()
        }
        Err(error) => (0..count).map(|_| Err(error.duplicate())).collect(),
    }
}

/// Drives the connection until the reader is gone or the connection fails.
async fn drive(
    mut connection: Connection,
    session: String,
    mut asked: mpsc::Receiver<Asked>,
    dropped: Arc<Dropped>,
) {
    loop {
        let (call, answer, wait) = tokio::select! {
            asked = asked.recv() => match asked {
                Some(Asked { call, answer }) => {
                    let wait = if matches!(call, Call::Ready { .. }) { LONGEST_POLL } else { Duration::ZERO };
                    (call, Some(answer), wait)
                }
                None => return,
            },
            () = dropped.told.notified() => {
                let tokens = std::mem::take(&mut *dropped.tokens());
                (Call::Abandon { session: session.clone(), tokens }, None, Duration::ZERO)
            }
        };
        let answered = match json(&call) {
            Ok(call) => connection.call(VERB, call, ANSWER + wait).await,
            Err(error) => Err(error),
        };
        let failed = answered.is_err();
        if let Some(answer) = answer {
            // An answer that nobody waits for any more: what it handed out is given up.
            if let Err(Ok(unread)) = answer.send(answered)
                && matches!(call, Call::Receive { .. })
            {
                let tokens = handed_out(&unread);
                if !tokens.is_empty() {
                    let call = Call::Abandon { session: session.clone(), tokens };
                    let Ok(call) = json(&call) else { return };
                    if connection.call(VERB, call, ANSWER).await.is_err() {
                        return;
                    }
                }
            }
        }
        // Ended, the leases go back; the reader is opened anew.
        if failed {
            return;
        }
    }
}

fn handed_out(answer: &RawValue) -> Vec<u64> {
    let batch: Vec<WireLeased> = read(answer).unwrap_or_default();
    batch.into_iter().map(|leased| leased.token).collect()
}

/// What was dropped, for the task of the connection; there is no more of it than was in hand.
#[derive(Default)]
struct Dropped {
    tokens: Mutex<Vec<u64>>,
    told: Notify,
}

impl Dropped {
    fn tokens(&self) -> MutexGuard<'_, Vec<u64>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AbandonSink for Dropped {
    /// Where the connection has ended, the message is given up already.
    fn abandoned(&self, token: u64) {
        self.tokens().push(token);
        self.told.notify_one();
    }
}
