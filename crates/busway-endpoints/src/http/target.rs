//! The URL taken apart, and how to connect to it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use busway_core::{DeliveryError, Error, ErrorKind, Result};
use hyper::Uri;
use hyper::http::uri::PathAndQuery;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::HttpConfig;
use super::meter::{Meter, Socket, Stream};

/// How long an address is tried where there are others.
const ADDRESS_WAIT: Duration = Duration::from_secs(2);

/// Where requests go.
pub(super) struct Target {
    name: String,
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    connect_share: Duration,
    /// The value of `host`.
    pub(super) authority: String,
    /// The request line's target: path and query.
    pub(super) path: Uri,
}

impl Target {
    pub(super) fn new(config: &HttpConfig) -> Result<Self> {
        let wrong = |detail: &str| {
            Error::new("configure", ErrorKind::Configuration, detail)
                .at(format!("endpoints.{}.url", config.name))
                .advise("use http://HOST[:PORT]/PATH or https://…")
        };
        let uri: Uri = config.url.parse().map_err(|_| wrong("this is no URL"))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong("the scheme is neither http nor https")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("there is no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("there is a user part").advise("use `token` or `headers` for credentials"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(wrong("there is no host"));
        }
        let tls = if secure {
            let name = ServerName::try_from(host.clone()).map_err(|_| wrong("the host is no name"))?;
            Some((connector(config)?, name))
        } else {
            None
        };
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self {
            name: config.name.clone(),
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            tls,
            connect_share: config.timeout,
            authority: authority.as_str().to_owned(),
            path: Uri::from(path),
            host,
        })
    }

    /// A new connection, with TLS where the URL asks for it.
    pub(super) async fn connect(&self) -> Result<(Stream, Arc<Meter>), DeliveryError> {
        let tcp = self.dial().await.map_err(|e| self.unreached(&e))?;
        let meter = Arc::new(Meter::new(tcp));
        let socket = Socket::new(Arc::clone(&meter));
        let Some((connector, name)) = &self.tls else {
            return Ok((Stream::plain(socket, Arc::clone(&meter)), meter));
        };
        let tls = connector.connect(name.clone(), socket).await.map_err(|e| match e.kind() {
            io::ErrorKind::InvalidData => DeliveryError::retry("tls", format!("{self}: {e}")),
            _ => self.unreached(&e),
        })?;
        Ok((Stream::tls(tls, Arc::clone(&meter)), meter))
    }

    /// Tries each address of the host in turn; none keeps the next one waiting for long.
    async fn dial(&self) -> io::Result<TcpStream> {
        let deadline = Instant::now() + self.connect_share;
        let addresses: Vec<SocketAddr> =
            lookup_host((self.host.as_str(), self.port)).await.map_err(Unresolved::wrap)?.collect();
        let mut failure = Unresolved::wrap(io::Error::other("the name has no address"));
        for (tried, address) in addresses.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let parts = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            let share = if parts == 1 { left } else { ADDRESS_WAIT.min(left / parts) };
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => {
                    tcp.set_nodelay(true)?;
                    return Ok(tcp);
                }
                Ok(Err(e)) => failure = e,
                Err(elapsed) => failure = elapsed.into(),
            }
        }
        Err(failure)
    }

    fn unreached(&self, error: &io::Error) -> DeliveryError {
        let detail = format!("{self}: {error}");
        match error.kind() {
            io::ErrorKind::ConnectionRefused => DeliveryError::retry("refused", detail).overload(),
            io::ErrorKind::TimedOut => DeliveryError::retry("timeout", detail).overload(),
            io::ErrorKind::ConnectionReset => DeliveryError::retry("reset", detail).overload(),
            _ if error.get_ref().is_some_and(|inner| inner.is::<Unresolved>()) => {
                DeliveryError::retry("dns", detail)
            }
            _ => DeliveryError::retry("connect", detail),
        }
    }
}

impl fmt::Display for Target {
    /// Name, host and port; never the path, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}:{})", self.name, self.host, self.port)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Marks an error of name resolution.
#[derive(Debug)]
struct Unresolved(io::Error);

impl Unresolved {
    fn wrap(error: io::Error) -> io::Error {
        io::Error::other(Self(error))
    }
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the host's name was not resolved: {}", self.0)
    }
}

impl std::error::Error for Unresolved {}

fn connector(config: &HttpConfig) -> Result<TlsConnector> {
    use hyper_rustls::ConfigBuilderExt;
    if let Some(tls) = &config.tls {
        return Ok(Arc::clone(tls).into());
    }
    let wrong = |e: Box<dyn std::error::Error + Send + Sync>| {
        Error::new("configure", ErrorKind::Configuration, "the system's certificates cannot be used")
            .at(format!("endpoints.{}.url", config.name))
            .caused_by(e)
            .advise("install the system's package of CA certificates")
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(e.into()))?
        .with_native_roots()
        .map_err(|e| wrong(e.into()))?
        .with_no_client_auth();
    Ok(Arc::new(tls).into())
}
