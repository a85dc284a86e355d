//! Power cuts: nothing confirmed may be lost, and a store that does not sync must be found out.

mod ledger;
mod library;
mod store;
mod wal;
