//! Connections that send events as cheaply as can be, so that what is measured is the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{BODY_BYTES, CONNECTIONS};

const HEAD: &str = "POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: text/plain\r\n\
                    ce-specversion: 1.0\r\nce-source: bench\r\nce-type: item.updated\r\nce-account: acme\r\n";

/// A connection that carries one request at a time.
pub(super) struct Connection {
    stream: TcpStream,
    request: Arc<[u8]>,
    answer: Vec<u8>,
}

impl Connection {
    /// As many as there are requests under way.
    pub(super) async fn open_all(address: SocketAddr) -> Result<Vec<Self>> {
        let body = "x".repeat(BODY_BYTES);
        let request: Arc<[u8]> =
            format!("{HEAD}content-length: {BODY_BYTES}\r\n\r\n{body}").into_bytes().into();
        let mut all = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect(address).await.context("the server cannot be reached")?;
            stream.set_nodelay(true)?;
            all.push(Self { stream, request: Arc::clone(&request), answer: Vec::with_capacity(4096) });
        }
        Ok(all)
    }

    /// Sends one event and waits until it is durable.
    pub(super) async fn send(&mut self) -> Result<()> {
        self.stream.write_all(&self.request).await?;
        self.answer.clear();
        loop {
            ensure!(self.stream.read_buf(&mut self.answer).await? > 0, "the server closed a connection");
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut head = httparse::Response::new(&mut headers);
            let httparse::Status::Complete(length) = head.parse(&self.answer)? else { continue };
            if head.code != Some(202) {
                bail!("not taken: {}", String::from_utf8_lossy(&self.answer));
            }
            let body = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
            let body = body.map_or(Ok(0), |header| {
                std::str::from_utf8(header.value)?.parse::<usize>().context("length")
            })?;
            if self.answer.len() >= length + body {
                return Ok(());
            }
        }
    }
}

/// Sends this many events, each connection the next as soon as the last was answered.
pub(super) async fn closed_loop(connections: Vec<Connection>, messages: u64) -> Result<()> {
    let left = Arc::new(AtomicU64::new(messages));
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        let left = Arc::clone(&left);
        tasks.spawn(async move {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
            {
                connection.send().await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.context("a connection of the load")??;
    }
    Ok(())
}
