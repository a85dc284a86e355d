//! Starting and stopping, in any runtime or none.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use busway_core::ErrorKind;
use busway_http::{Aids, HttpConfig, HttpServer};
use tokio::runtime::Builder;

use crate::client::{Request, connect, read};
use crate::fake::{Fake, Publishing};
use crate::{Served, until};

const EVENT: &str =
    "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nce-type: t\r\nce-id: 1\r\ncontent-length: 0\r\n\r\n";

#[test]
fn a_port_in_use_is_told() {
    let served = Served::new();
    let config = HttpConfig::new(served.server.addr());
    let error = HttpServer::start(config, Arc::new(Fake::default()), Aids::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.place(), Some(served.server.addr().to_string().as_str()));
}

#[test]
fn it_starts_and_stops_inside_every_runtime() {
    let current = Builder::new_current_thread().enable_all().build().unwrap();
    let many = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for runtime in [&current, &many] {
        runtime.block_on(async {
            let served = Served::new();
            assert_eq!(served.get("/livez").status, 200);
            served.server.stop(Duration::from_secs(10)).await;
            served.server.stop(Duration::from_secs(10)).await;
            assert!(TcpStream::connect(served.server.addr()).is_err());
        });
    }
}

#[test]
fn two_servers_live_in_one_process() {
    let (one, two) = (Served::new(), Served::new());
    drop(one);
    assert_eq!(two.get("/livez").status, 200);
}

#[test]
fn stopping_lets_a_request_in_hand_finish_and_closes_idle_connections() {
    let served = Served::new();
    served.bus.publishing(Publishing::Gated);
    let mut idle = connect(served.server.addr());
    let mut busy = connect(served.server.addr());
    busy.write_all(EVENT.as_bytes()).unwrap();
    until("the message is with the bus", || served.bus.begun() == 1);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stop = served.server.stop(Duration::from_secs(20));
        let release = async {
            until("the listener is closed", || TcpStream::connect(served.server.addr()).is_err());
            served.bus.gate.add_permits(1);
        };
        tokio::join!(stop, release);
    });
    let reply = read(&mut busy, false);
    assert_eq!(reply.status, 202);
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(served.bus.stored_ids(), ["1"]);
    // Far less than what an idle connection is kept for.
    idle.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut idle, &mut rest).expect("the idle connection is closed");
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn stopping_cuts_what_is_in_hand_after_the_grace() {
    let served = Served::new();
    served.bus.publishing(Publishing::Hangs);
    let mut busy = connect(served.server.addr());
    busy.write_all(EVENT.as_bytes()).unwrap();
    until("the message is with the bus", || served.bus.begun() == 1);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let begun = std::time::Instant::now();
    runtime.block_on(served.server.stop(Duration::from_millis(200)));
    assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
    let mut rest = Vec::new();
    let closed = std::io::Read::read_to_end(&mut busy, &mut rest);
    assert!(closed.is_err() || rest.is_empty(), "{rest:?}");
}

#[test]
fn dropping_it_frees_the_address() {
    let served = Served::new();
    let address = served.server.addr();
    drop(served);
    until("the address is free", || {
        HttpServer::start(HttpConfig::new(address), Arc::new(Fake::default()), Aids::default()).is_ok()
    });
}

#[test]
fn health_tells_how_the_bus_stands() {
    let served = Served::new();
    assert_eq!(served.get("/livez").status, 200);
    let ready = served.get("/readyz");
    assert_eq!((ready.status, ready.json()), (200, serde_json::json!({ "ready": true, "reasons": [] })));
    *served.bus.readiness.lock().unwrap() =
        busway_core::admin::Readiness { ready: false, reasons: vec!["the disk is full".to_owned()] };
    let ready = served.get("/readyz");
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["reasons"][0], "the disk is full");
    assert_eq!(served.get("/livez").status, 200);
    let head = served.send(&Request::new("HEAD", "/livez"));
    assert_eq!(head.status, 200);
}
