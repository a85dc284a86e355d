//! The program as its users meet it: the built binary, its output and its exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bus;
mod config;
mod handover;
mod harness;
mod help;
mod pty;
mod reload;
mod service;
mod stop;
mod terminal;
mod usage;
