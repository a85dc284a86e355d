//! One connection with its HTTP/1.1 state, driven by whoever holds it: no task of its own.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::meter::{Meter, Stream};
use super::request::Payload;

/// The most bytes of an answer's head.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The most headers of an answer.
const MAX_HEADERS: usize = 256;

/// A connection that carries one request at a time.
pub(super) struct Link {
    sender: SendRequest<Payload>,
    /// `None` once it has ended.
    connection: Option<Box<Connection<TokioIo<Stream>, Payload>>>,
    pub(super) meter: Arc<Meter>,
    /// It has carried a request before.
    pub(super) reused: bool,
    pub(super) idle_since: Instant,
    /// What the peer has not acknowledged is to be discarded, even if the kernel has all of it.
    pub(super) reset_on_drop: bool,
}

impl Link {
    pub(super) async fn new(stream: Stream, meter: Arc<Meter>) -> hyper::Result<Self> {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD_BYTES)
            .max_headers(MAX_HEADERS)
            .handshake(TokioIo::new(stream))
            .await?;
        let connection = Some(Box::new(connection));
        Ok(Self {
            sender,
            connection,
            meter,
            reused: false,
            idle_since: Instant::now(),
            reset_on_drop: false,
        })
    }

    /// Begins to send a request; it goes out as the link is driven.
    pub(super) fn send(&mut self, request: Request<Payload>) -> Answer {
        Answer::Awaited(Box::pin(self.sender.send_request(request)))
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// Cancelling it leaves open whether the request was processed; the link must be dropped.
    pub(super) async fn exchange(&mut self, request: Request<Payload>) -> hyper::Result<Response<Incoming>> {
        let answer = self.send(request);
        self.head(answer).await
    }

    /// Waits for the head of an answer.
    ///
    /// Cancelled, the link must be dropped.
    pub(super) async fn head(&mut self, mut answer: Answer) -> hyper::Result<Response<Incoming>> {
        let head = poll_fn(|cx| {
            self.drive(cx);
            answer.poll(cx);
            answer.take()
        })
        .await;
        self.meter.head_is_here();
        head
    }

    /// Sends what is left of the request, where the answer came before all of it was out, reads the
    /// answer's body and discards it. Returns whether it ended within `max` bytes and the link can
    /// carry a further request.
    pub(super) async fn finish(&mut self, body: Incoming, max: usize) -> bool {
        let ended = self.discard(body, max).await;
        if !self.meter.flushed() {
            poll_fn(|cx| {
                self.drive(cx);
                if self.meter.flushed() || self.ended() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        ended && self.ready().await
    }

    /// Reads a body; returns whether it ended within `max` bytes.
    async fn discard(&mut self, mut body: Incoming, max: usize) -> bool {
        if body.size_hint().lower() > max as u64 {
            return false;
        }
        let mut left = max;
        while !body.is_end_stream() {
            let frame = poll_fn(|cx| {
                self.drive(cx);
                Pin::new(&mut body).poll_frame(cx)
            })
            .await;
            match frame {
                None => break,
                Some(Err(_)) => return false,
                Some(Ok(frame)) => match left.checked_sub(frame.data_ref().map_or(0, |data| data.len())) {
                    Some(rest) => left = rest,
                    None => return false,
                },
            }
        }
        true
    }

    /// Whether a request can be sent now.
    async fn ready(&mut self) -> bool {
        poll_fn(|cx| {
            self.drive(cx);
            Poll::Ready(matches!(self.sender.poll_ready(cx), Poll::Ready(Ok(()))))
        })
        .await
    }

    /// Whether neither side can send over it any more.
    pub(super) fn ended(&self) -> bool {
        self.connection.is_none()
    }

    /// Reads and writes what can be read and written; its failures show in the answer.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && let Poll::Ready(ended) = Pin::new(connection.as_mut()).poll(cx)
        {
            if let Err(e) = ended {
                tracing::trace!(error = %e, "a connection ended");
            }
            self.connection = None;
        }
    }
}

/// The head of an answer, awaited or here.
pub(super) enum Answer {
    Awaited(Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>),
    Here(hyper::Result<Response<Incoming>>),
    Taken,
}

impl Answer {
    /// Looks whether it has come; its link must have been driven.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        if let Self::Awaited(future) = self
            && let Poll::Ready(answer) = future.as_mut().poll(cx)
        {
            *self = Self::Here(answer);
        }
    }

    pub(super) fn is_here(&self) -> bool {
        !matches!(self, Self::Awaited(_))
    }

    /// Its status, once it is here.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Here(Ok(response)) => Some(response.status()),
            _ => None,
        }
    }

    /// Hands it out, once.
    pub(super) fn take(&mut self) -> Poll<hyper::Result<Response<Incoming>>> {
        match std::mem::replace(self, Self::Taken) {
            Self::Here(answer) => Poll::Ready(answer),
            other => {
                *self = other;
                Poll::Pending
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // A request that is not out must not be completed after its delivery was told to have
        // failed.
        if self.reset_on_drop || !self.meter.flushed() {
            self.meter.reset();
        }
    }
}
