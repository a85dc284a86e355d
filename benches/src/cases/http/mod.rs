//! `http`: deliveries by HTTP, messages in over HTTP, and the way between.
//!
//! | module | holds |
//! |---|---|
//! | `server` | a peer that answers from memory |
//! | `dispatch` | deliveries of one endpoint beside a raw client |
//! | `whole` | publish, store, route and deliver, together |
//! | `ingest` | single events in, each durable before its answer |
//! | `load` | connections that send events, as cheap as can be |
//! | `append` | the twin of `ingest`: a file that is appended to |
//! | `ready` | from the start of the program to its readiness |
//! | `threads` | CPU of threads that are not to be counted |

mod append;
mod dispatch;
mod ingest;
mod load;
mod ready;
mod server;
mod threads;
mod whole;

use anyhow::Result;
use busway::Message;

use super::Case;
use crate::Bench;

pub(super) const CASE: Case = Case {
    name: "http",
    about: "deliveries of 512 bytes, 64 at once; single events in over 64 connections; the start",
    run,
};

/// Requests under way at once.
const CONNECTIONS: usize = 64;
const BODY_BYTES: usize = 512;

fn run(bench: &mut Bench<'_>) -> Result<()> {
    dispatch::run(bench)?;
    whole::run(bench)?;
    ingest::run(bench)?;
    ready::run(bench)
}

fn message() -> Message {
    Message::new("item.updated", vec![b'x'; BODY_BYTES])
        .account("acme")
        .subject("items/1")
        .content_type("application/octet-stream")
}
