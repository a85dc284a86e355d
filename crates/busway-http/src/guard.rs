//! What every request passes: access first, figures last.

use std::sync::Arc;
use std::time::Instant;

use actix_web::Error;
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;

use crate::context::Context;
use crate::routes::Route;
use crate::watch::{Busy, Connection, Watched};

/// Lets a request through to its handler, or answers why not.
pub(crate) async fn guard(
    context: Data<Context>,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<Watched<BoxBody>>, Error> {
    let begun = Instant::now();
    let route = Route::of(request.path());
    let busy = Busy::new(request.conn_data::<Arc<Connection>>());
    let allowed = context.access.check(request.headers(), route.needs(request.method()));
    let mut response = match allowed {
        Ok(()) => next.call(request).await?,
        Err(problem) => request.into_response(problem.response()),
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    context.figures.count(route, response.status(), begun.elapsed());
    tracing::trace!(route = route.pattern(), status = response.status().as_u16(), "answered");
    Ok(response.map_body(|_, body| Watched::new(body, busy)))
}
