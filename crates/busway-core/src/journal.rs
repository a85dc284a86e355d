//! The journal of attempts: what became of each message, kept for an operator. It is beside the
//! queues and never in their way: nothing waits for it, and what it cannot hold it counts.

use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Millis;
use crate::error::Result;
use crate::message::Message;

/// Keeps what became of messages. Object safe; shared by `Arc`.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Takes one entry, or counts it as missing where there is no room. Never waits for a disk.
    fn note(&self, entry: &Entry<'_>);

    /// What is kept of the message with this id, oldest first; all that was noted before the call.
    ///
    /// Cancelling it loses nothing.
    ///
    /// # Errors
    /// Those of reading what is kept.
    async fn find(&self, id: &str) -> Result<Found>;

    /// Keeps what was noted and ends. Later entries are counted as missing.
    async fn close(&self);
}

const _: Option<&dyn Journal> = None;

/// What can become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The bus took it; seen when it was first read from `priority`.
    Accepted,
    /// A delivery succeeded.
    Delivered,
    /// A delivery failed.
    Failed,
    /// It was put to `delayed` untried.
    Diverted,
    /// It was put back to wait: it could not be handed over, and no attempt was counted.
    Parked,
    /// It was put to wait for a further try.
    Retried,
    /// It was put to `dead`.
    Dead,
    /// Its dead letter was put to `priority` again.
    Replayed,
    /// Its dead letter was deleted by an operator.
    Deleted,
}

impl Event {
    /// Every event, in the order in which they follow each other within a moment.
    pub const ALL: [Self; 9] = [
        Self::Accepted,
        Self::Delivered,
        Self::Failed,
        Self::Diverted,
        Self::Parked,
        Self::Retried,
        Self::Dead,
        Self::Replayed,
        Self::Deleted,
    ];

    /// Its name, such as `accepted`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Diverted => "diverted",
            Self::Parked => "parked",
            Self::Retried => "retried",
            Self::Dead => "dead",
            Self::Replayed => "replayed",
            Self::Deleted => "deleted",
        }
    }
}

/// One thing that became of one message. It has no body, no secret, and no text of an endpoint's.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// When.
    pub at: Millis,
    /// What.
    pub event: Event,
    /// The message's id.
    pub id: &'a str,
    /// Its type; told once, when it was accepted, and when it died.
    pub r#type: Option<&'a str>,
    /// Its account; told with the type.
    pub account: Option<&'a str>,
    /// The endpoint concerned.
    pub destination: Option<&'a str>,
    /// Which delivery this was, counted from 1; else how many were tried before.
    pub attempt: u32,
    /// How a failed delivery ended, in one word, such as `status-503`.
    pub status: Option<&'a str>,
    /// `bwreason`, where it waits or is dead.
    pub reason: Option<&'a str>,
    /// When it is due again.
    pub due: Option<Millis>,
    /// How long the delivery took.
    pub took: Option<Duration>,
}

impl<'a> Entry<'a> {
    /// An event of a message without anything further.
    #[must_use]
    pub fn new(at: Millis, event: Event, message: &'a Message) -> Self {
        let told = matches!(event, Event::Accepted | Event::Dead);
        Self {
            at,
            event,
            id: &message.id,
            r#type: told.then_some(message.r#type.as_str()),
            account: message.account.as_deref().filter(|_| told),
            destination: message.destination.as_deref(),
            attempt: message.attempt,
            status: None,
            reason: None,
            due: None,
            took: None,
        }
    }
}

/// What is kept of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its type, where that is kept.
    pub r#type: Option<String>,
    /// Its account, where it had one and that is kept.
    pub account: Option<String>,
    /// What became of it, oldest first.
    pub events: Vec<Noted>,
    /// Entries, of whatever message, that found no room since the first event here; since the
    /// oldest entry of all where there is none.
    pub missing: u64,
    /// How often since then a process ended without closing the journal: what it had noted in its
    /// last moments may be missing.
    pub cut_off: u64,
    /// When the oldest entry of all that are kept was noted.
    pub since: Option<Millis>,
}

/// One kept entry; see [`Entry`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// When.
    pub at: Millis,
    /// What.
    pub event: Event,
    /// The endpoint concerned.
    pub destination: Option<String>,
    /// Which delivery this was; else how many were tried before.
    pub attempt: u32,
    /// How a failed delivery ended.
    pub status: Option<String>,
    /// `bwreason`.
    pub reason: Option<String>,
    /// When it is due again.
    pub due: Option<Millis>,
    /// How long the delivery took.
    pub took: Option<Duration>,
}

/// A journal that keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoJournal;

#[async_trait]
impl Journal for NoJournal {
    fn note(&self, _: &Entry<'_>) {}

    async fn find(&self, _: &str) -> Result<Found> {
        Ok(Found::default())
    }

    async fn close(&self) {}
}
