//! busway: one durable message bus over any broker, as a library.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use busway::{Bus, Delivery, Message};
//!
//! let bus = Bus::builder("shop").embedded("var/shop").build()?;
//! bus.subscribe("inventory", "item.*", |delivery: Delivery| async move {
//!     let item: serde_json::Value = delivery.json()?; // cannot be decoded: dead, error:decode
//!     println!("{item}");
//!     Ok(()) // Err: tried again by the endpoint's schedule
//! })?;
//! bus.start().await?; // queues declared, actors up
//! let item = serde_json::json!({ "sku": 7 });
//! bus.publish(Message::json("item.updated", &item)?.account("acme")).await?;
//! bus.shutdown().await; // drains within the grace
//! # Ok(()) }
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | the configuration: typed, layered, checked as a whole |
//! | [`registry`] | which kinds of transports and endpoints there are |
//! | [`remote`] | the verbs of a bus that another process holds |
//! | [`holder`] | a bus held by this process: its store, socket and HTTP interface |
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod builder;
mod bus;
pub mod config;
mod handler;
pub mod holder;
mod lazy;
mod publish;
pub mod registry;
pub mod remote;

pub use builder::BusBuilder;
pub use bus::Bus;
/// The vocabulary: messages, errors, and the traits at the boundaries.
pub use busway_core as core;
pub use busway_core::{Admin, Delivery, DeliveryError, Error, ErrorKind, Message, Result};
pub use handler::HandlerError;
pub use publish::{PublishError, Published};
