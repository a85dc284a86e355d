//! Reads a body within its bounds.

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;

use crate::budget::Held;
use crate::deadline::Deadline;
use crate::problem::Problem;

/// The length the request declares; `None` where it is chunked.
pub(crate) fn declared(request: &HttpRequest) -> Option<u64> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// The whole body, at most `limit` bytes. One that declares more is refused unread; one that
/// declares nothing as soon as it is over. A body that came in one piece is not copied.
pub(crate) async fn read_body(
    request: &HttpRequest,
    mut payload: Payload,
    limit: usize,
    deadline: Deadline,
    held: &mut Held,
) -> Result<Bytes, Problem> {
    let length = declared(request);
    if length.is_some_and(|length| length > limit as u64) {
        return Err(Problem::too_large(limit));
    }
    let Some(first) = next(&mut payload, deadline).await? else { return Ok(Bytes::new()) };
    take(held, &first, limit, 0)?;
    if length == Some(first.len() as u64) {
        return Ok(first);
    }
    let Some(second) = next(&mut payload, deadline).await? else { return Ok(first) };
    take(held, &second, limit, first.len())?;
    let mut whole = BytesMut::with_capacity(2 * (first.len() + second.len()));
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&second);
    drop((first, second));
    while let Some(chunk) = next(&mut payload, deadline).await? {
        take(held, &chunk, limit, whole.len())?;
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

fn take(held: &mut Held, chunk: &Bytes, limit: usize, before: usize) -> Result<(), Problem> {
    if before + chunk.len() > limit {
        return Err(Problem::too_large(limit));
    }
    if held.grow(chunk.len()) { Ok(()) } else { Err(Problem::crowded()) }
}

async fn next(payload: &mut Payload, deadline: Deadline) -> Result<Option<Bytes>, Problem> {
    match deadline.within(payload.next()).await {
        Ok(None) => Ok(None),
        Ok(Some(Ok(chunk))) => Ok(Some(chunk)),
        Ok(Some(Err(_))) => Err(Problem::cut()),
        Err(_) => Err(Problem::slow()),
    }
}
