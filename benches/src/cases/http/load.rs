//! Connections that send events as cheaply as can be, so that what is measured is the server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};

use super::{BODY_BYTES, CONNECTIONS};
use crate::open_loop::Line;

const HEAD: &str = "POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: text/plain\r\n\
                    ce-specversion: 1.0\r\nce-source: bench\r\nce-type: item.updated\r\nce-account: acme\r\n";
/// Bytes that an answer may have.
const ANSWER_BYTES: usize = 4096;

/// A connection that carries one request at a time.
pub(super) struct Connection {
    stream: TcpStream,
    request: Arc<[u8]>,
    answer: Box<[u8; ANSWER_BYTES]>,
    read: usize,
}

impl Connection {
    /// As many as there are requests under way.
    pub(super) fn open_all(address: SocketAddr) -> Result<Vec<Self>> {
        let body = "x".repeat(BODY_BYTES);
        let request: Arc<[u8]> =
            format!("{HEAD}content-length: {BODY_BYTES}\r\n\r\n{body}").into_bytes().into();
        let mut all = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect(address).context("the server cannot be reached")?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let answer = Box::new([0; ANSWER_BYTES]);
            all.push(Self { stream, request: Arc::clone(&request), answer, read: 0 });
        }
        Ok(all)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Line for Connection {
    /// The server has taken all that was sent before, so that there is room.
    fn send(&mut self) -> Result<()> {
        self.read = 0;
        self.stream.write_all(&self.request).context("a request was not sent")
    }

    /// Whether the event is durable.
    fn answered(&mut self) -> Result<bool> {
        let read = self.stream.read(&mut self.answer[self.read..])?;
        ensure!(read > 0, "the server closed a connection, or an answer is too long");
        self.read += read;
        let answer = &self.answer[..self.read];
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut head = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = head.parse(answer)? else { return Ok(false) };
        if head.code != Some(202) {
            bail!("not taken: {}", String::from_utf8_lossy(answer));
        }
        let body = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let body = body
            .map_or(Ok(0), |header| std::str::from_utf8(header.value)?.parse::<usize>().context("length"))?;
        Ok(answer.len() >= length + body)
    }
}
