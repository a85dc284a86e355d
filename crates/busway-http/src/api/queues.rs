//! Queues, what is in them, and the actors' snapshots.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use serde::Deserialize;

use super::{Answer, ask, query, show};
use crate::context::Context;
use crate::deadline::Deadline;
use crate::problem::Problem;

/// Rows of a look into a queue, where not given.
const PEEK_DEFAULT: usize = 10;

/// Rows of a look into a queue, at most.
const PEEK_MOST: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Peek {
    n: Option<usize>,
    why: Option<bool>,
}

/// `GET /v1/queues`.
pub(crate) async fn list(context: Data<Context>) -> Answer {
    show(&ask(&context, "queues", context.admin.queues()).await?)
}

/// `GET /v1/messages/{queue}?n=&why=`.
pub(crate) async fn peek(context: Data<Context>, request: HttpRequest, queue: Path<String>) -> Answer {
    let Peek { n, why } = query(request.query_string())?;
    let n = n.unwrap_or(PEEK_DEFAULT);
    if !(1..=PEEK_MOST).contains(&n) {
        return Err(Problem::bad_request(format!("n: it must be 1 to {PEEK_MOST}")));
    }
    show(&ask(&context, "peek", context.admin.peek(&queue, n, why.unwrap_or_default())).await?)
}

/// `GET /v1/trace/{id}`.
pub(crate) async fn trace(context: Data<Context>, id: Path<String>) -> Answer {
    match ask(&context, "trace", context.admin.trace(&id)).await? {
        Some(trace) => show(&trace),
        None => Err(Problem::not_found("nothing is known of a message with this id")),
    }
}

/// `GET /v1/snapshots`.
pub(crate) async fn snapshots(context: Data<Context>) -> Answer {
    let time = context.config.deadline;
    match Deadline::after(time).within(context.admin.snapshots()).await {
        Ok(snapshots) => show(&snapshots),
        Err(_) => Err(Problem::late("snapshots", time)),
    }
}
