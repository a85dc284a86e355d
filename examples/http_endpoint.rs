//! Delivery by HTTP: one POST a message, in the binary mode of CloudEvents. The server here refuses
//! the first request of each message with 503; the bus tries again.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use busway::config::{Endpoint, HttpTarget, Retry, Target};
use busway::{Bus, Message};
use busway_examples::{Result, until};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Requests by id: how many came, and the last payload.
type Seen = Arc<Mutex<BTreeMap<String, (u32, Bytes)>>>;

#[tokio::main]
async fn main() -> Result {
    let directory = tempfile::tempdir()?;
    let seen = Seen::default();
    let url = serve(Arc::clone(&seen)).await?;

    let mut items = Endpoint::new(Target::Http(HttpTarget { url, ..HttpTarget::default() }));
    items.policy.retry = Retry { first: Duration::from_millis(50), ..Retry::default() };
    let bus = Bus::builder("shop")
        .embedded(directory.path())
        .endpoint("items", items)
        .route(&["item.*"], &["items"])
        .build()?;
    bus.start().await?;

    let ids = ["one", "two", "three"];
    for id in ids {
        bus.publish(Message::json("item.updated", id)?.id(id).account("acme")).await?;
    }
    let admin = bus.admin().await?;
    until("all are delivered", async || Ok(admin.endpoints().await?[0].delivered == 3)).await?;
    bus.shutdown().await?;

    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    println!("{seen:?}");
    for id in ids {
        let (requests, payload) = &seen[id];
        assert_eq!(*requests, 2, "refused once, then taken");
        assert_eq!(**payload, *format!("{id:?}").as_bytes(), "the very bytes that were published");
    }
    Ok(())
}

/// A server on loopback; answers where it listens.
async fn serve(seen: Seen) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/rpc/items", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let service = service_fn(|request| answer(request, &seen));
                let served = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                if let Err(error) = served.await {
                    eprintln!("a connection ended: {error}");
                }
            });
        }
    });
    Ok(url)
}

async fn answer(
    request: Request<Incoming>,
    seen: &Seen,
) -> std::result::Result<Response<Empty<Bytes>>, Infallible> {
    let id = request.headers().get("ce-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let payload = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
    let mut response = Response::new(Empty::new());
    *response.status_mut() = match (id, payload) {
        (Some(id), Ok(payload)) => {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = seen.entry(id).or_default();
            *entry = (entry.0 + 1, payload);
            if entry.0 == 1 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT }
        }
        _ => StatusCode::BAD_REQUEST,
    };
    Ok(response)
}
