//! State in a SQLite file.

mod file;
mod schema;
mod statements;
mod worker;

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use busway_core::state::{Swap, Versioned};
use busway_core::{Error, ErrorClass, ErrorKind, Result, State};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::bounds::{check_key, check_prefix, check_value, too_many};
use crate::error::from_io;
use worker::{Call, Reply};

/// How long and how large things may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// One call, from its begin to its answer.
    call: Duration,
    /// Another process's lock.
    lock: Duration,
    /// The most bytes that the values of a list may have together.
    list_bytes: i64,
}

const LIMITS: Limits =
    Limits { call: Duration::from_secs(10), lock: Duration::from_secs(5), list_bytes: 256 << 20 };

/// A state store in one SQLite file, for all processes of one host at the same time.
///
/// The file is in WAL mode with `synchronous=FULL`: what [`State::swap`] says is done survives
/// the loss of power. A thread of its own does the work, so the store may be opened in one tokio
/// runtime and used from others, and outlives the runtime that opened it. Reads do not wait for
/// writes. Every call ends within 10 seconds, waiting for another process's lock within 5.
///
/// Dropping it closes the file soon after; [`State::close`] says when it is closed.
#[derive(Debug)]
pub struct SqliteState {
    reads: mpsc::Sender<Call>,
    writes: mpsc::Sender<Call>,
    path: PathBuf,
    limits: Limits,
}

impl SqliteState {
    /// Opens the file, which is made (mode 0600, missing directories 0700) where there is none.
    ///
    /// Cancelling it may leave an empty file behind.
    ///
    /// # Errors
    /// `Io` where file or directory cannot be made or written, `Version` for a file of a newer
    /// version, `Corrupt` for a damaged one, `Conflict` for another program's database, `Held`
    /// where another process keeps it locked, `Timeout` after 10 seconds.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path.as_ref(), LIMITS).await
    }

    pub(crate) async fn open_with(path: &Path, limits: Limits) -> Result<Self> {
        let path = std::path::absolute(path).map_err(|e| from_io("open state", path, e))?;
        let (ready, opened) = oneshot::channel();
        let (reads, writes) = worker::start(path.clone(), limits, ready)?;
        let state = Self { reads, writes, path, limits };
        state
            .within("open state", async { opened.await.unwrap_or_else(|_| Err(state.closed("open state"))) })
            .await?;
        Ok(state)
    }

    /// Puts a call to the worker and waits for its answer.
    async fn ask<T>(
        &self,
        operation: &'static str,
        lane: &mpsc::Sender<Call>,
        call: impl FnOnce(Reply<T>) -> Call,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.within(operation, async {
            lane.send(call(reply)).await.map_err(|_| self.closed(operation))?;
            answer.await.unwrap_or_else(|_| Err(self.closed(operation)))
        })
        .await
    }

    async fn within<T>(&self, operation: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout(self.limits.call, work).await.unwrap_or_else(|_| {
            let detail = format!("no answer within {:?}", self.limits.call);
            Err(Error::new(operation, ErrorKind::Timeout, detail)
                .at(self.path.display())
                .advise("look at the disk and at other processes that use the file"))
        })
    }

    fn closed(&self, operation: &'static str) -> Error {
        Error::new(operation, ErrorKind::Closed, "the state store was closed before").at(self.path.display())
    }
}

#[async_trait]
impl State for SqliteState {
    async fn get(&self, key: &str) -> Result<Option<Versioned>> {
        check_key("get", key)?;
        let key = key.to_owned();
        self.ask("get", &self.reads, |reply| Call::Get { key, reply }).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, Versioned)>> {
        check_prefix("list", prefix)?;
        let owned = prefix.to_owned();
        let list = self.ask("list", &self.reads, |reply| Call::List { prefix: owned, reply }).await?;
        list.ok_or_else(|| too_many(prefix))
    }

    async fn swap(&self, key: &str, expected: Option<u64>, value: Option<Bytes>) -> Result<Swap> {
        check_key("swap", key)?;
        check_value("swap", key, value.as_ref())?;
        let key = key.to_owned();
        self.ask("swap", &self.writes, |reply| Call::Swap { key, expected, value, reply }).await.map_err(
            |error| match error.kind() {
                ErrorKind::Timeout => error.class_of(ErrorClass::Unknown),
                _ => error,
            },
        )
    }

    async fn close(&self) -> Result<()> {
        for lane in [&self.reads, &self.writes] {
            match self.ask("close", lane, Call::Close).await {
                Err(error) if error.kind() != ErrorKind::Closed => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
