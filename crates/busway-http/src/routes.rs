//! Every path, its methods and the role it needs.

use actix_web::guard::{Any, Get, Head};
use actix_web::http::Method;
use actix_web::{HttpResponse, Resource, Route as Handler, web};

use crate::access::Role;
use crate::problem::Problem;
use crate::{api, health, ingest, metrics, reload};

/// A path as metrics and access see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Route {
    Livez,
    Readyz,
    Metrics,
    Publish,
    Queues,
    Peek,
    Trace,
    Dead,
    DeadReplay,
    DeadOne,
    Endpoints,
    Endpoint,
    Accounts,
    Account,
    Snapshots,
    Reload,
    Other,
}

impl Route {
    /// Every route, in the order of its discriminant.
    pub(crate) const ALL: [Self; 17] = [
        Self::Livez,
        Self::Readyz,
        Self::Metrics,
        Self::Publish,
        Self::Queues,
        Self::Peek,
        Self::Trace,
        Self::Dead,
        Self::DeadReplay,
        Self::DeadOne,
        Self::Endpoints,
        Self::Endpoint,
        Self::Accounts,
        Self::Account,
        Self::Snapshots,
        Self::Reload,
        Self::Other,
    ];

    /// The route of a path.
    pub(crate) fn of(path: &str) -> Self {
        match path {
            "/v1/messages" => Self::Publish,
            "/livez" => Self::Livez,
            "/readyz" => Self::Readyz,
            "/metrics" => Self::Metrics,
            "/v1/queues" => Self::Queues,
            "/v1/dead" => Self::Dead,
            "/v1/dead/replay" => Self::DeadReplay,
            "/v1/endpoints" => Self::Endpoints,
            "/v1/accounts" => Self::Accounts,
            "/v1/snapshots" => Self::Snapshots,
            "/v1/reload" => Self::Reload,
            _ if path.starts_with("/v1/messages/") => Self::Peek,
            _ if path.starts_with("/v1/trace/") => Self::Trace,
            _ if path.starts_with("/v1/dead/") => Self::DeadOne,
            _ if path.starts_with("/v1/endpoints/") => Self::Endpoint,
            _ if path.starts_with("/v1/accounts/") => Self::Account,
            _ => Self::Other,
        }
    }

    /// Its pattern, as metrics show it.
    pub(crate) fn pattern(self) -> &'static str {
        match self {
            Self::Livez => "/livez",
            Self::Readyz => "/readyz",
            Self::Metrics => "/metrics",
            Self::Publish => "/v1/messages",
            Self::Queues => "/v1/queues",
            Self::Peek => "/v1/messages/{queue}",
            Self::Trace => "/v1/trace/{id}",
            Self::Dead => "/v1/dead",
            Self::DeadReplay => "/v1/dead/replay",
            Self::DeadOne => "/v1/dead/{id}",
            Self::Endpoints => "/v1/endpoints",
            Self::Endpoint => "/v1/endpoints/{name}/{verb}",
            Self::Accounts => "/v1/accounts",
            Self::Account => "/v1/accounts/{name}/{verb}",
            Self::Snapshots => "/v1/snapshots",
            Self::Reload => "/v1/reload",
            Self::Other => "other",
        }
    }

    /// What a request by this method needs to be allowed.
    pub(crate) fn needs(self, method: &Method) -> Role {
        match self {
            Self::Livez | Self::Readyz => Role::Anyone,
            _ if method == Method::GET || method == Method::HEAD => Role::Read,
            _ if method == Method::DELETE => Role::Force,
            _ => Role::Operate,
        }
    }
}

/// Puts every path in its place.
pub(crate) fn configure(app: &mut web::ServiceConfig) {
    app.service(path("/v1/messages", "POST").route(web::post().to(ingest::publish)))
        .service(look("/livez").route(get().to(health::live)))
        .service(look("/readyz").route(get().to(health::ready)))
        .service(look("/metrics").route(get().to(metrics::show)))
        .service(look("/v1/queues").route(get().to(api::queues::list)))
        .service(look("/v1/messages/{queue}").route(get().to(api::queues::peek)))
        .service(look("/v1/trace/{id}").route(get().to(api::queues::trace)))
        .service(
            path("/v1/dead", "GET, HEAD, DELETE")
                .route(get().to(api::dead::list))
                .route(web::delete().to(api::dead::delete)),
        )
        .service(path("/v1/dead/replay", "POST").route(web::post().to(api::dead::replay)))
        .service(look("/v1/dead/{id}").route(get().to(api::dead::show_one)))
        .service(look("/v1/endpoints").route(get().to(api::endpoints::list)))
        .service(path("/v1/endpoints/{name}/{verb}", "POST").route(web::post().to(api::endpoints::act)))
        .service(look("/v1/accounts").route(get().to(api::accounts::list)))
        .service(path("/v1/accounts/{name}/weight", "PUT").route(web::put().to(api::accounts::weigh)))
        .service(path("/v1/accounts/{name}/{verb}", "POST").route(web::post().to(api::accounts::act)))
        .service(path("/v1/reload", "POST").route(web::post().to(reload::reload)))
        .service(look("/v1/snapshots").route(get().to(api::queues::snapshots)));
}

/// The answer to a path that is not there.
pub(crate) async fn nowhere() -> HttpResponse {
    Problem::not_found("there is nothing at this path").response()
}

fn get() -> Handler {
    web::route().guard(Any(Get()).or(Head()))
}

fn look(pattern: &'static str) -> Resource {
    path(pattern, "GET, HEAD")
}

fn path(pattern: &'static str, allow: &'static str) -> Resource {
    web::resource(pattern).default_service(web::to(move || async move { Problem::method(allow).response() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_at_its_index_and_found_by_its_pattern() {
        for (index, route) in Route::ALL.into_iter().enumerate() {
            assert_eq!(route as usize, index);
            assert_eq!(Route::of(route.pattern()), route);
        }
    }

    #[test]
    fn deleting_needs_more_than_operating_and_looking_less() {
        assert_eq!(Route::Dead.needs(&Method::DELETE), Role::Force);
        assert_eq!(Route::Publish.needs(&Method::POST), Role::Operate);
        assert_eq!(Route::Metrics.needs(&Method::GET), Role::Read);
        assert_eq!(Route::Readyz.needs(&Method::GET), Role::Anyone);
        assert!(Role::Force > Role::Operate && Role::Operate > Role::Read);
    }
}
