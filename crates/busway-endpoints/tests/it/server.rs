//! A peer by script: every connection is handed to a function of the test.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What all connections of a server share.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connections: AtomicUsize,
    pub(crate) requests: Mutex<Vec<Request>>,
}

impl Seen {
    pub(crate) fn bodies(&self) -> Vec<Vec<u8>> {
        self.requests.lock().unwrap().iter().map(|request| request.body.clone()).collect()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A listener on loopback that ends with the value.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
    task: JoinHandle<()>,
}

impl Server {
    /// Calls `serve` for every connection.
    pub(crate) async fn start<F, Fut>(serve: F) -> Self
    where
        F: Fn(Peer) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, serve)
    }

    pub(crate) fn on<F, Fut>(listener: TcpListener, serve: F) -> Self
    where
        F: Fn(Peer) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                shared.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(Peer { stream, left: Vec::new(), seen: Arc::clone(&shared) }));
            }
        });
        Self { address, seen, task }
    }

    /// Answers every request of every connection with these bytes.
    pub(crate) async fn answering(answer: &'static str) -> Self {
        Self::start(move |mut peer| async move {
            while peer.request().await.is_some() {
                if peer.write(answer).await.is_err() {
                    return;
                }
            }
        })
        .await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/rpc/items?a=b", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection, seen from the server.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    left: Vec<u8>,
    pub(crate) seen: Arc<Seen>,
}

impl Peer {
    /// The next request with its body; `None` at the connection's end.
    pub(crate) async fn request(&mut self) -> Option<Request> {
        let request = self.head().await?;
        let length: usize = request.headers.get("content-length").map_or(0, |n| n.parse().unwrap());
        while self.left.len() < length {
            if self.stream.read_buf(&mut self.left).await.ok()? == 0 {
                return None;
            }
        }
        let body = self.left.drain(..length).collect();
        let request = Request { body, ..request };
        self.seen.requests.lock().unwrap().push(request.clone());
        Some(request)
    }

    /// The head of the next request; what came of its body stays to be read.
    pub(crate) async fn head(&mut self) -> Option<Request> {
        let end = loop {
            if let Some(at) = self.left.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if self.stream.read_buf(&mut self.left).await.ok()? == 0 {
                return None;
            }
        };
        let head: Vec<u8> = self.left.drain(..end).collect();
        let text = String::from_utf8(head).unwrap();
        let mut lines = text.trim_end().lines();
        let line = lines.next().unwrap().to_owned();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Some(Request { line, headers, body: Vec::new() })
    }

    /// Reads on until `length` bytes have come since the head; whether they have.
    pub(crate) async fn request_rest(&mut self, length: usize) -> bool {
        while self.left.len() < length {
            match self.stream.read_buf(&mut self.left).await {
                Ok(0) | Err(_) => return false,
                Ok(_) => {}
            }
        }
        true
    }

    /// Forgets so many bytes that have come since the head.
    pub(crate) fn take_rest(&mut self, length: usize) {
        self.left.drain(..length);
    }

    pub(crate) async fn write(&mut self, text: &str) -> std::io::Result<()> {
        self.stream.write_all(text.as_bytes()).await
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }
}
