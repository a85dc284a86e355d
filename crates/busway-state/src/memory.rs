//! State in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use busway_core::state::{Swap, Versioned};
use busway_core::{Error, ErrorKind, Result, State};
use bytes::Bytes;

use crate::bounds::{MAX_LIST, check_key, check_prefix, check_value, too_many};

/// A state store that lives as long as the value: for tests, and for a bus inside one process that
/// needs nothing to outlive it.
#[derive(Debug, Default)]
pub struct MemoryState(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    entries: BTreeMap<String, Versioned>,
    last_version: u64,
    closed: bool,
}

impl MemoryState {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn open(&self, operation: &'static str) -> Result<MutexGuard<'_, Inner>> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.closed {
            return Err(Error::new(operation, ErrorKind::Closed, "the state store was closed before"));
        }
        Ok(inner)
    }
}

#[async_trait]
impl State for MemoryState {
    async fn get(&self, key: &str) -> Result<Option<Versioned>> {
        check_key("get", key)?;
        Ok(self.open("get")?.entries.get(key).cloned())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, Versioned)>> {
        check_prefix("list", prefix)?;
        let inner = self.open("list")?;
        let found = inner.entries.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        let list: Vec<_> = found.take(MAX_LIST + 1).map(|(key, at)| (key.clone(), at.clone())).collect();
        if list.len() > MAX_LIST { Err(too_many(prefix)) } else { Ok(list) }
    }

    async fn swap(&self, key: &str, expected: Option<u64>, value: Option<Bytes>) -> Result<Swap> {
        check_key("swap", key)?;
        check_value("swap", key, value.as_ref())?;
        let mut inner = self.open("swap")?;
        let current = inner.entries.get(key);
        if current.map(|current| current.version) != expected {
            return Ok(Swap::Conflict(current.cloned()));
        }
        inner.last_version += 1;
        let version = inner.last_version;
        match value {
            Some(value) => inner.entries.insert(key.to_owned(), Versioned { value, version }),
            None => inner.entries.remove(key),
        };
        Ok(Swap::Done(version))
    }

    async fn close(&self) -> Result<()> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.closed = true;
        inner.entries.clear();
        Ok(())
    }
}
