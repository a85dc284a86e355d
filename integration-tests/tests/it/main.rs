//! Tests of whole processes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod badinput;
mod cli;
mod cron;
mod dead;
mod disk;
mod endpoints;
mod fairness;
mod harness;
mod http;
mod kill9;
mod members;
mod memory;
mod powerloss;
mod soak;
