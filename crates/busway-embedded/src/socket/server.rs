//! The holder's end: a bounded number of connections, a task each.

use std::future::Future;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use busway_core::{Error, ErrorKind, Result};
use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Address, Answer, Failure, NAME, Request, Verbs, frame};
use crate::error::io_error;

/// What a server grants its clients.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SocketLimits {
    /// Connections at once; further ones wait to be accepted.
    pub connections: usize,
    /// How long a connection may be without a request.
    pub idle: Duration,
    /// How long the rest of a request, or an answer, may take once it has begun.
    pub transfer: Duration,
    /// How long a verb may take.
    pub call: Duration,
    /// The largest request, in bytes; at most 64 MiB.
    pub request_bytes: usize,
}

impl Default for SocketLimits {
    fn default() -> Self {
        Self {
            connections: 64,
            idle: Duration::from_secs(60),
            transfer: Duration::from_secs(30),
            call: Duration::from_secs(3600),
            request_bytes: frame::LARGEST,
        }
    }
}

/// A socket that is being served; dropped, it ends its connections and removes the socket's file.
#[derive(Debug)]
pub struct SocketServer {
    path: PathBuf,
    /// Device and number of the file, so that a successor's is not removed.
    made: (u64, u64),
    accepting: JoinHandle<()>,
    closing: watch::Sender<bool>,
    /// Its sender goes with the last connection.
    ended: watch::Receiver<()>,
}

impl SocketServer {
    /// Ends in order: takes no further request, tells every client whose request was not taken, and
    /// waits until those that were are answered, `grace` at most; whether all were.
    ///
    /// Cancelled, no request is taken any more and those in hand go on.
    pub async fn close(&self, grace: Duration) -> bool {
        self.remove_file();
        self.closing.send_replace(true);
        let mut ended = self.ended.clone();
        timeout(grace, async { while ended.changed().await.is_ok() {} }).await.is_ok()
    }

    fn remove_file(&self) {
        if identity(&self.path).is_ok_and(|found| found == self.made)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the socket could not be removed");
        }
    }
}

/// Serves requests to the store at `path`, which this process holds. Must be called within a tokio
/// runtime; replaces the file that a holder before has left.
///
/// # Errors
/// `Io`, `Denied` or `Full` where the socket cannot be made; `Conflict` where something else has
/// its name.
pub fn serve(path: &Path, verbs: Arc<dyn Verbs>) -> Result<SocketServer> {
    serve_with(path, verbs, SocketLimits::default())
}

/// [`serve`] with other limits.
///
/// # Errors
/// Those of [`serve`].
pub fn serve_with(path: &Path, verbs: Arc<dyn Verbs>, limits: SocketLimits) -> Result<SocketServer> {
    let socket = path.join(NAME);
    let failed = |error| io_error("serve", &socket, error);
    if let Ok(found) = socket.symlink_metadata() {
        if !found.file_type().is_socket() {
            return Err(Error::new("serve", ErrorKind::Conflict, "there is something else in its place")
                .at(socket.display())
                .advise("remove it"));
        }
        std::fs::remove_file(&socket).map_err(failed)?;
    }
    let listener = bind(path).map_err(failed)?;
    let made = identity(&socket).map_err(failed)?;
    let (closing, told) = watch::channel(false);
    let (alive, ended) = watch::channel(());
    let accepting = tokio::spawn(async move {
        accept(listener, verbs, limits, told).await;
        drop(alive);
    });
    Ok(SocketServer { path: socket, made, accepting, closing, ended })
}

impl Drop for SocketServer {
    fn drop(&mut self) {
        self.accepting.abort();
        self.remove_file();
    }
}

/// Makes the socket with its mode set before it has a name, so that nobody else can come in between.
fn bind(store: &Path) -> io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    let address = Address::of(store)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(address.path.as_path())?)?;
    rustix::net::listen(&socket, 128)?;
    UnixListener::from_std(StdListener::from(socket))
}

fn identity(socket: &Path) -> io::Result<(u64, u64)> {
    let found = socket.symlink_metadata()?;
    Ok((found.dev(), found.ino()))
}

