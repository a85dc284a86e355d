//! An HTTP client on one connection that is kept alive, which sends exactly what it is told to.

use std::io::{self, BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(40);

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// One without a body.
    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// One by any method.
    pub(crate) fn new(method: &'static str, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// One that publishes.
    pub(crate) fn post(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let request = Self::new("POST", "/v1/messages").header("content-type", content_type);
        Self { body: body.into(), ..request }
    }

    /// One that publishes JSON lines.
    pub(crate) fn lines(lines: impl Into<Vec<u8>>) -> Self {
        Self::post("application/x-ndjson", lines)
    }

    /// With a further header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn head(&self) -> String {
        let Self { method, path, headers, body } = self;
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
        let has = |name: &str| headers.iter().any(|(given, _)| given == name);
        if *method != "GET" && !has("content-length") {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head + "\r\n"
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The body as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The results of a publish, whichever form they have.
    #[track_caller]
    pub(crate) fn results(&self) -> Vec<Value> {
        if let Ok(Value::Array(rows)) = serde_json::from_str(&self.body) {
            return rows;
        }
        let line = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        self.body.lines().map(line).collect()
    }
}

/// A client; it connects at its first request and again after a failure.
pub(crate) struct Client {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    /// Sends a request and reads its answer. After an error the outcome is unknown.
    pub(crate) fn send(&mut self, request: &Request) -> io::Result<Reply> {
        let answered = self.exchange(request);
        let closes = |reply: &Reply| {
            reply.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
        };
        if !answered.as_ref().is_ok_and(|reply| !closes(reply)) {
            self.stream = None;
        }
        answered
    }

    fn exchange(&mut self, request: &Request) -> io::Result<Reply> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => self.stream.insert(BufReader::new(connect(self.address)?)),
        };
        let mut bytes = request.head().into_bytes();
        bytes.extend_from_slice(&request.body);
        stream.get_mut().write_all(&bytes)?;
        read_reply(stream)
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}

fn read_reply(stream: &mut BufReader<TcpStream>) -> io::Result<Reply> {
    let (first, headers) = read_head(stream)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| Error::new(ErrorKind::InvalidData, first))?;
    let mut reply = Reply { status, headers, body: String::new() };
    let length = reply.header("content-length").map_or(Ok(0), str::parse);
    let mut body = vec![0; length.map_err(|_| Error::from(ErrorKind::InvalidData))?];
    stream.read_exact(&mut body)?;
    reply.body = String::from_utf8_lossy(&body).into_owned();
    Ok(reply)
}

/// Reads a head: its first line, and its headers with their names in lower case.
pub(super) fn read_head(stream: &mut impl BufRead) -> io::Result<(String, Vec<(String, String)>)> {
    let first = read_line(stream)?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            return Ok((first, headers));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| Error::from(ErrorKind::InvalidData))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.trim_end().len());
    Ok(line)
}
