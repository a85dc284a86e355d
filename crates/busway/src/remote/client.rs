//! An [`Admin`] that asks the process which holds the bus.

use std::time::Duration;

use async_trait::async_trait;
use busway_core::admin::{
    AccountRow, DeadLetter, DeadReport, DeadRequest, DeadRow, EndpointRow, OnceReport, OnceRequest, PeekRow,
    PublishOutcome, PublishResult, QueuesReport, Readiness, Trace,
};
use busway_core::transport::Filter;
use busway_core::{Admin, Error, ErrorClass, ErrorKind, Message, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::call::Call;
use super::server::unanswered;
use super::wire::{Answer, WireMessage};

/// How often the holder is asked whether it is alive while a long verb runs.
const WATCH: Duration = Duration::from_secs(1);

/// The most a long verb may take in all.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// What the holder is given less of a deadline, so that its answer comes within it.
const ANSWER: Duration = Duration::from_millis(500);

/// The most bytes of messages in one call.
const CALL_BYTES: usize = 4 << 20;

/// The most messages in one call.
const CALL_MESSAGES: usize = 1_000;

/// A way to a holder: one call out, one answer back.
#[async_trait]
pub trait Asker: Send + Sync + 'static {
    /// Sends a call and waits for its answer. Calls may run side by side.
    ///
    /// # Errors
    /// `Unavailable` where the call was surely not taken; `Timeout`, or the class `Unknown`, where
    /// it may have been.
    ///
    /// Cancelling it leaves open whether the call took effect.
    async fn ask(&self, call: &[u8], deadline: Duration) -> Result<Vec<u8>>;
}

/// The verbs of a bus that another process holds.
pub struct RemoteAdmin<A> {
    asker: A,
    timeout: Duration,
}

impl<A: Asker> RemoteAdmin<A> {
    /// Asks through `asker`; a holder that is silent for `timeout` is given up.
    #[must_use]
    pub fn new(asker: A, timeout: Duration) -> Self {
        Self { asker, timeout }
    }

    /// Whether the holder answers.
    ///
    /// # Errors
    /// Those of the way to it.
    pub async fn ping(&self) -> Result<()> {
        self.call(Call::Ping).await
    }

    async fn call<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        if !call.is_long() {
            return self.exchange(&call, self.timeout).await;
        }
        tokio::select! {
            answer = self.exchange(&call, LONGEST) => answer,
            error = self.watch() => Err(error),
        }
    }

    /// Ends when the holder no longer answers.
    async fn watch(&self) -> Error {
        loop {
            tokio::time::sleep(WATCH.min(self.timeout)).await;
            if let Err(error) = self.exchange::<()>(&Call::Ping, self.timeout).await {
                return error;
            }
        }
    }

    async fn exchange<T: DeserializeOwned>(&self, call: &Call, deadline: Duration) -> Result<T> {
        let operation = call.name();
        let malformed = |error| {
            Error::new(operation, ErrorKind::Malformed, "the holder's answer is not understood")
                .class_of(ErrorClass::Fatal)
                .caused_by(error)
                .advise("the two processes may be of different versions")
        };
        let call = serde_json::to_vec(call).map_err(malformed)?;
        let answer = self.asker.ask(&call, deadline).await?;
        match serde_json::from_slice(&answer).map_err(malformed)? {
            Answer::Ok(answer) => serde_json::from_str(answer.get()).map_err(malformed),
            Answer::Error(error) => Err(error.into_error(operation)),
        }
    }

    /// One call of a publish; every message gets a result, in order.
    async fn publish_part(&self, part: Vec<Message>, deadline: Duration) -> Vec<PublishResult> {
        let ids: Vec<String> = part.iter().map(|message| message.id.clone()).collect();
        let messages = match part.into_iter().map(WireMessage::new).collect::<Result<Vec<_>>>() {
            Ok(messages) => messages,
            Err(error) => return ids.into_iter().map(|id| result_of(id, &error)).collect(),
        };
        let inner = deadline - (deadline / 10).min(ANSWER);
        let deadline_ms = u64::try_from(inner.as_millis()).unwrap_or(u64::MAX);
        let call = Call::Publish { messages, deadline_ms };
        match self.exchange::<Vec<PublishResult>>(&call, deadline).await {
            Ok(results) => {
                let mut results = results.into_iter();
                let result = |id: String| match results.next() {
                    Some(result) => PublishResult { id, ..result },
                    None => unanswered(id),
                };
                ids.into_iter().map(result).collect()
            }
            Err(error) => ids.into_iter().map(|id| result_of(id, &error)).collect(),
        }
    }
}

