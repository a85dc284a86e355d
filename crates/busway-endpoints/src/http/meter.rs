//! Sockets that know what was sent and whether anything came back.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::tcp_info::TcpInfo;

/// Stands for "not yet" in [`Meter::flushed_at`].
const NOT_YET: u64 = u64::MAX;

/// No head of a request is shorter: `POST / HTTP/1.1` and the empty line.
const LEAST_HEAD_BYTES: u64 = 19;

/// The most bytes of an answer's head with the interim answers (1xx) before it, of which there may be any
/// number.
const MAX_BEFORE_BODY: u64 = 256 * 1024;

/// One TCP connection and what is known of the request on it. Holds the socket open: the peer sees
/// its end when the last holder of the meter lets go.
#[derive(Debug)]
pub(super) struct Meter {
    tcp: TcpStream,
    /// Bytes acknowledged by the peer when none of ours had been sent.
    acknowledged_before: u64,
    /// Bytes given to the kernel since the connection began.
    written: AtomicU64,
    /// No request is out before this many bytes were given to it.
    least: AtomicU64,
    /// The HTTP layer has taken the request's body.
    body_taken: AtomicBool,
    /// How many bytes had been written when the kernel had every byte of the request.
    flushed_at: AtomicU64,
    /// Bytes of an answer have been read since the request began.
    answered: AtomicBool,
    /// How many bytes may still come before the answer's body; `u64::MAX` once its head is here.
    before_body: AtomicU64,
}

/// How a request stands with the peer's TCP.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// Every byte of it was acknowledged.
    pub(super) received: bool,
    /// The connection was reset.
    pub(super) closed: bool,
    /// Neither side has ended the connection.
    pub(super) established: bool,
}

impl Meter {
    /// Watches a connection over which nothing was sent yet.
    pub(super) fn new(tcp: TcpStream) -> Self {
        // Where the kernel does not tell, `standing` says so; nothing else depends on it.
        let acknowledged_before = TcpInfo::of(&tcp).map_or(0, |info| info.acknowledged);
        Self {
            tcp,
            acknowledged_before,
            written: AtomicU64::new(0),
            least: AtomicU64::new(0),
            body_taken: AtomicBool::new(false),
            flushed_at: AtomicU64::new(0),
            answered: AtomicBool::new(false),
            before_body: AtomicU64::new(MAX_BEFORE_BODY),
        }
    }

    /// A new request with a body of this many bytes begins.
    pub(super) fn begin(&self, body: usize) {
        self.least.store(self.written.load(Relaxed) + body as u64 + LEAST_HEAD_BYTES, Relaxed);
        self.body_taken.store(false, Relaxed);
        self.flushed_at.store(NOT_YET, Relaxed);
        self.answered.store(false, Relaxed);
        self.before_body.store(MAX_BEFORE_BODY, Relaxed);
    }

    /// The head of the answer is here: what comes now is its body.
    pub(super) fn head_is_here(&self) {
        self.before_body.store(u64::MAX, Relaxed);
    }

    /// So many bytes of an answer were read.
    ///
    /// # Errors
    /// `InvalidData` where its head should have come by now.
    fn read(&self, bytes: u64) -> io::Result<()> {
        self.answered.store(true, Relaxed);
        let left = self.before_body.load(Relaxed);
        if left == u64::MAX {
            return Ok(());
        }
        if bytes > left {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer's head has no end"));
        }
        self.before_body.store(left - bytes, Relaxed);
        Ok(())
    }

    pub(super) fn body_taken(&self) {
        self.body_taken.store(true, Relaxed);
    }

    /// Whether any byte of an answer was read since the request began.
    pub(super) fn answered(&self) -> bool {
        self.answered.load(Relaxed)
    }

    /// Whether the kernel has every byte of the request.
    pub(super) fn flushed(&self) -> bool {
        self.flushed_at.load(Relaxed) != NOT_YET
    }

    /// Changes whenever the request or its answer has moved on.
    pub(super) fn progress(&self) -> (bool, bool) {
        (self.flushed(), self.answered())
    }

