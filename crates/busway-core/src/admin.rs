//! What an operator asks of a running bus. The program, the HTTP interface and the Unix socket of
//! the store's holder all serve this one trait, so every way in gives the same answers.

mod letters;
mod trace;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Result;
use crate::message::Message;
use crate::transport::Filter;

pub use letters::{DeadCursor, DeadLetter, DeadReport, DeadRequest, DeadRow};
pub use trace::{Place, Trace, TraceEvent, Waits};

/// The verbs of a running bus.
#[async_trait]
pub trait Admin: Send + Sync + 'static {
    /// Publishes through the bus's producer; an answer for each message, in order, within
    /// `deadline`.
    ///
    /// Cancelling it leaves every outcome unknown.
    async fn publish(&self, batch: Vec<Message>, deadline: Duration) -> Vec<PublishResult>;

    /// Queues, accounts and endpoints with their figures.
    async fn queues(&self) -> Result<QueuesReport>;

    /// Messages of a queue (by logical name), oldest first, without taking them; with `why`, each
    /// with what it waits for.
    async fn peek(&self, queue: &str, max: usize, why: bool) -> Result<Vec<PeekRow>>;

    /// What became of a message, and where it is now; `None` where nothing is known of it.
    async fn trace(&self, id: &str) -> Result<Option<Trace>>;

    /// Dead letters that match, oldest first, at most `max`.
    async fn dead_list(&self, filter: Filter, max: usize) -> Result<Vec<DeadRow>>;

    /// One dead letter with its data; `None` where the id is not there.
    async fn dead_show(&self, id: &str) -> Result<Option<DeadLetter>>;

    /// Publishes matching dead letters again, each to the destination it died for, in the order in
    /// which they died, at the rate asked for; each is removed only after its copy is durable. One
    /// that dies again meanwhile is left.
    ///
    /// Cancelled, what was begun is finished, and the rest stays.
    async fn dead_replay(&self, request: DeadRequest) -> Result<DeadReport>;

    /// Deletes matching dead letters.
    ///
    /// Cancelled, what was begun is finished, and the rest stays.
    async fn dead_delete(&self, request: DeadRequest) -> Result<DeadReport>;

    /// The endpoints and how they stand.
    async fn endpoints(&self) -> Result<Vec<EndpointRow>>;

    /// Pauses (`true`) or resumes an endpoint; survives restarts. `NotFound` for an unknown name.
    async fn endpoint_pause(&self, name: &str, pause: bool) -> Result<()>;

    /// Checks that an endpoint can be used; in words.
    async fn endpoint_test(&self, name: &str) -> Result<String>;

    /// The accounts seen and how they stand.
    async fn accounts(&self) -> Result<Vec<AccountRow>>;

    /// Pauses (`true`) or resumes an account; survives restarts.
    async fn account_pause(&self, name: &str, pause: bool) -> Result<()>;

    /// Sets how many messages in a row an account gets when waiting accounts take turns (1 to
    /// 1000); survives restarts.
    async fn account_weight(&self, name: &str, weight: u32) -> Result<()>;

    /// Whether the bus does its work, and if not, why not.
    async fn readiness(&self) -> Readiness;

    /// Every actor's snapshot, as JSON.
    async fn snapshots(&self) -> Value;

    /// Takes what is ready, delivers it, and returns; the cron mode. A holder that already runs as
    /// a daemon answers that it found nothing: the daemon takes what there is.
    async fn run_once(&self, request: OnceRequest) -> Result<OnceReport>;
}

const _: Option<&dyn Admin> = None;

/// What became of a published message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PublishOutcome {
    /// Durable.
    Stored,
    /// Not taken.
    Failed,
    /// No confirm came; publish it again with the same id.
    Unknown,
}

/// What became of one message of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishResult {
    /// The message's id.
    pub id: String,
    /// What became of it.
    pub outcome: PublishOutcome,
    /// Why, where it was not stored.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// The class of that error, such as `retry` or `reject`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub class: Option<String>,
}

