//! The dead letters: look, replay, delete.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path, Payload};
use busway_core::admin::{DeadReport, DeadRequest};
use busway_core::clock::{self, Millis};
use busway_core::transport::Filter;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, ask, ask_long, json as body_json, query, show};
use crate::context::Context;
use crate::problem::Problem;

/// Rows of a list, where not given.
const LIST_DEFAULT: usize = 10_000;

/// Rows of a list, at most.
const LIST_MOST: usize = 10_000;

/// Which dead letters are meant, and how a verb takes them.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Selector {
    id: Option<String>,
    r#type: Option<String>,
    account: Option<String>,
    destination: Option<String>,
    reason: Option<String>,
    since: Option<String>,
    until: Option<String>,
    all: Option<bool>,
    /// Of a list the rows, of a verb the letters, at most.
    limit: Option<u64>,
    /// Letters a second.
    rate: Option<f64>,
}

impl Selector {
    fn filter(&self) -> Result<Filter, Problem> {
        Ok(Filter {
            id: self.id.clone(),
            r#type: self.r#type.clone(),
            account: self.account.clone(),
            destination: self.destination.clone(),
            reason: self.reason.clone(),
            since: moment("since", self.since.as_deref())?,
            until: moment("until", self.until.as_deref())?,
        })
    }
}

fn moment(name: &str, text: Option<&str>) -> Result<Option<Millis>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let wrong = || Problem::bad_request(format!("{name}: it must be a moment such as 2030-01-31T12:00:00Z"));
    clock::parse_rfc3339(text).map(Some).ok_or_else(wrong)
}

/// `GET /v1/dead`.
pub(crate) async fn list(context: Data<Context>, request: HttpRequest) -> Answer {
    let selector: Selector = query(request.query_string())?;
    let limit = selector.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LIST_DEFAULT);
    if !(1..=LIST_MOST).contains(&limit) {
        return Err(Problem::bad_request(format!("limit: it must be 1 to {LIST_MOST}")));
    }
    if selector.rate.is_some() || selector.all.is_some() {
        return Err(Problem::bad_request("a list takes neither rate nor all"));
    }
    show(&ask(&context, "dead", context.admin.dead_list(selector.filter()?, limit)).await?)
}

/// `GET /v1/dead/{id}`.
pub(crate) async fn show_one(context: Data<Context>, id: Path<String>) -> Answer {
    match ask(&context, "dead", context.admin.dead_show(&id)).await? {
        Some(letter) => show(&letter),
        None => Err(Problem::not_found("there is no dead letter with this id")),
    }
}

/// `POST /v1/dead/replay`, the selectors in the query or as JSON in the body.
pub(crate) async fn replay(context: Data<Context>, request: HttpRequest, payload: Payload) -> Answer {
    let selected = selected(&context, &request, payload).await?;
    let admin = context.admin.clone();
    let verb = Box::pin(async move { admin.dead_replay(selected).await });
    answer("replayed", ask_long(&context, "replay", verb).await?)
}

/// `DELETE /v1/dead`, the selectors in the query or as JSON in the body.
pub(crate) async fn delete(context: Data<Context>, request: HttpRequest, payload: Payload) -> Answer {
    let selected = selected(&context, &request, payload).await?;
    let admin = context.admin.clone();
    let verb = Box::pin(async move { admin.dead_delete(selected).await });
    answer("deleted", ask_long(&context, "delete", verb).await?)
}

/// How many, and whether the limit has left some.
fn answer(what: &str, DeadReport { done, next }: DeadReport) -> Answer {
    match next {
        None => show(&json!({ what: done })),
        Some(_) => show(&json!({ what: done, "more": true })),
    }
}

/// What a request names; never everything unless it says `all`.
async fn selected(
    context: &Context,
    request: &HttpRequest,
    payload: Payload,
) -> Result<DeadRequest, Problem> {
    let in_query = request.query_string();
    let selector = match body_json::<Selector>(context, request, payload).await? {
        Some(_) if !in_query.is_empty() => {
            return Err(Problem::bad_request("give the selectors in the query or in the body, not in both"));
        }
        Some(selector) => selector,
        None => query(in_query)?,
    };
    let filter = selector.filter()?;
    if selector.rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
        return Err(Problem::bad_request("rate: it must be above 0"));
    }
    match (filter.is_empty(), selector.all == Some(true)) {
        (true, false) => Err(Problem::bad_request(
            "name the dead letters by id, type, account, destination, reason, since or until, or say all=true",
        )),
        (false, true) => Err(Problem::bad_request("all=true goes with no other selector")),
        _ => Ok(DeadRequest { filter, max: selector.limit, rate: selector.rate, from: None }),
    }
}
