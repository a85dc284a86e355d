//! What became of messages, and the status that says it.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use busway_core::admin::{PublishOutcome, PublishResult};
use busway_core::{ErrorClass, Message};
use serde::Serialize;

use crate::context::Context;
use crate::deadline::Deadline;
use crate::problem::RETRY_AFTER;

/// The class of a message that the bus has no room for now.
const FULL: &str = "full";

/// The class of a message that is over a size limit.
pub(super) const TOO_LARGE: &str = "too-large";

/// Publishes a batch; a result for each message, in order, by the deadline.
pub(super) async fn publish(
    context: &Context,
    batch: Vec<Message>,
    deadline: Deadline,
) -> Vec<PublishResult> {
    let ids: Vec<String> = batch.iter().map(|message| message.id.clone()).collect();
    let time = deadline.inner();
    let results = if batch.is_empty() {
        Vec::new()
    } else if time.is_zero() {
        all(ids, PublishOutcome::Failed, "the deadline passed before it was begun", ErrorClass::Retry)
    } else {
        match deadline.within(context.admin.publish(batch, time)).await {
            Ok(results) if results.len() == ids.len() => results,
            Ok(_) => {
                tracing::error!("the bus gave another number of results than it was given messages");
                all(ids, PublishOutcome::Unknown, "no result came for it", ErrorClass::Unknown)
            }
            Err(_) => {
                all(ids, PublishOutcome::Unknown, "no confirm came within the deadline", ErrorClass::Unknown)
            }
        }
    };
    context.figures.published(&results);
    results
}

fn all(ids: Vec<String>, outcome: PublishOutcome, why: &str, class: ErrorClass) -> Vec<PublishResult> {
    let result = |id| PublishResult {
        id,
        outcome,
        error: Some(why.to_owned()),
        class: Some(class.as_str().to_owned()),
    };
    ids.into_iter().map(result).collect()
}

/// The answer to a batch: an array with a result for each message.
pub(super) fn answer(results: &[PublishResult]) -> HttpResponse {
    let mut tally = Tally::default();
    results.iter().for_each(|result| tally.add(result));
    let rows: Vec<Row<'_>> =
        results.iter().enumerate().map(|(index, result)| Row::of(index, result)).collect();
    tally.response().json(rows)
}

/// One result; its place where it was not stored.
#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    outcome: PublishOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn of(index: usize, result: &'a PublishResult) -> Self {
        Self {
            id: &result.id,
            outcome: result.outcome,
            index: (result.outcome != PublishOutcome::Stored).then_some(index),
            error: result.error.as_deref(),
            class: result.class.as_deref(),
        }
    }
}

/// What has gone wrong among many messages. The status is that of the worst: what a client
/// should repeat goes before what it should not.
#[derive(Debug, Default)]
pub(super) struct Tally {
    away: bool,
    full: bool,
    rejected: bool,
    too_large: bool,
}

impl Tally {
    pub(super) fn add(&mut self, result: &PublishResult) {
        match (result.outcome, result.class.as_deref()) {
            (PublishOutcome::Stored, _) => {}
            (PublishOutcome::Failed, Some(class)) => self.add_failed(class),
            _ => self.away = true,
        }
    }

    pub(super) fn add_failed(&mut self, class: &str) {
        match class {
            FULL => self.full = true,
            TOO_LARGE => self.too_large = true,
            _ if class == ErrorClass::Reject.as_str() => self.rejected = true,
            _ => self.away = true,
        }
    }

    /// The status; `None` where all were stored.
    pub(super) fn status(&self) -> Option<StatusCode> {
        if self.away {
            Some(StatusCode::SERVICE_UNAVAILABLE)
        } else if self.full {
            Some(StatusCode::TOO_MANY_REQUESTS)
        } else if self.rejected {
            Some(StatusCode::BAD_REQUEST)
        } else if self.too_large {
            Some(StatusCode::PAYLOAD_TOO_LARGE)
        } else {
            None
        }
    }

    fn response(&self) -> actix_web::HttpResponseBuilder {
        builder(self.status().unwrap_or(StatusCode::ACCEPTED))
    }
}

/// A response that says when to try again where that makes sense.
pub(super) fn builder(status: StatusCode) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        response.insert_header((header::RETRY_AFTER, RETRY_AFTER));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_that_of_the_worst_outcome() {
        use PublishOutcome::{Failed, Stored, Unknown};
        type Case = (&'static [(PublishOutcome, Option<&'static str>)], Option<u16>);
        let cases: [Case; 9] = [
            (&[], None),
            (&[(Stored, None)], None),
            (&[(Stored, None), (Failed, Some("reject"))], Some(400)),
            (&[(Stored, None), (Failed, Some("too-large"))], Some(413)),
            (&[(Failed, Some("too-large")), (Failed, Some("reject"))], Some(400)),
            (&[(Failed, Some("full")), (Failed, Some("reject"))], Some(429)),
            (&[(Failed, Some("full")), (Unknown, None)], Some(503)),
            (&[(Failed, None)], Some(503)),
            (&[(Failed, Some("reconnect")), (Failed, Some("reject"))], Some(503)),
        ];
        for (outcomes, status) in cases {
            let mut tally = Tally::default();
            for (outcome, class) in outcomes {
                tally.add(&PublishResult {
                    id: "1".to_owned(),
                    outcome: *outcome,
                    error: None,
                    class: class.map(str::to_owned),
                });
            }
            assert_eq!(tally.status().map(|s| s.as_u16()), status, "{outcomes:?}");
        }
    }
}
