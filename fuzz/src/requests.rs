//! Whole requests to the HTTP interface.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use busway_core::admin::{
    AccountRow, DeadLetter, DeadReport, DeadRequest, DeadRow, EndpointRow, OnceReport, OnceRequest, PeekRow,
    PublishOutcome, PublishResult, QueuesReport, Readiness, Trace,
};
use busway_core::transport::Filter;
use busway_core::{Admin, Error, ErrorKind, Message, Result, envelope};
use busway_http::{Aids, HttpConfig, HttpServer};
use serde_json::Value;

/// How long an answer may take; the interface's own deadline is shorter.
const LIMIT: Duration = Duration::from_secs(30);
/// The most of an answer that an input may bring about.
const MOST: u64 = 4 << 20;

/// The bytes that a client sends before it closes its side.
pub(crate) fn request(input: &[u8]) {
    let (answer, alive) =
        (send(input), send(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"));
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{:?}", String::from_utf8_lossy(&answer));
    assert!(alive.starts_with(b"HTTP/1.1 200"), "no longer alive: {:?}", String::from_utf8_lossy(&alive));
}

fn send(bytes: &[u8]) -> Vec<u8> {
    let stream = TcpStream::connect(address()).expect("the interface takes connections");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    let mut writer = stream.try_clone().expect("a second handle");
    let bytes = bytes.to_vec();
    // It may answer, and close, before it has read all.
    let writing = std::thread::spawn(move || {
        writer.write_all(&bytes).ok();
        writer.shutdown(Shutdown::Write).ok();
    });
    let mut answer = Vec::new();
    match stream.take(MOST).read_to_end(&mut answer) {
        Ok(_) => assert!((answer.len() as u64) < MOST, "an answer of {} bytes", answer.len()),
        Err(error) => {
            assert!(error.kind() == std::io::ErrorKind::ConnectionReset, "no answer in time: {error}")
        }
    }
    writing.join().expect("written");
    answer
}

fn address() -> SocketAddr {
    static SERVER: OnceLock<HttpServer> = OnceLock::new();
    let start = || {
        let mut config = HttpConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        (config.deadline, config.workers) = (Duration::from_secs(10), 1);
        HttpServer::start(config, Arc::new(Accepting), Aids::default()).expect("an interface")
    };
    SERVER.get_or_init(start).addr()
}

/// A bus that stores all that it could carry, and has nothing to show.
struct Accepting;

#[async_trait]
impl Admin for Accepting {
    async fn publish(&self, batch: Vec<Message>, _: Duration) -> Vec<PublishResult> {
        let stored = |message: Message| {
            envelope::check(&message).expect("what was accepted can be carried");
            PublishResult { id: message.id, outcome: PublishOutcome::Stored, error: None, class: None }
        };
        batch.into_iter().map(stored).collect()
    }

    async fn queues(&self) -> Result<QueuesReport> {
        Err(nothing())
    }

    async fn peek(&self, _: &str, _: usize, _: bool) -> Result<Vec<PeekRow>> {
        Ok(Vec::new())
    }

    async fn trace(&self, _: &str) -> Result<Option<Trace>> {
        Ok(None)
    }

    async fn dead_list(&self, _: Filter, _: usize) -> Result<Vec<DeadRow>> {
        Ok(Vec::new())
    }

    async fn dead_show(&self, _: &str) -> Result<Option<DeadLetter>> {
        Ok(None)
    }

    async fn dead_replay(&self, _: DeadRequest) -> Result<DeadReport> {
        Ok(DeadReport::default())
    }

    async fn dead_delete(&self, _: DeadRequest) -> Result<DeadReport> {
        Ok(DeadReport::default())
    }

    async fn endpoints(&self) -> Result<Vec<EndpointRow>> {
        Ok(Vec::new())
    }

    async fn endpoint_pause(&self, _: &str, _: bool) -> Result<()> {
        Err(nothing())
    }

    async fn endpoint_test(&self, _: &str) -> Result<String> {
        Err(nothing())
    }

    async fn accounts(&self) -> Result<Vec<AccountRow>> {
        Ok(Vec::new())
    }

    async fn account_pause(&self, _: &str, _: bool) -> Result<()> {
        Ok(())
    }

    async fn account_weight(&self, _: &str, _: u32) -> Result<()> {
        Ok(())
    }

    async fn readiness(&self) -> Readiness {
        Readiness { ready: true, reasons: Vec::new() }
    }

    async fn snapshots(&self) -> Value {
        Value::Null
    }

    async fn run_once(&self, _: OnceRequest) -> Result<OnceReport> {
        Err(nothing())
    }
}

fn nothing() -> Error {
    Error::new("look", ErrorKind::NotFound, "there is nothing")
}
