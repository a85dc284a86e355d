//! Does not wait for the answer: success is that the peer's TCP has every byte of the request, or
//! that any byte of an answer has come. A task reads the answer then and discards it.
//!
//! A request over a new connection is judged by exactly that. Over a connection that was used
//! before, the peer may have given it up just as the request came: there an end of the connection
//! soon after, or an answer that says so, puts what was acknowledged in doubt, and the request goes
//! out again over a new one. Only connections of peers that answer at once are used again: others
//! acknowledge late over a connection in use, and a new one costs less than the doubt.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use busway_core::endpoint::Verdict;
use busway_core::{DeliveryError, Message};
use hyper::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::link::{Answer, Link};
use super::pool::Pool;
use super::{HttpEndpoint, wait};

/// How long an answer is awaited by a task of [`Readers`].
const READ_WAIT: Duration = Duration::from_secs(5);
/// How long a connection is kept open for a peer that takes longer, without taking a place that
/// deliveries wait for.
const LINGER_WAIT: Duration = Duration::from_secs(60);
/// How long a peer that gave up a connection may take to show it, after it acknowledged a request.
const DOUBT_WAIT: Duration = Duration::from_millis(100);
/// An answer within this time is quick enough for its connection to be used again.
const QUICK: Duration = Duration::from_millis(5);
/// How long the peer may take to end a connection that it was asked to end.
const END_WAIT: Duration = Duration::from_millis(100);
/// The most readers that can be asked for.
const MAX_READERS: u32 = 65_536;
/// How long everything is waited for when the endpoint closes.
const CLOSE_WAIT: Duration = Duration::from_secs(6);
/// How long the kernel is first left alone before it is asked again what was acknowledged, and
/// how long at most.
const ASK_WAIT: (Duration, Duration) = (Duration::from_micros(50), Duration::from_millis(5));

/// The tasks that read answers which no delivery waits for.
#[derive(Debug)]
pub(super) struct Readers {
    places: Arc<Semaphore>,
    count: u32,
    lingering: Arc<Semaphore>,
    max_response_bytes: usize,
    /// The peer did not answer at once lately; it is asked to end connections after an answer, so
    /// that the ports in use do not gather on this side.
    slow: Arc<AtomicBool>,
}

/// Delivers one message by the deadline.
pub(super) async fn deliver(
    endpoint: &HttpEndpoint,
    message: &Message,
    deadline: Instant,
) -> Result<(), DeliveryError> {
    let readers = &endpoint.readers;
    let Ok(Ok(place)) = timeout_at(deadline, Arc::clone(&readers.places).acquire_owned()).await else {
        let text = format!("{}: {} answers are still awaited", endpoint.target, readers.count);
        return Err(DeliveryError {
            verdict: Verdict::NotTried,
            ..DeliveryError::retry("timeout", text).overload()
        });
    };
    let (link, answer) = timeout_at(deadline, received(endpoint, message))
        .await
        .unwrap_or_else(|_| Err(endpoint.timed_out("the delivery")))?;
    let reading = Reading {
        link,
        answer,
        place,
        max: readers.max_response_bytes,
        pool: Arc::clone(&endpoint.pool),
        slow: Arc::clone(&readers.slow),
    };
    tokio::spawn(reading.run(Arc::clone(&readers.lingering)));
    Ok(())
}

/// Sends the request, over a kept connection if there is one, until the peer has received it.
async fn received(endpoint: &HttpEndpoint, message: &Message) -> Result<(Link, Answer), DeliveryError> {
    if !endpoint.readers.slow.load(Relaxed)
        && let Some(link) = endpoint.pool.take()
        && let Ok(received) = over(endpoint, link, message).await?
    {
        return Ok(received);
    }
    let link = wait::connect(endpoint).await?;
    over(endpoint, link, message).await?.map_err(|lost| {
        let (class, text) = match lost {
            Lost::Reset => ("reset", "reset before every byte was received"),
            Lost::Ended => ("closed", "closed before every byte was sent"),
            Lost::Unknown => ("connection", "the system does not tell what was received"),
        };
        DeliveryError::retry(class, format!("{}: {text}", endpoint.target))
    })
}

/// Sends the request over this connection. The outer error ends the delivery; the inner one says
/// why this connection will not do.
async fn over(
    endpoint: &HttpEndpoint,
    mut link: Link,
    message: &Message,
) -> Result<Result<(Link, Answer), Lost>, DeliveryError> {
    let last = !link.reused && endpoint.readers.slow.load(Relaxed);
    let request = endpoint.template.request(message, &link.meter, last)?;
    // A failure or a timeout from here on takes the connection down at once, so that the peer does
    // not get the rest later.
    link.reset_on_drop = true;
    let mut answer = link.send(request);
    if let Err(lost) = acknowledged(&mut link, &mut answer).await {
        return Ok(Err(lost));
    }
    link.reset_on_drop = false;
    Ok(Ok((link, answer)))
}

/// Why a request was not received over a connection.
#[derive(Clone, Copy, Debug)]
enum Lost {
    Reset,
    Ended,
    Unknown,
}

