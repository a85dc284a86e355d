//! The verbs of a bus that another process holds: every verb crosses one socket as a [`Call`],
//! and is answered by the holder's [`Admin`], so both ways give the same answers.
//!
//! | module | holds |
//! |---|---|
//! | `call` | the table of verbs with their parameters |
//! | `wire` | messages and errors as they cross, nothing of them lost |
//! | `client` | [`RemoteAdmin`]: an [`Admin`] that asks a holder |
//! | `work` | messages for handlers of other processes, leased to their connection |
//! | `server` | [`AdminVerbs`]: answers calls from an [`Admin`] |
//!
//! [`Admin`]: busway_core::Admin
//! [`Call`]: call::Call

mod call;
mod client;
#[doc(hidden)]
pub mod fuzz;
mod server;
#[cfg(test)]
mod tests;
mod wire;
pub(crate) mod work;

pub use self::client::{Asker, RemoteAdmin};
pub use self::server::AdminVerbs;
