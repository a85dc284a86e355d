//! The reference transport: everything that the boundary traits promise, in memory, written to be
//! read. Nothing in it is random, so a test that uses it runs the same way each time.
//!
//! What is stored lives in a [`MemoryStorage`] and outlives the transports opened on it, as a
//! broker outlives its connections: a test restarts by closing (or dropping) one transport and
//! opening the next on the same storage. Its time can be put forward, so that an hour's delay is over
//! at once.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! use std::time::Duration;
//! use busway_conformance::MemoryTransport;
//! use busway_core::transport::{Declare, Want};
//! use busway_core::{Message, Outcome, Publication, Queue, Transport};
//!
//! let transport = MemoryTransport::new("local");
//! transport.declare(&[Queue::Priority], Declare::Create).await?;
//! let message = Message::new("item.updated", "{}");
//! transport.sender().await?.publish(vec![Publication::new(Queue::Priority, message)]).await;
//!
//! let receiver = transport.receiver(&Queue::Priority, Default::default()).await?;
//! for leased in receiver.receive(Want::new(10, Duration::from_secs(1))).await? {
//!     receiver.settle(vec![(leased.receipt, Outcome::Ack)]).await;
//! }
//! # Ok::<(), busway_core::Error>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod factory;
mod lease;
mod limits;
mod line;
mod receiver;
mod select;
mod sender;
mod settle;
mod storage;
mod transport;
mod view;

pub use factory::MemoryFactory;
pub use limits::capabilities;
pub use storage::MemoryStorage;
pub use transport::MemoryTransport;
