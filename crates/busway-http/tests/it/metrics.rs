//! What a scrape gets.

use std::sync::Arc;

use busway_http::{Aids, HttpConfig, HttpServer, install_recorder};

use crate::Served;
use crate::client::{Request, send};
use crate::fake::Fake;

#[track_caller]
fn has(text: &str, line: &str) {
    assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
}

#[test]
fn a_scrape_has_the_process_the_interface_and_the_bus() {
    let config = HttpConfig::new("127.0.0.1:0".parse().unwrap());
    let render = install_recorder().unwrap();
    assert!(install_recorder().is_err());
    ::metrics::counter!("messaging_client_sent_messages_total").increment(12);
    ::metrics::histogram!("messaging_process_duration_seconds").record(0.02);
    let server = HttpServer::start(
        config,
        Arc::new(Fake::default()),
        Aids { metrics: Some(render), ..Aids::default() },
    )
    .unwrap();
    let event = Request::post("application/json", "{}").header("ce-type", "t");
    assert_eq!(send(server.addr(), &event).status, 202);
    let reply = send(server.addr(), &Request::new("GET", "/metrics"));
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "messaging_client_sent_messages_total 12",
        r#"messaging_process_duration_seconds_bucket{le="0.025"} 1"#,
        r#"busway_http_requests_total{route="/v1/messages",status="202"} 1"#,
        r#"busway_http_messages_total{outcome="stored"} 1"#,
        r#"http_server_request_duration_seconds_count{http_route="/v1/messages"} 1"#,
        "busway_http_held_bytes 0",
        "busway_ready 1",
        "busway_figures_available 1",
        r#"busway_queue_ready{queue="priority",transport="local"} 3"#,
        r#"busway_endpoint_delivered_total{endpoint="audit"} 9"#,
        r#"busway_endpoint_state{endpoint="audit",state="open"} 1"#,
        r#"busway_account_share{account="acme"} 0.5"#,
    ] {
        has(reply.text(), line);
    }
    assert!(!reply.text().contains("busway_queue_delayed{"), "{}", reply.text());
}

#[test]
fn scrapes_within_a_second_ask_the_bus_once() {
    let served = Served::new();
    let begun = std::time::Instant::now();
    served.get("/metrics");
    served.get("/metrics");
    let asked = served.bus.calls().len();
    assert!(asked == 1 || begun.elapsed().as_secs() >= 1, "{asked}");
}

#[test]
fn a_bus_that_gives_no_figures_does_not_fail_the_scrape() {
    let served = Served::new();
    *served.bus.error.lock().unwrap() = Some(busway_core::ErrorKind::Unavailable);
    let reply = served.get("/metrics");
    assert_eq!(reply.status, 200);
    has(reply.text(), "busway_figures_available 0");
    has(reply.text(), "busway_ready 1");
}
