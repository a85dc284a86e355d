//! busway-conformance: what a transport must do, as a suite that every adapter runs, and the tools
//! that tests of a bus are made of.
//!
//! | module | holds |
//! |---|---|
//! | [`suite`] | runs the cases against a transport and reports |
//! | [`cases`](mod@cases) | the table of cases, one file a section |
//! | [`checker`] | judges of a run: total-queue ledger, order by key |
//! | [`fault`] | a wrapper that goes wrong by script |
//! | [`memory`] | the reference transport: everything the traits promise, in memory |
//!
//! # Proving an adapter
//! The suite needs to know how the transport is opened; all else it reads from the capabilities.
//! A capability that is refused skips the cases that name it, and no others.
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::{Arc, Mutex};
//!
//! use async_trait::async_trait;
//! use busway_conformance::{Factory, MemoryStorage, MemoryTransport, Suite};
//! use busway_core::{Result, Transport};
//!
//! /// Opens the adapter under test; here it is the reference transport.
//! #[derive(Default)]
//! struct Mine(Mutex<HashMap<String, MemoryStorage>>);
//!
//! #[async_trait]
//! impl Factory for Mine {
//!     async fn open(&self, namespace: &str) -> Result<Arc<dyn Transport>> {
//!         let mut storages = self.0.lock().expect("no holder panics");
//!         let storage = storages.entry(namespace.to_owned()).or_default();
//!         Ok(Arc::new(MemoryTransport::open("mine", storage)))
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let report = Suite::new(Mine::default()).filter("settle/re").run().await?;
//! println!("{report}");
//! report.assert_green();
//! # Ok::<(), busway_core::Error>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it does not try
//! It starts no broker: what needs one killed, paused or cut off is tested where one is at hand,
//! with the [`Ledger`] as its judge. A restart here is a transport closed, or dropped, and the same
//! storage opened again.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod cases;
pub mod checker;
pub mod fault;
pub mod memory;
pub mod suite;

mod sync;

pub use cases::cases;
pub use checker::{Ledger, OrderChecker, OrderVerdict, TotalQueue};
pub use fault::{FaultyTransport, Script};
pub use memory::{MemoryFactory, MemoryStorage, MemoryTransport};
pub use suite::{Case, CaseReport, Factory, Failure, Features, Need, Report, Suite, Verdict, run};
