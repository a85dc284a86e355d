//! Dead letters: which are meant, and what a verb did with them.

use serde::{Deserialize, Serialize};

use super::TraceEvent;
use crate::clock::Millis;
use crate::transport::Filter;

/// One dead letter, without its data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeadRow {
    /// The message's id.
    pub id: String,
    /// Why it is dead.
    pub reason: String,
    /// For which endpoint; `null` where it matched none.
    pub destination: Option<String>,
    /// Deliveries tried, since it was replayed last.
    pub attempts: u32,
    /// How often it was replayed; left out where it never was.
    #[serde(skip_serializing_if = "is_none", default)]
    pub replays: u32,
    /// `transport/queue` where it was accepted.
    pub origin: Option<String>,
    /// When it died (RFC 3339).
    pub since: Option<String>,
    /// Its type.
    pub r#type: String,
    /// Its account.
    pub account: Option<String>,
}

fn is_none(replays: &u32) -> bool {
    *replays == 0
}

/// One dead letter with its data and its history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The row of the list.
    #[serde(flatten)]
    pub row: DeadRow,
    /// What became of it, as far as the journal has it; see [`Trace`](super::Trace).
    #[serde(default)]
    pub history: Vec<TraceEvent>,
    /// Entries of the journal that found no room in its time.
    #[serde(default)]
    pub missing: u64,
    /// The whole message in structured form.
    pub message: Box<serde_json::value::RawValue>,
}

/// Which dead letters a verb is to take, and how fast.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeadRequest {
    /// Which ones.
    pub filter: Filter,
    /// The most to take in this call; all where `None`.
    pub max: Option<u64>,
    /// The most a second; the verb's own pace where `None`.
    pub rate: Option<f64>,
    /// Where an earlier call of the same operation left off.
    pub from: Option<DeadCursor>,
}

impl From<Filter> for DeadRequest {
    fn from(filter: Filter) -> Self {
        Self { filter, ..Self::default() }
    }
}

/// Where an operation left off. Its next call takes nothing that died after its first one began, and
/// no more than there was then, so that it comes to an end whatever dies meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadCursor {
    /// What died at this moment or later is left.
    pub before: Millis,
    /// The most that there still can be.
    pub left: u64,
}

/// What a verb did with dead letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadReport {
    /// How many it has replayed or deleted for good.
    pub done: u64,
    /// Where it left off, if there may be more.
    pub next: Option<DeadCursor>,
}
