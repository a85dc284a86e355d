//! `/metrics`: the process's own metrics, those of this interface, and gauges of the bus.

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::context::Context;

mod figures;
mod gauges;
mod scrape;
mod text;

pub(crate) use figures::Figures;
pub(crate) use scrape::Scrape;

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `GET /metrics`.
pub(crate) async fn show(context: Data<Context>) -> HttpResponse {
    let process = context.render.as_ref().map(|render| render()).unwrap_or_default();
    let mut own = String::new();
    context.figures.render(&mut own, context.budget.held());
    own.push_str(&context.scrape.gauges(&context).await);
    let text = text::join(process, &own);
    HttpResponse::Ok().content_type(CONTENT_TYPE).body(text)
}
