//! Where messages are delivered to: one trait for HTTP, files, queues, programs and handlers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::message::Message;

/// One delivery of a message to one endpoint.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The message.
    pub message: Arc<Message>,
    /// The endpoint's name.
    pub destination: Arc<str>,
    /// Which try this is, counted from 1.
    pub attempt: u32,
}

impl Delivery {
    /// The payload read as JSON.
    ///
    /// # Errors
    /// A [`DeliveryError`] with class `decode` that must not be retried; returned from a handler
    /// with `?` it sends the message to `dead` with reason `error:decode`.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, DeliveryError> {
        serde_json::from_slice(&self.message.data).map_err(|e| {
            DeliveryError::reject("decode", format!("the payload is not the JSON expected: {e}"))
        })
    }
}

/// A delivery that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryError {
    /// One word for `bwreason` (`error:<class>`), metrics and logs, such as `timeout`, `refused`,
    /// `status-503`, `decode`.
    pub class: Arc<str>,
    /// What happened, for people; never a body or a secret.
    pub detail: String,
    /// Whether a further try makes sense.
    pub verdict: Verdict,
    /// The endpoint asked to be left alone for this long.
    pub retry_after: Option<Duration>,
    /// The endpoint shows that it has too much to do (429, 503, time-out, refused connection):
    /// its limits shrink and its breaker counts it.
    pub overloaded: bool,
}

/// What becomes of a message whose delivery failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Try again by the endpoint's schedule.
    Retry,
    /// Never try again: `dead`.
    Reject,
    /// It was never handed over (the call was not started): try again, no attempt is counted.
    NotTried,
}

impl DeliveryError {
    /// A failure that is tried again by the schedule.
    #[must_use]
    pub fn retry(class: &str, detail: impl Into<String>) -> Self {
        Self {
            class: class.into(),
            detail: detail.into(),
            verdict: Verdict::Retry,
            retry_after: None,
            overloaded: false,
        }
    }

    /// A failure that no further try can mend.
    #[must_use]
    pub fn reject(class: &str, detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Reject, ..Self::retry(class, detail) }
    }

    /// Marks it as a sign of overload.
    #[must_use]
    pub fn overload(mut self) -> Self {
        self.overloaded = true;
        self
    }

    /// Adds how long the endpoint asked to be left alone.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl std::fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.class, self.detail)
    }
}

impl std::error::Error for DeliveryError {}

/// A place that messages are delivered to. Object safe; shared by `Arc`.
#[async_trait]
pub trait Endpoint: Send + Sync + 'static {
    /// Its kind, such as `http`.
    fn kind(&self) -> &'static str;

    /// The most deliveries one call may carry; 1 where each is a call of its own.
    fn max_batch(&self) -> usize {
        1
    }

    /// Delivers a batch; a result for each, in order. Success means that the endpoint has it for
    /// good (answered 2xx, synced to disk, confirmed by a broker).
    ///
    /// Each call bounds its own time. Cancelling it leaves the outcome unknown; it is delivered
    /// again.
    async fn deliver(&self, batch: Vec<Delivery>) -> Vec<Result<(), DeliveryError>>;

    /// Whether the endpoint can be used, checked without delivering anything where that is
    /// possible; answers in words.
    ///
    /// # Errors
    /// What a delivery would fail with.
    async fn test(&self) -> Result<String, DeliveryError>;

    /// Finishes what is buffered and lets go of connections and files.
    async fn close(&self);
}

const _: Option<&dyn Endpoint> = None;
