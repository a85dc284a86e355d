//! The runtime on the reference transport.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod bench_bus;
mod churn;
mod delivery;
mod expiry;
mod faults;
mod flow;
mod further;
mod hog;
mod hot;
mod letters;
mod once;
mod order;
mod panics;
mod parking;
mod probe;
mod pulse;
mod reload;
mod settling;
mod stop;
mod unread;
