//! The accounts: look, pause, resume, weigh.

use std::ops::RangeInclusive;

use actix_web::HttpRequest;
use actix_web::web::{Data, Path, Payload};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, ask, json as body_json, query, show};
use crate::context::Context;
use crate::problem::Problem;

/// The weights there are.
const WEIGHTS: RangeInclusive<u32> = 1..=1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Weight {
    weight: Option<u32>,
}

/// `GET /v1/accounts`.
pub(crate) async fn list(context: Data<Context>) -> Answer {
    show(&ask(&context, "accounts", context.admin.accounts()).await?)
}

/// `POST /v1/accounts/{name}/pause|resume`.
pub(crate) async fn act(context: Data<Context>, path: Path<(String, String)>) -> Answer {
    let (name, verb) = path.into_inner();
    let paused = match verb.as_str() {
        "pause" => true,
        "resume" => false,
        _ => return Err(Problem::not_found("an account takes pause, resume and weight")),
    };
    ask(&context, "pause", context.admin.account_pause(&name, paused)).await?;
    show(&json!({ "account": name, "paused": paused }))
}

/// `PUT /v1/accounts/{name}/weight`, `{"weight": N}` as the body or `?weight=N`.
pub(crate) async fn weigh(
    context: Data<Context>,
    request: HttpRequest,
    name: Path<String>,
    payload: Payload,
) -> Answer {
    let given = match body_json::<Weight>(&context, &request, payload).await? {
        Some(given) => given,
        None => query(request.query_string())?,
    };
    let Some(weight) = given.weight.filter(|weight| WEIGHTS.contains(weight)) else {
        let (least, most) = WEIGHTS.into_inner();
        return Err(Problem::bad_request(format!("weight: it must be given as {least} to {most}")));
    };
    ask(&context, "weight", context.admin.account_weight(&name, weight)).await?;
    show(&json!({ "account": *name, "weight": weight }))
}
