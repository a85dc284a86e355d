//! `/livez` and `/readyz`.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use actix_web::web::Data;
use busway_core::admin::Readiness;

use crate::context::Context;
use crate::deadline::Deadline;
use crate::problem::RETRY_AFTER;

/// How long the bus may take to say whether it is ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// 200 for as long as the threads serve.
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "live": true }))
}

/// 200 while the bus does its work, 503 with the reasons where it does not.
pub(crate) async fn ready(context: Data<Context>) -> HttpResponse {
    let deadline = Deadline::after(context.config.deadline.min(PATIENCE));
    let readiness = deadline
        .within(context.admin.readiness())
        .await
        .unwrap_or_else(|_| Readiness { ready: false, reasons: vec!["the bus does not answer".to_owned()] });
    let mut response =
        HttpResponse::build(if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE });
    if !readiness.ready {
        response.insert_header((header::RETRY_AFTER, RETRY_AFTER));
    }
    response.json(readiness)
}
