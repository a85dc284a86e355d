//! Who is let in.

use std::sync::Arc;

use busway_core::{ErrorKind, Secret};
use busway_http::{Aids, HttpConfig, HttpServer};

use crate::Served;
use crate::client::Request;
use crate::fake::Fake;

fn event() -> Request {
    Request::post("application/json", "{}").header("ce-type", "t")
}

#[test]
fn an_address_that_others_reach_does_not_start_without_a_token() {
    let config = HttpConfig::new("0.0.0.0:0".parse().unwrap());
    let error = HttpServer::start(config.clone(), Arc::new(Fake::default()), Aids::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("http.token"), "{error}");
    let config = HttpConfig { token: Some(Secret::new("s3cret")), ..config };
    HttpServer::start(config, Arc::new(Fake::default()), Aids::default()).unwrap();
}

#[test]
fn with_a_token_everything_but_health_asks_for_it() {
    let served = Served::with(|config| config.token = Some(Secret::new("s3cret")));
    for path in ["/livez", "/readyz"] {
        assert_eq!(served.get(path).status, 200, "{path}");
    }
    for path in ["/v1/queues", "/metrics", "/v1/dead", "/v1/snapshots", "/nowhere"] {
        let reply = served.get(path);
        assert_eq!(reply.status, 401, "{path}");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    }
    let wrong = event().header("authorization", "Bearer wrong");
    assert_eq!(served.send(&wrong).status, 401);
    assert_eq!(served.bus.begun(), 0);
    let right = event().header("authorization", "Bearer s3cret").header("host", "shop.example");
    assert_eq!(served.send(&right).status, 202);
}

#[test]
fn without_a_token_foreign_hosts_and_origins_are_refused() {
    let served = Served::new();
    for (name, value, status) in [
        ("host", "localhost:8620", 202),
        ("host", "127.0.0.1", 202),
        ("host", "evil.example", 403),
        ("origin", "http://localhost:8620", 202),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
    ] {
        let reply = served.send(&event().header(name, value));
        assert_eq!(reply.status, status, "{name}: {value}");
    }
    assert_eq!(served.bus.begun(), 3);
    let rebound = Request::new("GET", "/v1/queues").header("host", "evil.example");
    let reply = served.send(&rebound);
    assert_eq!(reply.status, 403);
    assert!(reply.json()["error"].as_str().unwrap().contains("Host"), "{reply:?}");
    assert_eq!(reply.header("access-control-allow-origin"), None);
}

#[test]
fn a_name_may_be_let_in_by_configuration() {
    let served = Served::with(|config| config.hosts = vec!["shop.example".to_owned()]);
    let request = Request::new("GET", "/v1/queues").header("host", "shop.example");
    assert_eq!(served.send(&request).status, 200);
}
