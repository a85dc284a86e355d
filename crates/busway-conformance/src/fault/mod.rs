//! A transport that goes wrong by script: what a broker, a network and an unlucky moment do, when
//! the test says so.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! use std::sync::Arc;
//! use busway_conformance::fault::{FaultyTransport, Operation, Script};
//! use busway_conformance::MemoryTransport;
//! use busway_core::transport::Declare;
//! use busway_core::{ErrorClass, Message, Publication, Queue, Transport};
//!
//! let script = Script::new();
//! let transport = FaultyTransport::new(Arc::new(MemoryTransport::new("local")), script.clone());
//! transport.declare(&[Queue::Priority], Declare::Create).await?;
//! let sender = transport.sender().await?;
//!
//! script.on(Operation::Publish).next(1).lose_answer();
//! let publication = Publication::new(Queue::Priority, Message::new("item.updated", "{}"));
//! let error = sender.publish(vec![publication]).await.remove(0).unwrap_err();
//! assert_eq!(error.class(), ErrorClass::Unknown);
//! assert_eq!(script.injected(Operation::Publish).answers_lost, 1);
//! # Ok::<(), busway_core::Error>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod gate;
mod receiver;
mod rule;
mod script;
mod sender;
mod transport;

pub use gate::Gate;
pub use rule::{Operation, Rule};
pub use script::{Injected, Script};
pub use transport::FaultyTransport;
