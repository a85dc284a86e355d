//! The thread that owns the connections: one to read and one to write.
//!
//! A call that has begun is finished here whatever becomes of its caller, so a cancelled future
//! never leaves a transaction open. A connection that has failed is not used again: SQLite ends
//! some transactions by itself, and the driver would not know.

use std::path::PathBuf;

use busway_core::state::{Swap, Versioned};
use busway_core::{ErrorClass, Result};
use bytes::Bytes;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::statements::{self, Failed};
use super::{Limits, file, schema};
use crate::error::{from_io, from_sqlx};

/// Calls that wait in each lane; further callers wait for room, within their deadline.
const WAITING: usize = 64;

/// Where the answer to a call goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T>>;

/// What a caller can ask for.
pub(super) enum Call {
    Get { key: String, reply: Reply<Option<Versioned>> },
    List { prefix: String, reply: Reply<Option<Vec<(String, Versioned)>>> },
    Swap { key: String, expected: Option<u64>, value: Option<Bytes>, reply: Reply<Swap> },
    Close(Reply<()>),
}

/// Starts the thread and gives its lane for reads and its lane for writes; `ready` is told whether
/// the file could be opened. The thread ends when both lanes are closed or nobody can call it.
pub(super) fn start(
    path: PathBuf,
    limits: Limits,
    ready: Reply<()>,
) -> Result<(mpsc::Sender<Call>, mpsc::Sender<Call>)> {
    let (read_sender, reads) = mpsc::channel(WAITING);
    let (write_sender, writes) = mpsc::channel(WAITING);
    let place = path.clone();
    let failed = |e| from_io("open state", &place, e);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
    std::thread::Builder::new()
        .name("busway-state".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                match Lane::open_both(&path, limits).await {
                    Ok((reader, writer)) => {
                        answer(ready, Ok(()));
                        tokio::join!(reader.serve(reads), writer.serve(writes));
                    }
                    Err(error) => answer(ready, Err(error)),
                }
            });
        })
        .map_err(failed)?;
    Ok((read_sender, write_sender))
}

/// A connection with the calls that go over it, one after the other.
struct Lane {
    path: PathBuf,
    limits: Limits,
    read_only: bool,
    /// `None` after a failure, until the next call.
    connection: Option<SqliteConnection>,
}

impl Lane {
    async fn open_both(path: &std::path::Path, limits: Limits) -> Result<(Self, Self)> {
        let connection = Some(schema::open(path, limits).await?);
        let writer = Self { path: path.to_owned(), limits, read_only: false, connection };
        let mut reader = Self { path: path.to_owned(), limits, read_only: true, connection: None };
        reader.connection = Some(reader.take("open state").await?);
        Ok((reader, writer))
    }

    async fn serve(mut self, mut calls: mpsc::Receiver<Call>) {
        while let Some(call) = calls.recv().await {
            match call {
                Call::Get { key, reply } => {
                    self.run("get", reply, async |c| statements::get(c, &key).await).await;
                }
                Call::List { prefix, reply } => {
                    let max_bytes = self.limits.list_bytes;
                    self.run("list", reply, async |c| statements::list(c, &prefix, max_bytes).await).await;
                }
                Call::Swap { key, expected, value, reply } => {
                    self.run("swap", reply, async |c| statements::swap(c, &key, expected, value).await).await;
                }
                Call::Close(reply) => {
                    let closed = match self.connection.take() {
                        Some(connection) => connection.close().await,
                        None => Ok(()),
                    };
                    return answer(reply, closed.map_err(|e| from_sqlx("close", &self.path, e)));
                }
            }
        }
    }

    /// Runs one call to its end, unless its caller had gone before it began.
    async fn run<T>(
        &mut self,
        operation: &'static str,
        reply: Reply<T>,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, Failed>,
    ) {
        if reply.is_closed() {
            return;
        }
        let result = match self.take(operation).await {
            Ok(mut connection) => match work(&mut connection).await {
                Ok(value) => {
                    self.connection = Some(connection);
                    Ok(value)
                }
                Err(failed) => {
                    let error = from_sqlx(operation, &self.path, failed.error);
                    Err(if failed.at_commit { error.class_of(ErrorClass::Unknown) } else { error })
                }
            },
            Err(error) => Err(error),
        };
        answer(reply, result);
    }

    /// The connection, or a new one where it has failed before.
    async fn take(&mut self, operation: &'static str) -> Result<SqliteConnection> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => file::options(&self.path, self.limits)
                .pragma("query_only", if self.read_only { "ON" } else { "OFF" })
                .connect()
                .await
                .map_err(|e| from_sqlx(operation, &self.path, e)),
        }
    }
}

fn answer<T>(reply: Reply<T>, result: Result<T>) {
    if reply.send(result).is_err() {
        tracing::debug!("a caller of the state store went before its answer came");
    }
}
