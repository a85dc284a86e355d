//! The twin of ingest: a hyper server that appends each body to one file, many with one write and one
//! sync, and answers then.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::Latency;

/// The server; it ends when dropped.
pub(super) struct Append {
    pub(super) address: SocketAddr,
    desk: Arc<Desk>,
    runtime: Option<Runtime>,
    committer: Option<std::thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Desk {
    waiting: Mutex<Waiting>,
    bell: Condvar,
}

#[derive(Default)]
struct Waiting {
    bodies: Vec<(Bytes, oneshot::Sender<()>)>,
    stored: u64,
    syncs: Latency,
    closed: bool,
}

impl Append {
    /// Serves with as many threads as busway's interface has here.
    pub(super) fn start(directory: &Path) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let file = OpenOptions::new().create(true).append(true).open(directory.join("twin"))?;
        let desk = Arc::<Desk>::default();
        let committer_desk = Arc::clone(&desk);
        let committer = std::thread::Builder::new().name("bench-append".to_owned()).spawn(move || {
            if let Err(error) = commit(file, &committer_desk) {
                eprintln!("http: the twin cannot write: {error}");
            }
        })?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
        runtime.spawn(serve(listener, Arc::clone(&desk)));
        Ok(Self { address, desk, runtime: Some(runtime), committer: Some(committer) })
    }

    /// Bodies that are durable.
    pub(super) fn stored(&self) -> u64 {
        self.desk.lock().stored
    }

    /// How long each sync took.
    pub(super) fn syncs(&self) -> Latency {
        self.desk.lock().syncs.clone()
    }
}

impl Drop for Append {
    fn drop(&mut self) {
        drop(self.runtime.take());
        self.desk.lock().closed = true;
        self.desk.bell.notify_one();
        if self.committer.take().is_some_and(|thread| thread.join().is_err()) {
            eprintln!("http: the twin's committer panicked");
        }
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Vec<(Bytes, oneshot::Sender<()>)>> {
        let mut waiting = self.lock();
        while waiting.bodies.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting = self.bell.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        Some(std::mem::take(&mut waiting.bodies))
    }
}

fn commit(mut file: File, desk: &Desk) -> std::io::Result<()> {
    let mut group = Vec::new();
    while let Some(bodies) = desk.take() {
        group.clear();
        bodies.iter().for_each(|(body, _)| group.extend_from_slice(body));
        file.write_all(&group)?;
        let begun = Instant::now();
        file.sync_data()?;
        let took = begun.elapsed();
        let mut waiting = desk.lock();
        waiting.stored += bodies.len() as u64;
        waiting.syncs.record(took);
        drop(waiting);
        for (_, reply) in bodies {
            // One whose client has gone needs no answer.
            reply.send(()).unwrap_or_default();
        }
    }
    Ok(())
}

async fn serve(listener: TcpListener, desk: Arc<Desk>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let desk = Arc::clone(&desk);
        tokio::spawn(async move {
            let service = service_fn(|request| store(request, &desk));
            // The load ends its connections as it likes.
            drop(http1::Builder::new().serve_connection(TokioIo::new(socket), service).await);
        });
    }
}

async fn store(request: Request<Incoming>, desk: &Desk) -> Result<Response<Empty<Bytes>>> {
    let body = request.into_body().collect().await?.to_bytes();
    let (reply, stored) = oneshot::channel();
    desk.lock().bodies.push((body, reply));
    desk.bell.notify_one();
    stored.await?;
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}
