//! State stores: what several processes must agree on, kept where it survives them.
//!
//! | store | for |
//! |---|---|
//! | [`SqliteState`] | one host: a SQLite file that all processes of a bus open at once |
//! | [`MemoryState`] | one process without durable state, and tests |
//!
//! Both keep the contract of [`busway_core::State`] and the same bounds: keys of 1 to 512 bytes
//! without NUL, values of at most 1 MiB, lists of at most 100,000 keys (from a file also 256 MiB of
//! values). A list that would be longer is an error, never cut short: whoever acts on it would take
//! what is missing for removed.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod bounds;
mod error;
mod memory;
mod open;
mod sqlite;

pub use memory::MemoryState;
pub use open::open_url;
pub use sqlite::SqliteState;
