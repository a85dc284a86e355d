//! What an embedded store is opened with.

use std::path::PathBuf;
use std::time::Duration;

use busway_core::{Error, ErrorKind, Result};

/// Settings of one embedded store. Made by [`EmbeddedConfig::new`]; the fields hold defaults that
/// fit most machines.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EmbeddedConfig {
    /// The transport's name in the configuration, such as `local`.
    pub name: String,
    /// The bus's name, which physical queue names begin with.
    pub bus: String,
    /// The store's directory; made where it is missing.
    pub path: PathBuf,
    /// A log file is closed and the next one begun at about this size; 64 KiB to 1 GiB.
    pub segment_bytes: u32,
    /// Bytes of a log file that are written with zeros ahead of what comes, so that a sync has less to
    /// do, at the most; 0 for none. A small file has less, and none more than a sixteenth of
    /// `segment_bytes`.
    pub ahead_bytes: u32,
    /// The largest message, payload and attributes together.
    pub max_message_bytes: usize,
    /// The lease of a receiver that names none.
    pub lease: Duration,
    /// The first back-off of a message whose receipt was dropped; doubled with each delivery.
    pub backoff_first: Duration,
    /// The longest back-off of such a message.
    pub backoff_max: Duration,
    /// Bytes of waiting publications after which `publish` holds its callers back.
    pub backlog_bytes: usize,
    /// About how many bytes one sync to disk carries.
    pub group_bytes: usize,
    /// Memory for messages that were just published, so that reading them needs no disk.
    pub cache_bytes: usize,
    /// Cleaning begins when this much of the disk is held by messages that are gone, and more than
    /// by those that are not.
    pub garbage_bytes: u64,
    /// The same when the store has been idle for a second.
    pub idle_garbage_bytes: u64,
    /// Space kept back on the disk so that acknowledgements still work when it is full; 0 for none.
    pub reserve_bytes: u64,
}

impl EmbeddedConfig {
    /// The settings of a store at `path` for the bus `bus`, known in the configuration as `name`.
    #[must_use]
    pub fn new(name: impl Into<String>, bus: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            bus: bus.into(),
            path: path.into(),
            segment_bytes: 64 << 20,
            ahead_bytes: 1 << 20,
            max_message_bytes: 1 << 20,
            lease: Duration::from_secs(60),
            backoff_first: Duration::from_millis(100),
            backoff_max: Duration::from_secs(30),
            backlog_bytes: 64 << 20,
            group_bytes: 8 << 20,
            cache_bytes: 16 << 20,
            garbage_bytes: 64 << 20,
            idle_garbage_bytes: 4 << 20,
            reserve_bytes: 1 << 20,
        }
    }

    /// How much of a log file is laid out ahead at the most.
    pub(crate) fn ahead(&self) -> u32 {
        self.ahead_bytes.min(self.segment_bytes / 16)
    }

    /// These settings on a disk of so many bytes. Room is given back by whole files, so they must be small
    /// beside it, or a full disk would never have room again.
    pub(crate) fn fitted(mut self, disk: u64) -> Self {
        let part = u32::try_from(disk / 32).unwrap_or(u32::MAX).max(64 << 10);
        self.segment_bytes = self.segment_bytes.min(part);
        self
    }

    /// Refuses settings that the store cannot work with.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong =
            |what: &str| Err(Error::new("open", ErrorKind::Configuration, what).at(self.path.display()));
        if !(64 << 10..=1 << 30).contains(&self.segment_bytes) {
            return wrong("segment_bytes must be between 64 KiB and 1 GiB");
        }
        if !(1..=64 << 20).contains(&self.max_message_bytes) {
            return wrong("max_message_bytes must be between 1 byte and 64 MiB");
        }
        if self.lease.is_zero() {
            return wrong("lease must be longer than zero");
        }
        if self.backlog_bytes < 64 << 10 || self.group_bytes < 64 << 10 {
            return wrong("backlog_bytes and group_bytes must be at least 64 KiB");
        }
        if self.group_bytes > 256 << 20 || self.backlog_bytes > 1 << 30 {
            return wrong("group_bytes may be at most 256 MiB and backlog_bytes at most 1 GiB");
        }
        Ok(())
    }
}