/// Accepts connections until it is told to close; those that are open end with the task that accepts.
async fn accept(
    listener: UnixListener,
    verbs: Arc<dyn Verbs>,
    limits: SocketLimits,
    mut closing: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(limits.connections.max(1)));
    let mut open = tokio::task::JoinSet::new();
    let told = closing.clone();
    let accepting = async {
        loop {
            while open.try_join_next().is_some() {}
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    open.spawn(connection(stream, verbs.clone(), limits, told.clone(), permit));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => return,
        () = told_to_close(&mut closing) => {}
    }
    // Those who have connected and were not accepted would not learn that nobody took their request.
    match listener.into_std() {
        Ok(listener) => {
            while let Ok((stream, _)) = listener.accept() {
                open.spawn(async move { said(turn_away(stream, limits.transfer).await) });
            }
        }
        Err(error) => tracing::warn!(%error, "those who wait to be accepted could not be told of the end"),
    }
    while open.join_next().await.is_some() {}
}

async fn told_to_close(closing: &mut watch::Receiver<bool>) {
    // The sender goes with the server, which ends the tasks that wait here.
    let gone = closing.wait_for(|closing| *closing).await.is_err();
    tracing::trace!(gone, "the socket closes");
}

async fn connection(
    mut stream: UnixStream,
    verbs: Arc<dyn Verbs>,
    limits: SocketLimits,
    closing: watch::Receiver<bool>,
    _room: OwnedSemaphorePermit,
) {
    said(serve_connection(&mut stream, verbs, limits, closing).await);
}

fn said(ended: io::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

async fn turn_away(stream: StdStream, limit: Duration) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    within(limit, goodbye(&mut UnixStream::from_std(stream)?)).await
}

/// Answers the next request, which is not read, as not taken: the client reads the answer even where
/// it could not write all of the request.
async fn goodbye(stream: &mut UnixStream) -> io::Result<()> {
    let error = Error::new("call", ErrorKind::Unavailable, "the process that holds the store is ending")
        .advise("ask again: the next one answers");
    frame::write(stream, &encode(Err(error))?).await
}

async fn serve_connection(
    stream: &mut UnixStream,
    verbs: Arc<dyn Verbs>,
    limits: SocketLimits,
    mut closing: watch::Receiver<bool>,
) -> io::Result<()> {
    let verbs = verbs.connected().unwrap_or(verbs);
    loop {
        let length = tokio::select! {
            length = within(limits.idle, frame::read_length(stream)) => length?,
            () = told_to_close(&mut closing) => {
                return within(limits.transfer, goodbye(stream)).await;
            }
        };
        let Some(length) = length else { return Ok(()) };
        let request = within(limits.transfer, frame::read_body(stream, length, limits.request_bytes)).await;
        let answer = match request {
            Ok(request) => answer(&verbs, &request, limits.call).await,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let error = Error::new("call", ErrorKind::TooLarge, error.to_string());
                within(limits.transfer, frame::write(stream, &encode(Err(error))?)).await?;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let bytes = match encode(answer)? {
            bytes if bytes.len() <= frame::LARGEST => bytes,
            bytes => encode(Err(Error::new(
                "call",
                ErrorKind::TooLarge,
                format!("the answer has {} bytes, ask for less", bytes.len()),
            )))?,
        };
        within(limits.transfer, frame::write(stream, &bytes)).await?;
    }
}

/// Runs the verb in a task of its own, so that it reaches its end whatever becomes of the client.
async fn answer(
    verbs: &Arc<dyn Verbs>,
    request: &[u8],
    limit: Duration,
) -> Result<Box<serde_json::value::RawValue>> {
    let request: Request<'static> = serde_json::from_slice(request).map_err(|error| {
        Error::new("call", ErrorKind::Malformed, "the request cannot be understood").caused_by(error)
    })?;
    let verbs = verbs.clone();
    let call = tokio::spawn(async move { verbs.call(&request.verb, request.params).await });
    match timeout(limit, call).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Err(Error::new("call", ErrorKind::Internal, "the verb failed").caused_by(error)),
        Err(_) => Err(Error::new("call", ErrorKind::Timeout, "the verb takes too long")),
    }
}

fn encode(answer: Result<Box<serde_json::value::RawValue>>) -> io::Result<Vec<u8>> {
    let answer = match answer {
        Ok(value) => Answer::Ok(value),
        Err(error) => Answer::Error(Failure::of(&error)),
    };
    serde_json::to_vec(&answer).map_err(io::Error::other)
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
