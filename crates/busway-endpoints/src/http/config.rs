//! The settings of an HTTP endpoint.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use busway_core::Secret;

/// When a delivery has succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// When the peer has answered 2xx.
    Wait,
    /// When the peer's TCP has acknowledged every byte of the request, or any byte of an answer
    /// has come. The answer is discarded; the peer logs its own result.
    Forget,
}

/// The settings of an [`HttpEndpoint`](super::HttpEndpoint).
#[derive(Clone)]
pub struct HttpConfig {
    /// The endpoint's name, for messages about it.
    pub name: String,
    /// `http://` or `https://`, without a user part.
    pub url: String,
    /// When a delivery has succeeded.
    pub mode: Mode,
    /// How long a delivery may take, connecting included.
    pub timeout: Duration,
    /// Headers that every request carries. Those of the message and of the connection (`ce-…`,
    /// `content-type`, `content-length`, `connection`, …) cannot be set.
    pub headers: Vec<(String, String)>,
    /// Sent as `authorization: Bearer …`.
    pub token: Option<Secret>,
    /// The most idle connections kept.
    pub max_idle: usize,
    /// The most bytes read of an answer's body; the connection of a longer one is closed.
    pub max_response_bytes: usize,
    /// The most answers awaited after their deliveries have succeeded (forget).
    pub max_unread_answers: usize,
    /// How peers are verified, where it is not by the system's certificates.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

impl HttpConfig {
    /// Waits for an answer for up to 15 s; 64 idle connections, 64 KiB of an answer.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            url: url.into(),
            mode: Mode::Wait,
            timeout: Duration::from_secs(15),
            headers: Vec::new(),
            token: None,
            max_idle: 64,
            max_response_bytes: 64 * 1024,
            max_unread_answers: 256,
            tls: None,
        }
    }
}

impl fmt::Debug for HttpConfig {
    /// Leaves out the values of headers and the URL's path: either may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("HttpConfig")
            .field("name", &self.name)
            .field("mode", &self.mode)
            .field("timeout", &self.timeout)
            .field("headers", &names)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}
