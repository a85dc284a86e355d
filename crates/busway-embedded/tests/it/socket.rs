//! The holder answers other processes over its socket.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use busway_core::{Error, ErrorClass, ErrorKind, Result};
use busway_embedded::EmbeddedTransport;
use busway_embedded::socket::{Client, SocketLimits, Verbs, serve, serve_with};
use serde_json::value::RawValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::support::Bench;

const SOON: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Echo {
    running: AtomicUsize,
    finished: AtomicUsize,
}

#[async_trait]
impl Verbs for Echo {
    async fn call(&self, verb: &str, params: Box<RawValue>) -> Result<Box<RawValue>> {
        match verb {
            "echo" => Ok(params),
            "slow" => {
                self.running.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(200)).await;
                self.finished.fetch_add(1, Ordering::SeqCst);
                Ok(params)
            }
            "panic" => panic!("a verb that fails"),
            _ => Err(Error::new("publish", ErrorKind::Full, "no room").at("local").advise("wait")),
        }
    }
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

async fn echo(path: &Path) -> String {
    let client = Client::connect(path, SOON).await.unwrap();
    client.call("echo", raw("{\"n\":1.00}"), SOON).await.unwrap().get().to_owned()
}

#[tokio::test]
async fn an_answer_comes_back_word_for_word_and_so_does_an_error() {
    let bench = Bench::new().await;
    let server = serve(&bench.config.path, Arc::new(Echo::default())).unwrap();
    assert_eq!(echo(&bench.config.path).await, "{\"n\":1.00}");
    let client = Client::connect(&bench.config.path, SOON).await.unwrap();
    let error = client.call("fail", raw("null"), SOON).await.unwrap_err();
    assert_eq!(
        (error.operation(), error.kind(), error.class()),
        ("publish", ErrorKind::Full, ErrorClass::Retry)
    );
    assert_eq!(error.to_string(), "publish: local: no room; wait (retry)");
    let error = client.call("panic", raw("null"), SOON).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    let mode = std::fs::metadata(bench.config.path.join("busway.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(server);
    assert!(!bench.config.path.join("busway.sock").exists());
    let error = client.call("echo", raw("1"), SOON).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_holder_that_does_not_answer_in_time_is_named() {
    let bench = Bench::new().await;
    let verbs = Arc::new(Echo::default());
    let _server = serve(&bench.config.path, verbs.clone()).unwrap();
    let client = Client::connect(&bench.config.path, SOON).await.unwrap();
    let error = client.call("slow", raw("1"), Duration::from_millis(20)).await.unwrap_err();
    assert_eq!((error.kind(), error.class()), (ErrorKind::Timeout, ErrorClass::Unknown));
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    let deadline = std::time::Instant::now() + SOON;
    while verbs.finished.load(Ordering::SeqCst) == 0 {
        assert!(std::time::Instant::now() < deadline, "a verb runs to its end though nobody waits");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_end_in_order_answers_what_was_taken_and_turns_the_rest_away() {
    let bench = Bench::new().await;
    let verbs = Arc::new(Echo::default());
    let mut limits = SocketLimits::default();
    limits.connections = 3;
    let server = serve_with(&bench.config.path, verbs.clone(), limits).unwrap();
    let socket = bench.config.path.join("busway.sock");
    let client = Client::connect(&bench.config.path, SOON).await.unwrap();
    let taken = tokio::spawn(async move { client.call("slow", raw("1"), SOON).await });
    let deadline = std::time::Instant::now() + SOON;
    while verbs.running.load(Ordering::SeqCst) == 0 {
        assert!(std::time::Instant::now() < deadline, "the verb runs");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // More than are accepted, so that some only wait to be.
    let mut idle = Vec::new();
    for _ in 0..6 {
        idle.push(UnixStream::connect(&socket).await.unwrap());
    }
    assert!(server.close(SOON).await, "all that was taken is answered");
    assert_eq!(verbs.finished.load(Ordering::SeqCst), 1);
    assert_eq!(taken.await.unwrap().unwrap().get(), "1");
    assert!(!socket.exists());
    for mut stream in idle {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.contains("\"kind\":\"Unavailable\",\"class\":\"reconnect\""), "{answer:?}");
    }
    let error = Client::connect(&bench.config.path, SOON).await.unwrap_err();
    assert_eq!((error.kind(), error.class()), (ErrorKind::Unavailable, ErrorClass::Reconnect));
}

#[tokio::test]
async fn a_store_whose_path_is_longer_than_an_address_is_reached_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("long".repeat(50)).join("longer".repeat(30));
    let config = busway_embedded::EmbeddedConfig::new("local", "shop", &path);
    let _transport = EmbeddedTransport::open(config).unwrap();
    let _server = serve(&path, Arc::new(Echo::default())).unwrap();
    assert_eq!(echo(&path).await, "{\"n\":1.00}");
    assert!(path.join("busway.sock").exists());
}

#[tokio::test]
async fn what_a_killed_holder_left_is_replaced() {
    let bench = Bench::new().await;
    let left = std::os::unix::net::UnixListener::bind(bench.config.path.join("busway.sock")).unwrap();
    drop(left);
    let error = Client::connect(&bench.config.path, SOON).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let first = serve(&bench.config.path, Arc::new(Echo::default())).unwrap();
    let second = serve(&bench.config.path, Arc::new(Echo::default())).unwrap();
    drop(first);
    assert_eq!(echo(&bench.config.path).await, "{\"n\":1.00}", "only its own file is removed");
    drop(second);
    std::fs::write(bench.config.path.join("busway.sock"), "no socket").unwrap();
    let error = serve(&bench.config.path, Arc::new(Echo::default())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn bad_requests_and_silent_clients_cost_only_themselves() {
    let bench = Bench::new().await;
    let mut limits = SocketLimits::default();
    limits.connections = 2;
    limits.request_bytes = 1000;
    limits.transfer = Duration::from_millis(300);
    limits.idle = Duration::from_secs(2);
    let _server = serve_with(&bench.config.path, Arc::new(Echo::default()), limits).unwrap();
    let socket = bench.config.path.join("busway.sock");
    let client = Client::connect(&bench.config.path, SOON).await.unwrap();

    let error = client.call("echo", raw(&format!("\"{}\"", "x".repeat(2000))), SOON).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);

    let mut garbage = UnixStream::connect(&socket).await.unwrap();
    garbage.write_all(&[0, 0, 0, 3, b'{', b'{', b'{']).await.unwrap();
    let mut answer = vec![0; 30];
    garbage.read_exact(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("error"));

    let mut halves = Vec::new();
    for _ in 0..4 {
        let mut half = UnixStream::connect(&socket).await.unwrap();
        half.write_all(&[0, 0, 0, 100, b'{']).await.unwrap();
        halves.push(half);
    }
    assert_eq!(echo(&bench.config.path).await, "{\"n\":1.00}", "room comes back when they are given up");
}

#[tokio::test]
async fn many_calls_at_once_are_all_answered() {
    let bench = Bench::new().await;
    let _server = serve(&bench.config.path, Arc::new(Echo::default())).unwrap();
    let client = Client::connect(&bench.config.path, SOON).await.unwrap();
    let calls: Vec<_> = (0..200)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move { client.call("echo", raw(&n.to_string()), SOON).await.unwrap() })
        })
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().get(), n.to_string());
    }
}
