//! `POST /v1/messages`: what the body is, and what becomes of the messages in it.

use actix_web::http::header;
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use busway_core::Message;
use busway_core::envelope::{http, json};

use crate::context::Context;
use crate::deadline::Deadline;
use crate::problem::Problem;

pub(crate) mod body;
mod lines;
mod outcome;
mod report;
pub(crate) mod splitter;

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
const LINES: [&str; 3] = ["application/x-ndjson", "application/ndjson", "application/jsonl"];

/// The forms a body may have.
enum Form {
    Binary,
    Structured,
    Batch,
    Lines,
}

/// Answers once every message is durable, or says which are not.
///
/// | status | what it says | body |
/// |---|---|---|
/// | 202 | all are durable | a result for each |
/// | 400 | the request or an event in it is wrong, and where; nothing is stored | a problem |
/// | 400, 413 | the bus will never take some, which are told | a result for each |
/// | 408 | the body did not come in time | a problem |
/// | 413 | the body is too large | a problem |
/// | 415 | the body is of no form that is taken | a problem |
/// | 429 | the bus or this interface is full | a result for each, or a problem |
/// | 503 | the broker is away, or no confirm came | a result for each |
///
/// Results are an array of `{id, outcome, index?, error?, class?}`, for JSON lines a line each.
///
/// A client that goes before the answer leaves the outcomes unknown.
pub(crate) async fn publish(
    context: Data<Context>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let deadline = Deadline::after(context.config.deadline);
    let form = Form::of(&request)?;
    if let Form::Lines = form {
        return Box::pin(lines::publish(context, request, payload, deadline)).await;
    }
    let mut held = context.budget.open();
    let limit = context.config.max_body_bytes;
    let body = body::read_body(&request, payload, limit, deadline, &mut held).await?;
    let length = body.len();
    let messages = form.decode(&request, body, context.config.max_batch)?;
    let weight: usize = messages.iter().map(Message::weight).sum();
    if !held.grow(weight.saturating_sub(length)) {
        return Err(Problem::crowded());
    }
    let results = outcome::publish(&context, messages, deadline).await;
    Ok(outcome::answer(&results))
}

impl Form {
    fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let headers = request.headers();
        if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
            && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
        {
            return Err(Problem::unsupported("a body with a content encoding is not taken"));
        }
        let media_type = media_type(request)?;
        let is = |name: &str| media_type.eq_ignore_ascii_case(name);
        if is(STRUCTURED) {
            return Ok(Self::Structured);
        }
        if is(BATCH) {
            return Ok(Self::Batch);
        }
        if LINES.into_iter().any(is) {
            return Ok(Self::Lines);
        }
        let is_other_cloudevent = media_type.to_ascii_lowercase().starts_with("application/cloudevents");
        if !is_other_cloudevent && headers.keys().any(|name| name.as_str().starts_with("ce-")) {
            return Ok(Self::Binary);
        }
        let advice = format!(
            "send a message's data with ce-type and further ce- headers, or {STRUCTURED}, {BATCH} or {}",
            LINES[0]
        );
        if media_type.is_empty() || is("application/json") {
            return Err(Problem::bad_request(format!("this is no CloudEvent: {advice}")));
        }
        Err(Problem::unsupported(format!("this content type is not taken: {advice}")))
    }

    fn decode(self, request: &HttpRequest, body: Bytes, max_batch: usize) -> Result<Vec<Message>, Problem> {
        match self {
            Self::Binary => {
                let headers = request.headers().iter();
                let named = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
                Ok(vec![http::decode(named, body)?])
            }
            Self::Structured => Ok(vec![json::decode(&body)?]),
            Self::Batch | Self::Lines => Ok(json::decode_batch(&body, max_batch)?),
        }
    }
}

/// The content type without its parameters; empty where there is none.
fn media_type(request: &HttpRequest) -> Result<&str, Problem> {
    let Some(value) = request.headers().get(header::CONTENT_TYPE) else { return Ok("") };
    let text = value.to_str().map_err(|_| Problem::unsupported("the content type is not text"))?;
    Ok(text.split(';').next().unwrap_or_default().trim())
}
