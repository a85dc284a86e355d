//! Handlers of other processes: the holder of the store hands their messages out over the socket, and
//! takes back what became of them. What a process has in hand is leased to its connection: when that
//! ends, the messages come again.
//!
//! | module | holds |
//! |---|---|
//! | `server` | [`Sessions`]: what is handed out, by connection |
//! | `client` | [`Reader`]: a receiver at the other end |
//! | `inlets` | [`Inlets`]: the transport of a bus that has nothing but such queues |

mod client;
mod inlets;
mod server;
#[cfg(test)]
mod tests;

use std::time::Duration;

use busway_core::{Error, ErrorKind, Leased, Message, Outcome, Reason, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub(crate) use self::client::Reader;
pub(crate) use self::inlets::{Inlet, Inlets};
pub(crate) use self::server::{Member, Sessions};
use super::wire::{WireError, WireMessage};
use crate::named::Named;

/// The verb that these calls cross the socket under.
pub(crate) const VERB: &str = "work";

/// The most messages and bytes of one answer.
const ANSWER_MESSAGES: usize = 512;
const ANSWER_BYTES: usize = 4 << 20;

/// How long a call may wait at the holder for messages, so that neither end waits for one that is gone.
const LONGEST_POLL: Duration = Duration::from_secs(1);

/// One call.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub(crate) enum Call {
    /// Has these subscriptions routed from now on. Answers a [`Joined`].
    Join { subscriptions: Vec<Named>, rules: u64 },
    /// Routes nothing more to this one.
    Leave { name: String },
    /// Opens the queue of a handler on this connection. Answers the session's name.
    Open { name: String, lease_ms: u64 },
    /// Whether a receive would find something; waits until it would, this long at most.
    Ready { wait_ms: u64 },
    /// Takes what is there.
    Receive { max: usize, max_bytes: usize },
    /// Settles by token. Answers a result for each, in order.
    Settle { session: String, outcomes: Vec<(u64, WireOutcome)> },
    /// Extends the leases of these tokens. Answers a result for each, in order.
    Extend { session: String, tokens: Vec<u64>, by_ms: u64 },
    /// Gives up these: they come again.
    Abandon { session: String, tokens: Vec<u64> },
}

/// What a holder answers to a [`Call::Join`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Joined {
    /// Whether the holder goes by the same endpoints and routes, so that the guest may come after it.
    pub(crate) same_rules: bool,
}

/// A message in hand, as it crosses the socket.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireLeased {
    token: u64,
    message: WireMessage,
    deliveries: Option<u32>,
    position: Option<u64>,
    enqueued: Option<u64>,
}

impl WireLeased {
    fn new(leased: &mut Leased) -> Result<Self> {
        let empty = Message::new(String::new(), "");
        Ok(Self {
            token: leased.receipt.token(),
            message: WireMessage::new(std::mem::replace(&mut leased.message, empty))?,
            deliveries: leased.deliveries,
            position: leased.position,
            enqueued: leased.enqueued,
        })
    }
}

/// An outcome, as it crosses the socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WireOutcome {
    Ack,
    Release,
    Retry { after_ms: u64, reason: String },
    Park { after_ms: u64, reason: String },
    Dead { reason: String, attempts: u32 },
}

impl From<Outcome> for WireOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ack => Self::Ack,
            Outcome::Release => Self::Release,
            Outcome::Retry { after, reason } => {
                Self::Retry { after_ms: ceil_ms(after), reason: reason.to_string() }
            }
            Outcome::Park { after, reason } => {
                Self::Park { after_ms: ceil_ms(after), reason: reason.to_string() }
            }
            Outcome::Dead { reason, attempts } => Self::Dead { reason: reason.to_string(), attempts },
        }
    }
}

impl From<WireOutcome> for Outcome {
    fn from(outcome: WireOutcome) -> Self {
        match outcome {
            WireOutcome::Ack => Self::Ack,
            WireOutcome::Release => Self::Release,
            WireOutcome::Retry { after_ms, reason } => {
                Self::Retry { after: Duration::from_millis(after_ms), reason: Reason::parse(&reason) }
            }
            WireOutcome::Park { after_ms, reason } => {
                Self::Park { after: Duration::from_millis(after_ms), reason: Reason::parse(&reason) }
            }
            WireOutcome::Dead { reason, attempts } => Self::Dead { reason: Reason::parse(&reason), attempts },
        }
    }
}

/// Results in order, each with its error.
type WireResults = Vec<Option<WireError>>;

fn ceil_ms(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// A call or an answer as JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(value)
        .map_err(|error| Error::new("call", ErrorKind::Internal, "a call has no JSON form").caused_by(error))
}

/// Reads what [`json`] wrote.
pub(crate) fn read<T: DeserializeOwned>(value: &RawValue) -> Result<T> {
    serde_json::from_str(value.get()).map_err(|error| {
        Error::new("call", ErrorKind::Malformed, "the other process is not understood")
            .caused_by(error)
            .advise("the two processes may be of different versions")
    })
}
