//! What this crate promises: the reference transport, the suite, the fault wrapper, the checker.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod checker;
mod fault;
mod memory;
mod model;
mod sabotage;
mod suite;
