//! The end of every other process.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use busway_core::{Error, ErrorClass, ErrorKind, Result};
use serde_json::value::RawValue;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{Address, Answer, NAME, Request, frame};
use crate::lock::is_held;

/// A connection to the holder of a store: one call at a time.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    client: Client,
    /// A call was given up or failed: the next answer might be its.
    broken: bool,
}

impl Connection {
    /// Asks for one verb and waits at most `timeout` for the answer. After an error other than the
    /// verb's own the connection is of no more use.
    ///
    /// Cancelled, the connection is of no more use, and what the verb has done is open.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub async fn call(
        &mut self,
        verb: &str,
        params: Box<RawValue>,
        timeout: Duration,
    ) -> Result<Box<RawValue>> {
        let request = serde_json::to_vec(&Request { verb: verb.into(), params }).map_err(|error| {
            Error::new("call", ErrorKind::Malformed, "the request has no JSON form").caused_by(error)
        })?;
        if std::mem::replace(&mut self.broken, true) {
            return Err(Error::new("call", ErrorKind::Unavailable, "the connection has ended"));
        }
        let answer = match tokio::time::timeout(timeout, exchange(&mut self.stream, &request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(self.client.lost(error)),
            Err(_) => return Err(self.client.late(verb, timeout).class_of(ErrorClass::Unknown)),
        };
        self.broken = false;
        match serde_json::from_slice(&answer) {
            Ok(Answer::Ok(value)) => Ok(value),
            Ok(Answer::Error(failure)) => Err(failure.into_error()),
            Err(error) => Err(Error::new("call", ErrorKind::Malformed, "the answer cannot be understood")
                .at(self.client.store.join(NAME).display())
                .caused_by(error)),
        }
    }
}

async fn exchange(stream: &mut UnixStream, request: &[u8]) -> io::Result<Vec<u8>> {
    let written = frame::write(stream, request).await;
    if let Err(error) = &written
        && error.kind() == io::ErrorKind::InvalidInput
    {
        return written.map(|()| Vec::new());
    }
    // A holder that is ending answers without reading, so the answer may be there all the same.
    let read = async {
        let length = frame::read_length(stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        frame::read_body(stream, length, frame::LARGEST).await
    };
    match (written, read.await) {
        (Err(error), Err(_)) => Err(error),
        (_, read) => read,
    }
}

/// Asks the holder of a store. Each call has a connection of its own, so that a call that was given
/// up leaves nothing behind for the next.
#[derive(Clone, Debug)]
pub struct Client {
    store: PathBuf,
    connect: Duration,
}

impl Client {
    /// A client of whoever holds the store at `path`; `timeout` bounds each attempt to connect.
    ///
    /// # Errors
    /// `Unavailable` where nobody answers, `Timeout` where the holder does not accept in time.
    pub async fn connect(path: &Path, timeout: Duration) -> Result<Self> {
        let client = Self { store: path.to_owned(), connect: timeout };
        client.open().await?;
        Ok(client)
    }

    /// Asks for one verb and waits at most `timeout` for the answer.
    ///
    /// Cancelling it leaves open what the verb has done; it runs to its end.
    ///
    /// # Errors
    /// Those of the verb; `Unavailable` where nobody listens; `Timeout`, with the holder's process
    /// id, where no answer came in time; `Unavailable` with class `Unknown` where the connection
    /// broke before the answer.
    pub async fn call(&self, verb: &str, params: Box<RawValue>, timeout: Duration) -> Result<Box<RawValue>> {
        self.dial().await?.call(verb, params, timeout).await
    }

    /// A connection that lasts, for a client of which the holder keeps something meanwhile.
    ///
    /// # Errors
    /// `Unavailable` where nobody listens, `Timeout` where the holder does not accept in time.
    pub async fn dial(&self) -> Result<Connection> {
        Ok(Connection { stream: self.open().await?, client: self.clone(), broken: false })
    }

    async fn open(&self) -> Result<UnixStream> {
        let connect = async {
            let address = Address::of(&self.store)?;
            loop {
                match UnixStream::connect(&address.path).await {
                    // The holder has not yet accepted those who came before.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                    done => return done,
                }
            }
        };
        match timeout(self.connect, connect).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.nobody(error)),
            Err(_) => Err(self.late("connect", self.connect)),
        }
    }

    fn nobody(&self, error: io::Error) -> Error {
        let (kind, text) = match error.kind() {
            io::ErrorKind::PermissionDenied => (ErrorKind::Denied, "not allowed".to_owned()),
            _ => (ErrorKind::Unavailable, format!("nobody answers; {}", self.holder())),
        };
        Error::new("call", kind, text).at(self.store.join(NAME).display()).caused_by(error)
    }

    fn late(&self, verb: &str, limit: Duration) -> Error {
        let text = format!("no answer to {verb} within {limit:?}; {}", self.holder());
        Error::new("call", ErrorKind::Timeout, text).at(self.store.join(NAME).display())
    }

    fn lost(&self, error: io::Error) -> Error {
        if error.kind() == io::ErrorKind::InvalidInput {
            return Error::new("call", ErrorKind::TooLarge, "the request is too large").caused_by(error);
        }
        Error::new("call", ErrorKind::Unavailable, "the connection ended before the answer")
            .at(self.store.join(NAME).display())
            .class_of(ErrorClass::Unknown)
            .caused_by(error)
    }

    fn holder(&self) -> String {
        match is_held(&self.store) {
            Some(holder) => format!("the store is held by process {} ({})", holder.pid, holder.program),
            None => "nobody holds the store".to_owned(),
        }
    }
}
