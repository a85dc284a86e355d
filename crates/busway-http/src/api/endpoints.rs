//! The endpoints: look, pause, resume, test.

use actix_web::web::{Data, Path};
use serde_json::json;

use super::{Answer, ask, show};
use crate::context::Context;
use crate::problem::Problem;

/// `GET /v1/endpoints`.
pub(crate) async fn list(context: Data<Context>) -> Answer {
    show(&ask(&context, "endpoints", context.admin.endpoints()).await?)
}

/// `POST /v1/endpoints/{name}/pause|resume|test`.
pub(crate) async fn act(context: Data<Context>, path: Path<(String, String)>) -> Answer {
    let (name, verb) = path.into_inner();
    let paused = match verb.as_str() {
        "pause" => true,
        "resume" => false,
        "test" => {
            let found = ask(&context, "test", context.admin.endpoint_test(&name)).await?;
            return show(&json!({ "endpoint": name, "result": found }));
        }
        _ => return Err(Problem::not_found("an endpoint takes pause, resume and test")),
    };
    ask(&context, "pause", context.admin.endpoint_pause(&name, paused)).await?;
    show(&json!({ "endpoint": name, "paused": paused }))
}
