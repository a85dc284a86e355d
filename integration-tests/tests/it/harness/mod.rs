//! What the tests of the whole program share.

mod bed;
mod client;
mod daemon;
mod lines;
mod peer;
mod percentile;
mod process;
mod stopwatch;
mod wait;

pub(crate) use bed::{Answer, Bed, Verb, program};
pub(crate) use client::{Client, Reply, Request};
pub(crate) use daemon::Daemon;
pub(crate) use lines::{Line, ids, read_lines};
pub(crate) use peer::{Arrived, Conversation, Peer};
pub(crate) use percentile::percentile;
pub(crate) use process::Usage;
pub(crate) use stopwatch::Stopwatch;
pub(crate) use wait::{until, within};

/// Whether the long forms are asked for.
pub(crate) fn long() -> bool {
    std::env::var_os("BUSWAY_TEST_LONG").is_some()
}

/// A seed for what a test leaves to chance: the one `BUSWAY_TEST_SEED` gives, else a new one. It is
/// printed, so that a failure can be run again.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("BUSWAY_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("BUSWAY_TEST_SEED={seed}");
    seed
}
