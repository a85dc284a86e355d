//! The demo's HTTP endpoint: a real server on loopback that takes a few milliseconds for each
//! request, and part of the time has too much to do: then it is slow and refuses some.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use busway::core::clock;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Record;

/// The time one request takes.
const WORK: Duration = Duration::from_millis(6);
/// The same while it has too much to do.
const BUSY_WORK: Duration = Duration::from_millis(70);
/// When that is, counted from the first request.
const BUSY: std::ops::Range<Duration> = Duration::from_millis(300)..Duration::from_millis(2300);
/// Then it also refuses one request in this many.
const REFUSES: usize = 8;

/// One request that was answered with success.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) id: String,
    pub(super) account: String,
    /// From the moment the bus had accepted the message to this answer.
    pub(super) waited_ms: f64,
}

/// The running server; it ends when dropped.
pub(super) struct Peer {
    url: String,
    record: Record,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Desk {
    requests: AtomicUsize,
    first: Mutex<Option<Instant>>,
}

impl Peer {
    pub(super) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/rpc/items", listener.local_addr()?);
        let record = Record::default();
        let (shared, desk) = (Arc::clone(&record), Arc::new(Desk::default()));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (record, desk) = (Arc::clone(&shared), Arc::clone(&desk));
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(request, &record, &desk));
                    let served = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service);
                    if let Err(error) = served.await {
                        tracing::debug!(%error, "a connection of the demo's endpoint ended");
                    }
                });
            }
        });
        Ok(Self { url, record, accepting })
    }

    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer(
    request: Request<Incoming>,
    record: &Record,
    desk: &Desk,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let header = |name: &str| {
        request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let (id, account, accepted) = (header("ce-id"), header("ce-account"), header("ce-bwaccepted"));
    let busy = desk.busy();
    let refused = busy && desk.requests.fetch_add(1, Ordering::Relaxed).is_multiple_of(REFUSES);
    let read = request.into_body().collect().await.is_ok();
    if !refused {
        tokio::time::sleep(if busy { BUSY_WORK } else { WORK }).await;
    }
    let mut response = Response::new(Empty::new());
    if refused || !read {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    } else {
        *response.status_mut() = StatusCode::NO_CONTENT;
        let accepted: u64 = accepted.parse().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "waits are far below 2^52 ms")]
        let waited_ms = clock::now_ms().saturating_sub(accepted) as f64;
        record.lock().unwrap_or_else(PoisonError::into_inner).push(Seen { id, account, waited_ms });
    }
    Ok(response)
}

impl Desk {
    fn busy(&self) -> bool {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        BUSY.contains(&first.get_or_insert_with(Instant::now).elapsed())
    }
}