/// What an error of a call means for a message in it: failed only where it was surely not taken.
fn result_of(id: String, error: &Error) -> PublishResult {
    let refused = matches!(error.class(), ErrorClass::Reconnect | ErrorClass::Reject);
    let outcome = if refused { PublishOutcome::Failed } else { PublishOutcome::Unknown };
    let class = if refused { error.class() } else { ErrorClass::Unknown };
    PublishResult { id, outcome, error: Some(error.to_string()), class: Some(class.as_str().to_owned()) }
}

/// The batch in parts that one call can carry.
pub(super) fn parts(batch: Vec<Message>) -> Vec<Vec<Message>> {
    let mut parts: Vec<Vec<Message>> = Vec::new();
    let mut bytes = 0;
    for message in batch {
        let weight = message.weight();
        match parts.last_mut() {
            Some(part) if bytes + weight <= CALL_BYTES && part.len() < CALL_MESSAGES => {
                bytes += weight;
                part.push(message);
            }
            _ => {
                bytes = weight;
                parts.push(vec![message]);
            }
        }
    }
    parts
}

#[async_trait]
impl<A: Asker> Admin for RemoteAdmin<A> {
    async fn publish(&self, batch: Vec<Message>, deadline: Duration) -> Vec<PublishResult> {
        let until = tokio::time::Instant::now() + deadline;
        let mut results = Vec::with_capacity(batch.len());
        for part in parts(batch) {
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            results.extend(self.publish_part(part, left).await);
        }
        results
    }

    async fn queues(&self) -> Result<QueuesReport> {
        self.call(Call::Queues).await
    }

    async fn peek(&self, queue: &str, max: usize, why: bool) -> Result<Vec<PeekRow>> {
        self.call(Call::Peek { queue: queue.to_owned(), max, why }).await
    }

    async fn trace(&self, id: &str) -> Result<Option<Trace>> {
        self.call(Call::Trace { id: id.to_owned() }).await
    }

    async fn dead_list(&self, filter: Filter, max: usize) -> Result<Vec<DeadRow>> {
        self.call(Call::DeadList { filter: filter.into(), max }).await
    }

    async fn dead_show(&self, id: &str) -> Result<Option<DeadLetter>> {
        self.call(Call::DeadShow { id: id.to_owned() }).await
    }

    async fn dead_replay(&self, request: DeadRequest) -> Result<DeadReport> {
        self.call(Call::DeadReplay(request.into())).await
    }

    async fn dead_delete(&self, request: DeadRequest) -> Result<DeadReport> {
        self.call(Call::DeadDelete(request.into())).await
    }

    async fn endpoints(&self) -> Result<Vec<EndpointRow>> {
        self.call(Call::Endpoints).await
    }

    async fn endpoint_pause(&self, name: &str, pause: bool) -> Result<()> {
        self.call(Call::EndpointPause { name: name.to_owned(), pause }).await
    }

    async fn endpoint_test(&self, name: &str) -> Result<String> {
        self.call(Call::EndpointTest { name: name.to_owned() }).await
    }

    async fn accounts(&self) -> Result<Vec<AccountRow>> {
        self.call(Call::Accounts).await
    }

    async fn account_pause(&self, name: &str, pause: bool) -> Result<()> {
        self.call(Call::AccountPause { name: name.to_owned(), pause }).await
    }

    async fn account_weight(&self, name: &str, weight: u32) -> Result<()> {
        self.call(Call::AccountWeight { name: name.to_owned(), weight }).await
    }

    async fn readiness(&self) -> Readiness {
        let answer = self.call(Call::Readiness).await;
        answer.unwrap_or_else(|error| Readiness { ready: false, reasons: vec![error.to_string()] })
    }

    async fn snapshots(&self) -> Value {
        let answer = self.call(Call::Snapshots).await;
        answer.unwrap_or_else(|error| serde_json::json!({ "error": error.to_string() }))
    }

    async fn run_once(&self, request: OnceRequest) -> Result<OnceReport> {
        self.call(Call::RunOnce(request)).await
    }
}
