//! busway-embedded: durable queues in a directory of this machine, without a broker.
//!
//! ```
//! use busway_core::transport::{Declare, ReceiverOptions, Want};
//! use busway_core::{Message, Outcome, Publication, Queue, Transport};
//! use busway_embedded::{EmbeddedConfig, EmbeddedTransport};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("queues");
//! let store = EmbeddedTransport::open(EmbeddedConfig::new("local", "shop", path))?;
//! store.declare(&[Queue::Priority], Declare::Create).await?;
//!
//! let message = Message::new("item.updated", r#"{"sku":"A-1"}"#).account("acme");
//! for result in store.sender().await?.publish(vec![Publication::new(Queue::Priority, message)]).await {
//!     result?; // it is on the disk now
//! }
//!
//! let reader = store.receiver(&Queue::Priority, ReceiverOptions::default()).await?;
//! for leased in reader.receive(Want::new(10, std::time::Duration::from_secs(1))).await? {
//!     assert_eq!(leased.message.r#type, "item.updated");
//!     reader.settle(vec![(leased.receipt, Outcome::Ack)]).await.remove(0)?;
//! }
//! store.close().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//! - `publish` and `settle` answer `Ok` after the disk has confirmed, never before. A batch, to
//!   however many queues, is all there or not at all (up to 4096 messages and 64 MiB; longer ones
//!   are several such batches).
//! - Whatever ends the process, a kill or the power, a start finds all that was confirmed and
//!   nothing that was confirmed to be gone. What it cannot read it refuses, by file and offset.
//! - One process at a time has a store open; the lock goes with its process and names it. Others
//!   reach it over a [`socket`].
//! - A queue is read by priority, then in the order in which messages were confirmed. Parts of a
//!   queue (a destination), and queues for which turns were set, take accounts in turn; with
//!   [`Selector::All`](busway_core::transport::Selector::All) each pair of destination and account
//!   is one party. Of a group one message is in hand at a time.
//! - A message that is released, retried, parked or dropped keeps its place. Nothing is handed out
//!   before its due time, by the wall clock, which is looked at again when it is handed out.
//! - Memory is bounded by the number of stored messages, about 110 bytes each, not by their size.
//!
//! # How it works
//! ```text
//! senders, receivers --> Ops --> committer thread --> log (segments/00000001.log, ...)
//!        ^                          |   one write, one sync, for all that waits
//!        |                          v
//!        +---- answers, bells ---- index (in memory) <---- timer thread (due, leases, back-offs)
//! ```
//! **The log** is append-only, in files of 64 MiB. A *group* is what one write and one sync make
//! durable: a header (length, its own offset, how much of the file was durable before it, a
//! sequence number, a checksum over all of it and the file's random salt) and records: a message,
//! positions that are gone, a message that waits again, deliveries counted, a queue's number.
//! Messages are named by their position, a number that only rises. Behind the last group up to 1 MiB
//! of the file is zero, laid out ahead so that the sync of a small group changes no length.
//!
//! **The committer** is the one thread that writes. It takes all that waits, acknowledgements
//! first, syncs once, changes the index, answers. Nothing is visible before it is durable. Delivery
//! counts and witnesses are written without a sync: losing them costs nothing that was promised.
//!
//! **The index** holds for every message an entry of 96 bytes, in lanes (queue, destination,
//! account) with a line for each priority; see the module's own text. Bodies stay on disk, but for
//! a bounded number that were just published, which are handed out as they are.
//!
//! **A torn tail and damage** are told apart by witnesses. All that is written between two syncs
//! may reach the disk in any order or not at all, but nothing is written after a sync before that
//! sync has succeeded; and each group says up to where the file was durable before it. So bytes
//! that are no group were confirmed to somebody if, and only if, a later group says that they were
//! durable: then the start is refused. Otherwise they are cut off. A store that goes quiet writes an
//! empty group behind its last one, so that this last one has a witness too; what stays
//! undetectable is damage to the very last group of a store that was killed within 50 ms of it,
//! which looks like a write cut short, and is cut off with a warning.
//!
//! **A failed sync** is never repeated: the kernel may have dropped the pages and call them clean.
//! The callers are told that the outcome is unknown, everybody else that the store must be opened
//! again, and the next start writes the doubtful tail anew before it believes in it. A full disk is
//! no such case: the log is cut back to its last group, and `Full` is told. A reserve of 1 MiB is
//! given up then, so that acknowledgements still work; they empty files, which are removed, and
//! so the disk heals by itself. An acknowledgement that does fail means that the message comes
//! again, not that it is lost.
//!
//! **A new file** is made, synced and named in its synced directory, before a record at the end of
//! the old one says that the log goes on there. Hence a file that has ended proves that there is a
//! next one, and a missing file is noticed.
//!
//! **Cleaning** copies what is left in the oldest file to the head, in proportion to the work that
//! is done anyway, then removes it. Only ever the oldest, so that no record that ended a message is
//! removed before all copies of that message; the module says it in full.
//!
//! **A message that kills its process** is counted: deliveries reach the log within 50 ms, and
//! after an end that was not in order the first 65,536 deliveries of messages from before are
//! counted before they are handed out. So a count is short by one at the most.
//!
//! Writes go through `std::fs` ([`disk`] is the seam at which tests let disks fail): plain `pwrite`
//! and `fdatasync`, no memory maps.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod buffers;
mod clean;
mod codec;
mod committer;
mod config;
pub mod disk;
mod error;
mod files;
#[doc(hidden)]
pub mod fuzz;
mod index;
mod layout;
mod lock;
mod log;
mod ops;
mod purge;
mod receiver;
mod recovery;
mod reserve;
mod search;
mod sender;
mod settle;
pub mod socket;
mod store;
mod timer;
mod transport;

pub use config::EmbeddedConfig;
pub use lock::{Holder, is_held};
pub use transport::EmbeddedTransport;
