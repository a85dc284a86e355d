//! The operator's verbs, each in the JSON form of [`busway_core::admin`].

use std::future::Future;
use std::pin::Pin;

use actix_web::HttpResponse;
use actix_web::web::{self, Bytes, Query};
use busway_core::ErrorClass;
use busway_core::admin::DeadReport;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::deadline::Deadline;
use crate::ingest::body::read_body;
use crate::problem::Problem;

pub(crate) mod accounts;
pub(crate) mod dead;
pub(crate) mod endpoints;
pub(crate) mod queues;

/// Every handler of a verb ends in one of these.
pub(crate) type Answer = Result<HttpResponse, Problem>;

/// The most bytes of a verb's body.
const BODY_LIMIT: usize = 64 * 1024;

fn show<T: Serialize>(value: &T) -> Answer {
    Ok(HttpResponse::Ok().json(value))
}

/// Runs a verb within the deadline; cutting it there leaves its outcome unknown.
async fn ask<T>(
    context: &Context,
    verb: &'static str,
    asked: impl Future<Output = busway_core::Result<T>>,
) -> Result<T, Problem> {
    let time = context.config.deadline;
    match Deadline::after(time).within(asked).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Problem::late(verb, time)),
    }
}

type LongVerb = Pin<Box<dyn Future<Output = busway_core::Result<DeadReport>> + Send>>;

/// Runs a verb that changes much in a task of its own: where the deadline passes or the client
/// goes, it still runs to its end.
async fn ask_long(context: &Context, verb: &'static str, asked: LongVerb) -> Result<DeadReport, Problem> {
    let Ok(permit) = context.long_verbs.clone().try_acquire_owned() else {
        let text = format!("{verb}: too many such requests are under way");
        return Err(Problem::new(actix_web::http::StatusCode::TOO_MANY_REQUESTS, text)
            .class(ErrorClass::Retry.as_str()));
    };
    let task = actix_web::rt::spawn(async move {
        let answer = asked.await;
        drop(permit);
        answer
    });
    let time = context.config.deadline;
    match Deadline::after(time).within(task).await {
        Ok(Ok(answer)) => Ok(answer?),
        Ok(Err(_)) => Err(Problem::new(
            actix_web::http::StatusCode::INTERNAL_SERVER_ERROR,
            format!("{verb}: it ended in a panic"),
        )),
        Err(_) => Err(Problem::late(&format!("{verb} goes on in the background"), time)),
    }
}

fn query<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    match Query::<T>::from_query(text) {
        Ok(query) => Ok(query.into_inner()),
        Err(error) => Err(Problem::bad_request(format!("the query: {error}"))),
    }
}

/// The body where there is one; an empty one is `None`.
async fn json<T: DeserializeOwned>(
    context: &Context,
    request: &actix_web::HttpRequest,
    payload: web::Payload,
) -> Result<Option<T>, Problem> {
    let mut held = context.budget.open();
    let deadline = Deadline::after(context.config.deadline);
    let body: Bytes = read_body(request, payload, BODY_LIMIT, deadline, &mut held).await?;
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&body).map(Some).map_err(|e| Problem::bad_request(format!("the body: {e}")))
}
