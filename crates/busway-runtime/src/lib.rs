//! The actors of a bus: producer, intake, router, subscribers, settler and read-back under a
//! supervisor, on threads of their own.
//!
//! The only crate that names actix, so the endpoint in front of a user's actor is here too. It knows no
//! broker: everything goes through the traits of `busway-core`.
//!
//! A message's way: the [`Intake`](intake) reads it from `priority` against credit, the
//! [`Router`](router) finds its destinations and asks each [`Target`](target)'s gate for a place.
//! With a place it goes to the [`Subscriber`](subscriber), which delivers it in a task of its own;
//! without one, a copy goes to `delayed` through the [`Producer`](producer), and the
//! [`ReadBack`](readback) brings it when there is room. When all parts of the message have an
//! outcome, the [`Settler`](settler) settles it.
//!
//! What must survive an actor (data, figures, gates, lanes) lies outside of it, behind an `Arc`;
//! an actor has nothing that cannot be made anew.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod admin;
mod board;
mod breaker;
mod carried;
mod copies;
mod credit;
mod deliver;
mod engine;
mod faults;
mod figures;
#[doc(hidden)]
pub mod fuzz;
mod gate;
mod gauge;
mod handler;
mod health;
mod inbox;
mod intake;
mod job;
mod lanes;
mod lanes_open;
mod letters;
mod memory;
mod once;
mod options;
mod pace;
mod producer;
mod pulse;
mod pump;
mod quota;
mod rates;
mod readback;
mod reload;
mod router;
mod routes;
mod runtime;
mod settings;
mod settler;
mod share;
mod source;
mod subscriber;
mod supervise;
mod system;
mod target;
mod trace;
mod turns;
mod unread;
mod why;
mod workers;

/// The actors that a handler may be one of; this crate alone names it.
pub use actix;
pub use faults::Faults;
pub use handler::{ActorEndpoint, Delivery, HandlerError};
pub use options::{EndpointSpec, FlowOptions, Order, RestartPolicy, RetrySchedule, RuntimeOptions};
pub use pace::Rate;
pub use pulse::Pulse;
pub use reload::Change;
pub use routes::{Destinations, RouteSpec, Routes};
pub use runtime::Runtime;
