//! The HTTP interface over real sockets, before a bus that is scripted.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod access;
mod client;
mod deadlines;
mod fake;
mod ingest;
mod lifecycle;
mod limits;
mod lines;
mod metrics;
mod verbs;

use std::sync::Arc;
use std::time::{Duration, Instant};

use busway_http::{Aids, HttpConfig, HttpServer};

use crate::client::{Reply, Request};
use crate::fake::Fake;

/// A server before a fake bus.
struct Served {
    server: HttpServer,
    bus: Arc<Fake>,
}

impl Served {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut HttpConfig)) -> Self {
        let mut config = HttpConfig::new("127.0.0.1:0".parse().unwrap());
        change(&mut config);
        let bus = Arc::new(Fake::default());
        let server = HttpServer::start(config, bus.clone(), Aids::default()).unwrap();
        Self { server, bus }
    }

    fn send(&self, request: &Request) -> Reply {
        client::send(self.server.addr(), request)
    }

    fn get(&self, path: &str) -> Reply {
        self.send(&Request::new("GET", path))
    }

    /// Bytes held for requests in hand.
    fn held(&self) -> usize {
        let reply = self.get("/metrics");
        let line = reply.text().lines().find_map(|line| line.strip_prefix("busway_http_held_bytes "));
        line.unwrap().parse().unwrap()
    }
}

/// Waits until `condition` holds.
#[track_caller]
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
