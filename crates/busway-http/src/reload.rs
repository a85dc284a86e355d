//! `POST /v1/reload`: asks whoever runs the bus to read its configuration anew.

use std::pin::Pin;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;

use crate::context::Context;
use crate::deadline::Deadline;
use crate::problem::Problem;

/// What a reload did; keys are paths of settings, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// What holds from now on.
    pub applied: Vec<String>,
    /// What differs from what runs, and holds after a restart.
    #[serde(rename = "needs_restart")]
    pub restart: Vec<String>,
}

/// The future of a reload.
pub type Reloading = Pin<Box<dyn Future<Output = busway_core::Result<Reloaded>> + Send>>;

/// Reads the configuration anew and applies what can change while messages flow, or nothing. It must run
/// to its end whether or not it is waited for.
pub type Reload = Arc<dyn Fn() -> Reloading + Send + Sync>;

/// `POST /v1/reload`.
pub(crate) async fn reload(context: Data<Context>) -> Result<HttpResponse, Problem> {
    let Some(reload) = &context.reload else {
        return Err(Problem::not_found("this process takes its configuration only when it starts"));
    };
    let time = context.config.deadline;
    match Deadline::after(time).within(reload()).await {
        Ok(reloaded) => Ok(HttpResponse::Ok().json(reloaded?)),
        Err(_) => Err(Problem::late("reload", time)),
    }
}