/// Answer of `queues`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct QueuesReport {
    /// A row a queue.
    pub queues: Vec<QueueRow>,
    /// A row an account.
    pub accounts: Vec<AccountRow>,
    /// A row an endpoint.
    pub endpoints: Vec<EndpointRow>,
}

/// One queue; a figure its broker cannot give is `null`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct QueueRow {
    /// The logical name.
    pub queue: String,
    /// The transport's name.
    pub transport: String,
    /// The name on the broker.
    pub physical: String,
    /// Messages that can be received now.
    pub ready: Option<u64>,
    /// Messages received and not settled.
    pub in_flight: Option<u64>,
    /// Messages that wait for their time.
    pub delayed: Option<u64>,
    /// Age of the oldest message since it was accepted.
    pub oldest_age_seconds: Option<f64>,
    /// Messages a second in, over the last window.
    pub in_rate: Option<f64>,
    /// Messages a second out, over the last window.
    pub out_rate: Option<f64>,
    /// Whether the figures may be out of date.
    pub approximate: bool,
}

/// One account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AccountRow {
    /// The account, `-` for messages without one.
    pub account: String,
    /// Its part of the window's volume, 0 to 1.
    pub share: f64,
    /// Whether its messages are diverted now.
    pub diverted: bool,
    /// Messages of it that wait in `delayed`.
    pub waiting: u64,
    /// When the oldest waiting one was accepted (RFC 3339).
    pub waiting_since: Option<String>,
    /// Whether it is paused.
    pub paused: bool,
    /// Messages in a row when accounts take turns.
    pub weight: u32,
}

/// One endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EndpointRow {
    /// Its name.
    pub endpoint: String,
    /// Its kind, such as `http`.
    pub kind: String,
    /// `open`, `closed`, `half-open`, `waiting` (Retry-After), `paused`, `disabled`, or `gone`: not in
    /// the configuration, with messages that wait for it.
    pub state: String,
    /// Why it is not open, in words.
    pub why: Option<String>,
    /// Deliveries under way.
    pub in_flight: u64,
    /// Most deliveries at once, as it stands now.
    pub limit: u64,
    /// Messages that wait for it in `delayed`.
    pub waiting: u64,
    /// Delivered since the process started.
    pub delivered: u64,
    /// Failed tries since the process started.
    pub failed: u64,
    /// Messages diverted on their way to it since the process started.
    pub diverted: u64,
}

/// One message seen by `peek`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PeekRow {
    /// The message's id.
    pub id: String,
    /// Its type.
    pub r#type: String,
    /// Its account.
    pub account: Option<String>,
    /// The endpoint it waits for.
    pub destination: Option<String>,
    /// `ready`, `delayed`, `in-flight` or `behind`.
    pub standing: String,
    /// When it is due (RFC 3339), where delayed.
    pub due: Option<String>,
    /// Why it waits.
    pub reason: Option<String>,
    /// Deliveries tried so far.
    pub attempts: u32,
    /// When it was accepted (RFC 3339).
    pub accepted: Option<String>,
    /// Size of its data in bytes.
    pub bytes: u64,
    /// What it waits for, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waits: Option<Waits>,
}

/// Whether a bus does its work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Whether it does.
    pub ready: bool,
    /// Why not, each in words; empty when ready.
    pub reasons: Vec<String>,
}

/// What `run --once` is asked for.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct OnceRequest {
    /// Deliveries at once; the configured number where `None`.
    pub workers: Option<usize>,
    /// The most messages to take.
    pub limit: Option<u64>,
}

/// What `run --once` did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OnceReport {
    /// Messages taken from `priority` and `delayed`.
    pub received: u64,
    /// Deliveries that succeeded.
    pub delivered: u64,
    /// Copies diverted to `delayed` untried.
    pub diverted: u64,
    /// Copies put back for a further try.
    pub retried: u64,
    /// Dead letters made.
    pub dead: u64,
    /// How long it took.
    pub seconds: f64,
}
