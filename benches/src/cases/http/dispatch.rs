//! Deliveries of one endpoint, called as the runtime calls it: a task and a time limit for each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use busway::core::{Delivery, Endpoint, envelope};
use busway_endpoints::http::{HttpConfig, HttpEndpoint, Mode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::server::Server;
use super::{BODY_BYTES, CONNECTIONS, message};
use crate::{Bench, Limit, Measure, Run, Side, Stopwatch};

const MESSAGES: u64 = 30_000;
const CALL_TIME: Duration = Duration::from_secs(30);
/// How long the last requests may take to be seen by the peer (forget).
const SEEN_WITHIN: Duration = Duration::from_secs(10);
const NOTES: &str = "64 requests under way, one client thread, one server thread whose CPU is not counted; twin: \
                     hyper-util's client, its headers made once";

pub(super) fn run(bench: &mut Bench<'_>) -> Result<()> {
    let server = Server::start()?;
    let url = format!("http://{}/rpc/items", server.address);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let messages = bench.scale(MESSAGES).max(CONNECTIONS as u64);
    let twin = Twin::new(&url)?;
    for (name, mode, limit) in
        [("dispatch-wait", Mode::Wait, Some(Limit::Ratio(0.8))), ("dispatch-forget", Mode::Forget, None)]
    {
        let config = HttpConfig { mode, ..HttpConfig::new("inventory", &url) };
        let endpoint: Arc<dyn Endpoint> = Arc::new(HttpEndpoint::new(config)?);
        let mut measure = Measure::new(name, "HttpEndpoint::deliver", "hyper-util client")
            .body_bytes(BODY_BYTES as u64)
            .notes(NOTES);
        if let Some(limit) = limit {
            measure = measure.limit(limit);
        }
        bench.measure(&measure, |side| {
            let (before, cpu) = (server.answered(), server.cpu());
            let mut run = match side {
                Side::Subject => deliver(&runtime, &endpoint, messages)?,
                Side::Twin => twin.send(&runtime, messages)?,
            };
            let seen = await_seen(&server, before + messages)? - before;
            run.cpu = run.cpu.saturating_sub(server.cpu().saturating_sub(cpu));
            Ok(run.counted(messages.saturating_sub(seen), seen.saturating_sub(messages)))
        })?;
        runtime.block_on(endpoint.close());
    }
    Ok(())
}

/// A delivery is done in `forget` before the peer has answered it.
fn await_seen(server: &Server, most: u64) -> Result<u64> {
    let begun = std::time::Instant::now();
    while server.answered() < most && begun.elapsed() < SEEN_WITHIN {
        std::thread::yield_now();
    }
    Ok(server.answered())
}

/// Deliveries still to be made, and whether one has failed.
struct Work {
    endpoint: Arc<dyn Endpoint>,
    delivery: Delivery,
    left: AtomicU64,
    running: AtomicU64,
    failed: AtomicBool,
    done: Notify,
}

fn deliver(runtime: &Runtime, endpoint: &Arc<dyn Endpoint>, messages: u64) -> Result<Run> {
    let at_once = CONNECTIONS as u64;
    let work = Arc::new(Work {
        endpoint: Arc::clone(endpoint),
        delivery: Delivery { message: Arc::new(message()), destination: "inventory".into(), attempt: 1 },
        left: AtomicU64::new(messages - at_once),
        running: AtomicU64::new(at_once),
        failed: AtomicBool::new(false),
        done: Notify::new(),
    });
    let watch = Stopwatch::start();
    runtime.block_on(async {
        for _ in 0..at_once {
            begin(Arc::clone(&work));
        }
        work.done.notified().await;
    });
    let run = watch.stop(messages);
    ensure!(!work.failed.load(Ordering::Relaxed), "a delivery failed");
    Ok(run)
}

/// A task for one delivery, whose end begins the next.
fn begin(work: Arc<Work>) {
    tokio::spawn(async move {
        let call = work.endpoint.deliver(vec![work.delivery.clone()]);
        match tokio::time::timeout(CALL_TIME, call).await {
            Ok(results) if results.iter().all(Result::is_ok) => {}
            failed => {
                eprintln!("http: a delivery failed: {failed:?}");
                work.failed.store(true, Ordering::Relaxed);
            }
        }
        if work.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            begin(work);
        } else if work.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            work.done.notify_one();
        }
    });
}

/// The raw client with what each request needs.
struct Twin {
    client: Client<HttpConnector, Full<Bytes>>,
    request: Arc<(Uri, HeaderMap, Bytes)>,
}

impl Twin {
    fn new(url: &str) -> Result<Self> {
        let message = message();
        let mut headers = HeaderMap::new();
        headers.insert("user-agent", HeaderValue::from_static("busway/0.1.0"));
        for (name, value) in envelope::http::encode(&message) {
            headers.insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(CONNECTIONS).build(connector);
        Ok(Self { client, request: Arc::new((url.parse()?, headers, message.data)) })
    }

    fn send(&self, runtime: &Runtime, messages: u64) -> Result<Run> {
        let left = Arc::new(AtomicU64::new(messages));
        let watch = Stopwatch::start();
        runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..CONNECTIONS {
                tasks.spawn(send_until(self.client.clone(), Arc::clone(&self.request), Arc::clone(&left)));
            }
            while let Some(ended) = tasks.join_next().await {
                ended.context("a task of the twin")??;
            }
            anyhow::Ok(())
        })?;
        Ok(watch.stop(messages))
    }
}

/// Sends requests, one after the other, until none is left.
async fn send_until(
    client: Client<HttpConnector, Full<Bytes>>,
    parts: Arc<(Uri, HeaderMap, Bytes)>,
    left: Arc<AtomicU64>,
) -> Result<()> {
    let (uri, headers, data) = &*parts;
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        let mut request = Request::new(Full::new(data.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers.clone();
        let response = client.request(request).await?;
        ensure!(response.status().is_success(), "the answer was {}", response.status());
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
    }
    Ok(())
}
