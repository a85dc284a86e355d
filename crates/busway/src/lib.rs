//! busway: one durable message bus over any broker, as a library.
//!
//! ```no_run
//! use busway::{Bus, Delivery, Message};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Serialize, Deserialize)]
//! # struct Item { sku: u64 }
//!
//! # async fn example(item: Item) -> busway::Result<()> {
//! let bus = Bus::builder("shop").embedded("var/shop").build()?;
//! bus.subscribe("inventory", "item.*", |d: Delivery| async move {
//!     let item: Item = d.json()?; // cannot be decoded: dead, error:decode
//! #   let _ = item;
//!     Ok(()) // Err: retried by the endpoint's schedule
//! })?;
//! bus.start().await?; // queues declared, actors up
//! bus.publish(Message::json("item.updated", &item)?.account("acme")).await?;
//! bus.shutdown().await // drains within the grace
//! # }
//! ```
//!
//! A function that returns another kind of `Result`, such as that of `anyhow` or of a boxed error, ends
//! with `Ok(bus.shutdown().await?)`. In a handler `?` takes any error.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | the configuration: typed, layered, checked as a whole |
//! | [`registry`] | which kinds of transports and endpoints there are |
//! | [`testing`] | a bus in memory, with time of its own, for the tests of a program that has one |
//! | [`remote`] | the verbs of a bus that another process holds |
//! | [`holder`] | a bus held by this process: its store, socket and HTTP interface |
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod builder;
mod bus;
pub mod config;
mod guest;
mod handler;
mod handlers;
pub mod holder;
mod lazy;
mod named;
mod office;
mod publish;
pub mod registry;
mod reload;
pub mod remote;
mod role;
mod shared;
pub mod testing;

pub use builder::BusBuilder;
pub use bus::Bus;
/// The vocabulary: messages, errors, and the traits at the boundaries.
pub use busway_core as core;
pub use busway_core::{Admin, DeliveryError, Error, ErrorKind, Message, Result};
/// The actors that a handler may be one of.
pub use busway_runtime::actix;
pub use busway_runtime::{Delivery, HandlerError};
pub use handler::IntoHandler;
pub use publish::{PublishError, Published};
