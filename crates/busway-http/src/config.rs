//! What can be set on the HTTP interface, and what is refused.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use busway_core::{Error, ErrorKind, Result, Secret};

/// The smallest body limit: bodies up to this size are always accepted.
pub const LEAST_BODY_BYTES: usize = 200 * 1024;

/// Settings of the HTTP interface.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The bearer token every request but the health checks must carry. Only a loopback address
    /// may go without.
    pub token: Option<Secret>,
    /// Further names a request may give in `Host` and `Origin` where there is no token, such as
    /// that of a proxy on the same machine.
    pub hosts: Vec<String>,
    /// The most bytes of a body, 1 MiB by default, at least [`LEAST_BODY_BYTES`]; also of one line
    /// of JSON lines.
    pub max_body_bytes: usize,
    /// The most bytes of a body of JSON lines, which is never held as a whole; 64 MiB by default.
    pub max_stream_bytes: u64,
    /// The most lines of a body of JSON lines, whose results are held until the end; 100,000 by
    /// default.
    pub max_lines: usize,
    /// The most events of a JSON batch; 10,000 by default.
    pub max_batch: usize,
    /// The most bytes of bodies and results held for all requests together; 256 MiB by default.
    pub max_held_bytes: usize,
    /// How long a request may take from its head to its answer; 30 s by default.
    pub deadline: Duration,
    /// How long a connection may lie idle between requests; 30 s by default.
    pub keep_alive: Duration,
    /// The most connections at once; further ones wait in the backlog. 1024 by default, and never
    /// more than half of the open files the process may have less 256.
    pub max_connections: usize,
    /// Threads that serve; by default the number of cores, at most 4.
    pub workers: usize,
}

impl HttpConfig {
    /// The defaults on this address.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            token: None,
            hosts: Vec::new(),
            max_body_bytes: 1024 * 1024,
            max_stream_bytes: 64 * 1024 * 1024,
            max_lines: 100_000,
            max_batch: 10_000,
            max_held_bytes: 256 * 1024 * 1024,
            deadline: Duration::from_secs(30),
            keep_alive: Duration::from_secs(30),
            max_connections: 1024,
            workers: std::thread::available_parallelism().map_or(1, usize::from).min(4),
        }
    }

    /// Whether the settings go together.
    ///
    /// # Errors
    /// `Configuration`, with the setting and what to do.
    pub fn check(&self) -> Result<()> {
        if self.token.is_none() && !is_loopback(self.listen) {
            return Err(wrong("http.listen", format!("{} can be reached from other machines", self.listen))
                .advise("set http.token, or listen on 127.0.0.1"));
        }
        if self.token.as_ref().is_some_and(|token| !is_sendable(token)) {
            return Err(wrong("http.token", "a token is one or more visible ASCII characters"));
        }
        if self.max_body_bytes < LEAST_BODY_BYTES {
            return Err(wrong("http.max_body_bytes", format!("it must be at least {LEAST_BODY_BYTES}")));
        }
        if self.max_held_bytes < self.max_body_bytes {
            return Err(wrong("http.max_held_bytes", "it must be at least http.max_body_bytes"));
        }
        for (name, is_zero) in [
            ("http.deadline", self.deadline.is_zero()),
            ("http.keep_alive", self.keep_alive.is_zero()),
            ("http.max_batch", self.max_batch == 0),
            ("http.max_lines", self.max_lines == 0),
            ("http.max_stream_bytes", self.max_stream_bytes == 0),
            ("http.max_connections", self.max_connections == 0),
            ("http.workers", self.workers == 0),
        ] {
            if is_zero {
                return Err(wrong(name, "it must be more than 0"));
            }
        }
        Ok(())
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 8620)))
    }
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn is_sendable(token: &Secret) -> bool {
    let text = token.expose();
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn wrong(setting: &'static str, what: impl Into<String>) -> Error {
    Error::new("configure", ErrorKind::Configuration, what).at(setting)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn an_address_that_others_reach_needs_a_token() {
        for (listen, passes) in
            [("127.0.0.1:0", true), ("[::1]:0", true), ("0.0.0.0:0", false), ("[::]:0", false)]
        {
            let mut config = HttpConfig::new(listen.parse().unwrap());
            assert_eq!(config.check().is_ok(), passes, "{listen}");
            config.token = Some(Secret::new("s3cret"));
            config.check().unwrap();
        }
    }

    #[test]
    fn a_body_limit_under_the_promised_size_is_refused() {
        let config = HttpConfig { max_body_bytes: LEAST_BODY_BYTES - 1, ..HttpConfig::default() };
        let error = config.check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_eq!(error.place(), Some("http.max_body_bytes"));
    }

    #[test]
    fn a_token_that_no_header_could_carry_is_refused() {
        for (token, passes) in [("s3cret", true), ("", false), ("a b", false), ("a\n", false), ("é", false)]
        {
            let config = HttpConfig { token: Some(Secret::new(token)), ..HttpConfig::default() };
            assert_eq!(config.check().is_ok(), passes, "{token:?}");
        }
    }
}
