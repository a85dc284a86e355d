//! Endpoints against real peers, files and programs.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod chaos;
mod exec;
mod file;
mod forget;
mod queue;
mod server;
mod support;
mod tls;
mod wait;
