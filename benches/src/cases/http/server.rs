//! A peer that answers every request with 200 from memory, in a thread of its own.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use super::threads::Thread;

pub(super) struct Server {
    pub(super) address: SocketAddr,
    answered: Arc<AtomicU64>,
    thread: Thread,
}

impl Server {
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let answered = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&answered);
        let (up, is_up) = mpsc::sync_channel(1);
        std::thread::Builder::new().name("bench-peer".to_owned()).spawn(move || {
            if up.send(Thread::current()).is_ok()
                && let Err(error) = serve(listener, counter)
            {
                eprintln!("http: the peer ended: {error}");
            }
        })?;
        let thread = is_up.recv().context("the peer's thread did not come up")?;
        Ok(Self { address, answered, thread })
    }

    /// Requests answered since the start.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Acquire)
    }

    /// CPU time of its thread.
    pub(super) fn cpu(&self) -> Duration {
        self.thread.cpu()
    }
}

fn serve(listener: TcpListener, answered: Arc<AtomicU64>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            let answered = Arc::clone(&answered);
            tokio::spawn(async move {
                let service = service_fn(|request| answer(request, &answered));
                let served = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
                if let Err(error) = served
                    && !error.is_incomplete_message()
                {
                    eprintln!("http: a connection of the peer failed: {error}");
                }
            });
        }
    })
}

/// Reads the body to its end first, as a peer that means its answer does.
async fn answer(
    request: Request<Incoming>,
    answered: &AtomicU64,
) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    answered.fetch_add(1, Ordering::Release);
    Ok(Response::new(Empty::<Bytes>::new()))
}