/// Waits until the peer has received the request that `answer` belongs to.
async fn acknowledged(link: &mut Link, answer: &mut Answer) -> Result<(), Lost> {
    let (mut wait, longest) = ASK_WAIT;
    let mut received_at = None;
    // Over a connection in use only an answer or an end decides soon, and both show without asking the
    // kernel.
    let mut just_sent = link.reused;
    loop {
        // What can be read is read first, so that an answer before a reset is seen.
        if let Some(verdict) = poll_fn(|cx| {
            link.drive(cx);
            answer.poll(cx);
            let shows = link.meter.answered() || link.ended();
            let undecided = std::mem::take(&mut just_sent) && !shows;
            Poll::Ready(if undecided { None } else { verdict(link, answer, &mut received_at) })
        })
        .await
        {
            return verdict;
        }
        let before = (link.meter.progress(), link.ended(), answer.is_here());
        let flushed = link.meter.flushed();
        let changed = poll_fn(|cx| {
            link.drive(cx);
            answer.poll(cx);
            let now = (link.meter.progress(), link.ended(), answer.is_here());
            if now == before { Poll::Pending } else { Poll::Ready(()) }
        });
        if flushed {
            if timeout(wait, changed).await.is_err() {
                wait = longest.min(wait * 2);
            }
        } else {
            changed.await;
        }
    }
}

/// Whether the request was received; `None` while that is not known. Keeps when it was first seen
/// that every byte was acknowledged.
fn verdict(link: &Link, answer: &Answer, received_at: &mut Option<Instant>) -> Option<Result<(), Lost>> {
    let meter = &link.meter;
    if meter.answered() && !link.reused {
        return Some(Ok(()));
    }
    let Ok(standing) = meter.standing() else { return Some(Err(Lost::Unknown)) };
    if standing.closed && !meter.answered() {
        return Some(Err(Lost::Reset));
    }
    if link.ended() && !meter.flushed() {
        return Some(Err(Lost::Ended));
    }
    if !standing.received {
        return (standing.closed).then_some(Err(Lost::Reset));
    }
    if !link.reused {
        return Some(Ok(()));
    }
    match answer.status() {
        Some(StatusCode::REQUEST_TIMEOUT) => Some(Err(Lost::Ended)),
        Some(_) => Some(Ok(())),
        None if link.ended() || !standing.established => Some(Err(Lost::Ended)),
        None if meter.answered() => None,
        None => {
            let since = received_at.get_or_insert_with(Instant::now);
            (since.elapsed() >= DOUBT_WAIT).then_some(Ok(()))
        }
    }
}

impl Readers {
    pub(super) fn new(count: usize, max_response_bytes: usize) -> Self {
        let count = u32::try_from(count).unwrap_or(MAX_READERS).clamp(1, MAX_READERS);
        let semaphore = || Arc::new(Semaphore::new(count as usize));
        Self { places: semaphore(), count, lingering: semaphore(), max_response_bytes, slow: Arc::default() }
    }

    /// Waits for the answers that are awaited, for a bounded time.
    pub(super) async fn finish(&self) {
        if timeout(CLOSE_WAIT, self.places.acquire_many(self.count)).await.is_err() {
            tracing::debug!("connections are closed whose answers have not come");
        }
    }
}

/// A connection whose answer is to be read.
struct Reading {
    link: Link,
    answer: Answer,
    place: OwnedSemaphorePermit,
    max: usize,
    pool: Arc<Pool>,
    slow: Arc<AtomicBool>,
}

impl Reading {
    async fn run(self, lingering: Arc<Semaphore>) {
        let Self { mut link, answer, place, max, pool, slow } = self;
        let mut reading = Box::pin(read(&mut link, answer, max));
        let quick = timeout(QUICK, reading.as_mut()).await;
        slow.store(quick.is_err(), Relaxed);
        let reusable = match quick {
            Ok(reusable) => reusable,
            Err(_) => {
                if timeout(READ_WAIT, reading.as_mut()).await.is_err() {
                    linger(reading.as_mut(), place, &lingering).await;
                }
                false
            }
        };
        drop(reading);
        if reusable {
            pool.put(link);
        } else if link.ended() && timeout(END_WAIT, link.meter.peer_end()).await.is_err() {
            tracing::trace!("the peer left it to this side to end the connection");
        }
    }
}

/// Keeps a connection open for a peer that is slow to answer, where there is room: to end it now
/// would look to the peer as if nobody wanted its work.
async fn linger(reading: impl Future<Output = bool>, place: OwnedSemaphorePermit, lingering: &Semaphore) {
    drop(place);
    if let Ok(_permit) = lingering.try_acquire()
        && timeout(LINGER_WAIT, reading).await.is_err()
    {
        tracing::debug!("a connection is closed whose answer has not come");
    }
}

/// Reads the answer; returns whether the connection can be used again.
async fn read(link: &mut Link, answer: Answer, max: usize) -> bool {
    match link.head(answer).await {
        Ok(response) => link.finish(response.into_body(), max).await,
        Err(_) => false,
    }
}
