//! Waits for the answer: 2xx is success.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use busway_core::{DeliveryError, Message};
use hyper::body::Incoming;
use hyper::{Response, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::link::Link;
use super::{HttpEndpoint, answer};

/// How long the rest of an answer may take before its connection is given up.
const DISCARD: Duration = Duration::from_secs(1);

/// Delivers one message and makes its connection ready for the next, both by the deadline.
pub(super) async fn deliver(
    endpoint: &HttpEndpoint,
    message: &Message,
    deadline: Instant,
) -> Result<(), DeliveryError> {
    let (mut link, response) = timeout_at(deadline, answered(endpoint, message))
        .await
        .unwrap_or_else(|_| Err(endpoint.timed_out("the delivery")))?;
    let outcome = answer::outcome(response.status(), response.headers()).map_err(|mut e| {
        e.detail = format!("{}: {}", endpoint.target, e.detail);
        e
    });
    // A refusal may come before the body was read, and then nobody may want the rest of it.
    if outcome.is_ok() || link.meter.flushed() {
        let finished = link.finish(response.into_body(), endpoint.max_response_bytes);
        // The outcome is known, so a body that does not end must not hold the worker.
        let until = deadline.min(Instant::now() + DISCARD);
        if timeout_at(until, finished).await.unwrap_or(false) {
            endpoint.pool.put(link);
        }
    }
    outcome
}

/// Sends the request, over a kept connection if there is one, and waits for the head of the answer.
async fn answered(
    endpoint: &HttpEndpoint,
    message: &Message,
) -> Result<(Link, Response<Incoming>), DeliveryError> {
    if let Some(mut link) = endpoint.pool.take() {
        let request = endpoint.template.request(message, &link.meter, false)?;
        match link.exchange(request).await {
            // A server that gave up on an idle connection may say 408 before it closes it; that is
            // no answer to this request.
            Ok(response) if response.status() == StatusCode::REQUEST_TIMEOUT => {}
            Ok(response) => return Ok((link, response)),
            // It was closed just as this request went out.
            Err(_) if !link.meter.answered() => {}
            Err(e) => return Err(failure(endpoint, &e)),
        }
    }
    let mut link = connect(endpoint).await?;
    let request = endpoint.template.request(message, &link.meter, false)?;
    match link.exchange(request).await {
        Ok(response) => Ok((link, response)),
        Err(e) => Err(failure(endpoint, &e)),
    }
}

/// A new connection.
pub(super) async fn connect(endpoint: &HttpEndpoint) -> Result<Link, DeliveryError> {
    let (stream, meter) = endpoint.target.connect().await?;
    Link::new(stream, meter).await.map_err(|e| failure(endpoint, &e))
}

/// A connection that failed before an answer was complete.
pub(super) fn failure(endpoint: &HttpEndpoint, error: &hyper::Error) -> DeliveryError {
    let kind = error.source().and_then(|e| e.downcast_ref::<io::Error>()).map(io::Error::kind);
    let class = match kind {
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => "reset",
        Some(io::ErrorKind::InvalidData) => "answer",
        Some(_) => "connection",
        None if error.is_parse() => "answer",
        None => "closed",
    };
    let text = match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    DeliveryError::retry(class, format!("{}: {text}", endpoint.target))
}
