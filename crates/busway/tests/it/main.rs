//! The library as its user sees it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod actors;
mod contract;
mod guests;
mod handlers;
mod life;
mod programs;
mod testing;
