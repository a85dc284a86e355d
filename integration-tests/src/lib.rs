//! The tests of whole processes, and the small programs that they run.

pub mod small_store;
pub mod wal;
