//! The vocabulary of busway: messages, queues, deliveries, receipts, errors, and the traits at
//! its boundaries (transport, endpoint, state, journal, admin).
//!
//! This crate does no I/O and knows no actor, no broker and no file format. Adapters for further
//! brokers depend on it alone and prove themselves with `busway-conformance`.
//!
//! | module | holds |
//! |---|---|
//! | [`message`] | the CloudEvents event with busway's own attributes |
//! | [`envelope`] | its forms on a wire: HTTP headers, structured JSON, batch, JSON lines |
//! | [`pattern`] | patterns of types, such as `item.*` |
//! | [`queue`] | logical queue names |
//! | [`transport`] | the one trait every broker is reached through |
//! | [`delivery`] | leased messages, receipts used by value, outcomes |
//! | [`endpoint`] | where messages are delivered to |
//! | [`state`] | what several processes agree on |
//! | [`journal`] | what became of each message, for an operator |
//! | [`admin`] | the verbs an operator uses, the same over every way in |
//! | [`secret`] | text that is never printed |
//! | [`error`] | one error type with operation, queue, kind and class |
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod admin;
pub mod capability;
pub mod clock;
pub mod delivery;
pub mod endpoint;
pub mod envelope;
pub mod error;
pub mod journal;
pub mod message;
pub mod pattern;
pub mod queue;
pub mod reason;
pub mod secret;
pub mod state;
pub mod transport;

pub use admin::Admin;
pub use capability::{Capabilities, Support};
pub use delivery::{AbandonSink, Leased, Outcome, Receipt};
pub use endpoint::{Delivery, DeliveryError, Endpoint};
pub use error::{Error, ErrorClass, ErrorKind, Result};
pub use journal::Journal;
pub use message::{AttributeValue, Message};
pub use queue::{Name, Queue};
pub use reason::Reason;
pub use secret::Secret;
pub use state::State;
pub use transport::{Publication, Receiver, Sender, Transport};
