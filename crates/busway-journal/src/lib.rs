//! The journal of attempts in files: compact records in segments that are appended to at the end of
//! the last and removed at the front, by age and by bytes.
//!
//! A delivery never waits for it. An entry is encoded into a buffer in memory; a thread writes the
//! buffer every 200 ms, without a sync. So a process that is killed loses its last moments of the
//! journal, and a machine that loses its power some seconds; what is read later says so. An entry
//! that finds the buffer full is counted, and the count is kept in its place.
//!
//! There is no index: what is looked for is compared by a hash at the front of each record, which
//! goes through as fast as the files can be read.
//!
//! | module | holds |
//! |---|---|
//! | `record` | an entry's bytes |
//! | `frame` | what one write holds, with its checksum |
//! | `segments` | the files: names, ages, which goes first |
//! | `journal` | the buffer, the thread, and the search |
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod frame;
mod journal;
mod record;
mod segments;

pub use journal::{FileJournal, JournalOptions};
