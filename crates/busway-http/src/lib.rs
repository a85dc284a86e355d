//! The HTTP interface of a bus: messages in, the operator's verbs, health and metrics.
//!
//! It serves one [`busway_core::Admin`] and knows nothing else of the bus. [`HttpServer::start`]
//! runs it in threads of its own, so that it works inside any runtime or none.
//!
//! | file | holds |
//! |---|---|
//! | [`config`] | what can be set, and what is refused |
//! | [`server`] | start, address, stop |
//! | [`recorder`] | the process's own metrics |
//! | `routes` | every path, its methods and the role it needs |
//! | `guard` | what every request passes first: host, origin, token; and its figures |
//! | `watch` | cuts connections that take too long |
//! | `ingest` | `POST /v1/messages` in its four forms |
//! | `api` | the operator's verbs |
//! | [`reload`] | `POST /v1/reload` |
//! | `health` | `/livez`, `/readyz` |
//! | `metrics` | `/metrics` |
//! | `problem` | the one form of an error |
//!
//! # Limits of what comes from outside
//! A request head has at most 96 headers and 128 KiB (431 beyond); a body is refused by its
//! declared length before it is read and cut at the limit where it declares none; all bodies held
//! together stay within [`HttpConfig::max_held_bytes`]; whoever sends or reads too slowly is cut at
//! the deadline.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod config;
pub mod recorder;
pub mod reload;
pub mod server;

mod access;
mod api;
mod budget;
mod context;
mod deadline;
#[doc(hidden)]
pub mod fuzz;
mod guard;
mod health;
mod ingest;
mod metrics;
mod problem;
mod routes;
mod watch;

pub use config::HttpConfig;
pub use recorder::install_recorder;
pub use reload::{Reload, Reloaded};
pub use server::{Aids, HttpServer, RenderMetrics};
