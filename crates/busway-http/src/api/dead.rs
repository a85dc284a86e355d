//! The dead letters: look, replay, delete.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path, Payload};
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

/// Which dead letters are meant.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Selector {
    id: Option<String>,
    r#type: Option<String>,
    account: Option<String>,
    destination: Option<String>,
    all: Option<bool>,
}

/// A selector with the length of a list. (Flattening would lose the refusal of unknown fields.)
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    id: Option<String>,
    r#type: Option<String>,
    account: Option<String>,
    destination: Option<String>,
    limit: Option<usize>,
}

/// `GET /v1/dead`.
pub(crate) async fn list(context: Data<Context>, request: HttpRequest) -> Answer {
    let List { id, r#type, account, destination, limit } = query(request.query_string())?;
    let limit = limit.unwrap_or(LIST_DEFAULT);
    if !(1..=LIST_MOST).contains(&limit) {
        return Err(Problem::bad_request(format!("limit: it must be 1 to {LIST_MOST}")));
    }
    let filter = Filter { id, r#type, account, destination };
    show(&ask(&context, "dead", context.admin.dead_list(filter, limit)).await?)
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
    let filter = selected(&context, &request, payload).await?;
    let admin = context.admin.clone();
    let verb = Box::pin(async move { admin.dead_replay(filter).await });
    show(&json!({ "replayed": ask_long(&context, "replay", verb).await? }))
}

/// `DELETE /v1/dead`, the selectors in the query or as JSON in the body.
pub(crate) async fn delete(context: Data<Context>, request: HttpRequest, payload: Payload) -> Answer {
    let filter = selected(&context, &request, payload).await?;
    let admin = context.admin.clone();
    let verb = Box::pin(async move { admin.dead_delete(filter).await });
    show(&json!({ "deleted": ask_long(&context, "delete", verb).await? }))
}

/// The filter that a request names; never that of everything unless it says `all`.
async fn selected(context: &Context, request: &HttpRequest, payload: Payload) -> Result<Filter, Problem> {
    let in_query = request.query_string();
    let selector = match body_json::<Selector>(context, request, payload).await? {
        Some(_) if !in_query.is_empty() => {
            return Err(Problem::bad_request("give the selectors in the query or in the body, not in both"));
        }
        Some(selector) => selector,
        None => query(in_query)?,
    };
    let Selector { id, r#type, account, destination, all } = selector;
    let filter = Filter { id, r#type, account, destination };
    match (filter.is_empty(), all == Some(true)) {
        (true, false) => Err(Problem::bad_request(
            "name the dead letters by id, type, account or destination, or say all=true",
        )),
        (false, true) => Err(Problem::bad_request("all=true goes with no other selector")),
        _ => Ok(filter),
    }
}
