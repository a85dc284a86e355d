//! What became of one message, and what waiting ones wait for.

use serde::{Deserialize, Serialize};

use super::PeekRow;
use crate::clock;
use crate::journal::{Event, Noted};

/// Answer of `trace`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The message's id.
    pub id: String,
    /// Its type, where it is known.
    pub r#type: Option<String>,
    /// Its account.
    pub account: Option<String>,
    /// What became of it, oldest first.
    pub events: Vec<TraceEvent>,
    /// Where it is now, a row for each of its copies; empty when all is delivered.
    pub r#where: Vec<Place>,
    /// Queues in which it was not looked for, because they hold too much to go through.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub not_searched: Vec<String>,
    /// Entries of the journal, of whatever message, that found no room in this message's time: some
    /// of its events may be missing.
    pub missing: u64,
    /// How often in this message's time a process ended without closing the journal: what it noted in
    /// its last moments may be missing.
    pub cut_off: u64,
    /// When the oldest entry that the journal still has was noted (RFC 3339).
    pub since: Option<String>,
}

/// One thing that became of a message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TraceEvent {
    /// When (RFC 3339).
    pub at: String,
    /// `accepted`, `delivered`, `failed`, `diverted`, `parked`, `retried`, `dead`, `replayed` or
    /// `deleted`.
    pub event: String,
    /// The endpoint concerned.
    pub destination: Option<String>,
    /// Of a delivery, which try it was, from 1; else how many were made before.
    pub attempt: u32,
    /// How a delivery ended: `ok`, or a word such as `status-503` or `timeout`.
    pub status: Option<String>,
    /// Why it waits or is dead: `bwreason`.
    pub reason: Option<String>,
    /// When it is due again (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub due: Option<String>,
    /// How long a delivery took, in microseconds: a whole number, so that it is the same over every way.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub took_us: Option<u64>,
}

impl From<Noted> for TraceEvent {
    fn from(noted: Noted) -> Self {
        let ok = || (noted.event == Event::Delivered).then(|| "ok".to_owned());
        Self {
            at: clock::format_rfc3339(noted.at),
            event: noted.event.as_str().to_owned(),
            destination: noted.destination,
            attempt: noted.attempt,
            status: noted.status.or_else(ok),
            reason: noted.reason,
            due: noted.due.map(clock::format_rfc3339),
            took_us: noted.took.map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX)),
        }
    }
}

/// A message in a queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The queue's logical name.
    pub queue: String,
    /// How it stands there.
    #[serde(flatten)]
    pub row: PeekRow,
}

/// What a message waits for, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    /// Why it waits.
    pub why: String,
    /// Since when (RFC 3339), where that is known.
    pub since: Option<String>,
    /// What would release it.
    pub released_by: String,
}
