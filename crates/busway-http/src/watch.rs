//! Cuts connections that neither send nor take what they should.
//!
//! The server's own timers bound the head of a connection's first request, an idle connection and
//! the end of one. They do not bound the head of a later request that comes in byte by byte, nor
//! an answer that is not read; both would hold a connection, and the latter memory, for ever.

use std::any::Any;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use actix_web::web::Bytes;
use rustix::net::Shutdown;

/// All connections of a server.
#[derive(Debug)]
pub(crate) struct Watch {
    begun: Instant,
    idle: Duration,
    busy: Duration,
    connections: Mutex<Vec<Weak<Connection>>>,
}

/// One connection; it ends with the server's own hold on it.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    begun: Instant,
    /// Milliseconds after `begun` when the connection last became busy or idle, times two, plus
    /// one while it is busy.
    since: AtomicU64,
}

impl Watch {
    /// A request's head may take until `idle` after the answer before it, and a request with its
    /// answer `busy`.
    pub(crate) fn new(idle: Duration, busy: Duration) -> Self {
        Self { begun: Instant::now(), idle, busy, connections: Mutex::default() }
    }

    /// How often [`Watch::sweep`] should be called.
    pub(crate) fn period(&self) -> Duration {
        (self.idle.min(self.busy) / 8).clamp(Duration::from_millis(20), Duration::from_secs(1))
    }

    /// Takes a new connection under watch. One for which there is no file descriptor left is
    /// served unwatched.
    pub(crate) fn add(&self, stream: &dyn Any, data: &mut Extensions) {
        let Some(stream) = stream.downcast_ref::<TcpStream>() else { return };
        let socket = match stream.as_fd().try_clone_to_owned() {
            Ok(socket) => socket,
            Err(error) => return tracing::warn!(%error, "a connection is not watched"),
        };
        let connection = Arc::new(Connection { socket, begun: self.begun, since: AtomicU64::new(0) });
        connection.mark(false);
        self.lock().push(Arc::downgrade(&connection));
        data.insert(connection);
    }

    /// Cuts what has taken too long.
    pub(crate) fn sweep(&self) {
        self.lock().retain(|connection| match connection.upgrade() {
            Some(connection) => {
                let (busy, time) = connection.standing();
                if time > if busy { self.busy } else { self.idle } {
                    connection.cut();
                }
                true
            }
            None => false,
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Connection>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    fn mark(&self, busy: bool) {
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX / 2);
        self.since.store(millis * 2 + u64::from(busy), Ordering::Relaxed);
    }

    /// Whether it is busy, and for how long it has been so or not.
    fn standing(&self) -> (bool, Duration) {
        let since = self.since.load(Ordering::Relaxed);
        let time = self.begun.elapsed().saturating_sub(Duration::from_millis(since / 2));
        (since % 2 == 1, time)
    }

    fn cut(&self) {
        match rustix::net::shutdown(&self.socket, Shutdown::Both) {
            Ok(()) => tracing::debug!("a connection that took too long is cut"),
            Err(error) => tracing::trace!(%error, "a connection that took too long is gone"),
        }
    }
}

/// A request in hand; its end makes the connection idle.
#[derive(Debug)]
pub(crate) struct Busy(Option<Arc<Connection>>);

impl Busy {
    /// Marks a connection, where it is watched, as busy.
    pub(crate) fn new(connection: Option<&Arc<Connection>>) -> Self {
        if let Some(connection) = connection {
            connection.mark(true);
        }
        Self(connection.cloned())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.mark(false);
        }
    }
}

/// An answer's body: the request is in hand until it has been taken.
pub(crate) struct Watched<B> {
    body: B,
    _busy: Busy,
}

impl<B> Watched<B> {
    pub(crate) fn new(body: B, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl<B: MessageBody + Unpin> MessageBody for Watched<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