    /// Asks the kernel about the request.
    ///
    /// # Errors
    /// Where the kernel does not count acknowledged bytes.
    pub(super) fn standing(&self) -> io::Result<Standing> {
        let info = TcpInfo::of(&self.tcp)?;
        let flushed_at = self.flushed_at.load(Relaxed);
        let acknowledged = info.acknowledged.saturating_sub(self.acknowledged_before);
        let received = flushed_at != NOT_YET && acknowledged >= flushed_at;
        Ok(Standing { received, closed: info.closed, established: info.established })
    }

    /// Whether an idle connection shows neither its end nor bytes nobody asked for.
    pub(super) fn quiet(&self) -> bool {
        use rustix::net::{RecvFlags, recv};
        let mut byte = [0_u8; 1];
        let seen = recv(&self.tcp, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        matches!(seen, Err(rustix::io::Errno::AGAIN))
    }

    /// Waits until the peer has ended the connection, or sends what nobody reads.
    pub(super) async fn peer_end(&self) {
        while self.tcp.readable().await.is_ok() {
            match self.tcp.try_read(&mut [0_u8; 1]) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                _ => return,
            }
        }
    }

    /// Resets the connection when it is closed: what the peer does not have yet is discarded.
    pub(super) fn reset(&self) {
        if let Err(e) = self.tcp.set_zero_linger() {
            tracing::debug!(error = %e, "a connection is closed without a reset");
        }
    }

    fn flush_done(&self) {
        let written = self.written.load(Relaxed);
        if self.body_taken.load(Relaxed) && !self.flushed() && written >= self.least.load(Relaxed) {
            self.flushed_at.store(written, Relaxed);
        }
    }
}

/// The TCP side: counts what the kernel took.
#[derive(Debug)]
pub(super) struct Socket(Arc<Meter>);

impl Socket {
    pub(super) fn new(meter: Arc<Meter>) -> Self {
        Self(meter)
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        send: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.tcp.poll_write_ready(cx))?;
            match send(&self.0.tcp) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                sent => {
                    if let Ok(n) = &sent {
                        self.0.written.fetch_add(*n as u64, Relaxed);
                    }
                    return Poll::Ready(sent);
                }
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let tcp = &self.0.tcp;
        loop {
            ready!(tcp.poll_read_ready(cx))?;
            let room = buf.remaining();
            let mut read = None;
            // Less than there was room for is all that the kernel has. To say so here spares the
            // call that would find nothing.
            let tried = tcp.try_io(Interest::READABLE, || {
                let n = *read.insert(tcp.try_read_buf(buf)?);
                if n > 0 && n < room { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            match tried {
                _ if read.is_some() => return Poll::Ready(Ok(())),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                tried => return Poll::Ready(tried),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, |tcp| tcp.try_write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, |tcp| tcp.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Leaves the end to the meter's last holder, so that until then a connection that the kernel
    /// calls closed is one that was reset.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The HTTP side: sees when a request is out and when an answer begins.
pub(super) struct Stream {
    inner: Inner,
    meter: Arc<Meter>,
}

enum Inner {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Stream {
    pub(super) fn plain(socket: Socket, meter: Arc<Meter>) -> Self {
        Self { inner: Inner::Plain(socket), meter }
    }

    pub(super) fn tls(stream: TlsStream<Socket>, meter: Arc<Meter>) -> Self {
        Self { inner: Inner::Tls(Box::new(stream)), meter }
    }
}

/// Calls a method of whichever stream there is.
macro_rules! inner {
    ($stream:expr, $method:ident $(, $argument:expr)*) => {
        match &mut $stream.inner {
            Inner::Plain(io) => Pin::new(io).$method($($argument),*),
            Inner::Tls(io) => Pin::new(io.as_mut()).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = inner!(self, poll_read, cx, buf);
        let bytes = buf.filled().len() - before;
        if bytes > 0 {
            self.meter.read(bytes as u64)?;
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        inner!(self, poll_write, cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        inner!(self, poll_write_vectored, cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.inner {
            Inner::Plain(io) => io.is_write_vectored(),
            Inner::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(inner!(self, poll_flush, cx))?;
        self.meter.flush_done();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        inner!(self, poll_shutdown, cx)
    }
}
