//! HTTP over TLS.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use busway_core::Endpoint;
use busway_endpoints::{HttpConfig, HttpEndpoint, Mode};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::server::Server;
use crate::support::{eventually, send};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// How a connection ends after an answer.
#[derive(Clone, Copy)]
enum End {
    Never,
    Properly,
    Abruptly,
}

struct Peer {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    bodies: Arc<Mutex<Vec<usize>>>,
}

impl Peer {
    /// Serves each connection, once it is secured, by the function.
    async fn serving<F>(
        serve: impl Fn(TlsStream<TcpStream>, Arc<Mutex<Vec<usize>>>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let key = PrivatePkcs8KeyDer::from(&include_bytes!("certificates/peer.key.der")[..]);
        let certificate = CertificateDer::from(&include_bytes!("certificates/peer.der")[..]);
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key.into())
            .unwrap();
        let (acceptor, serve) = (TlsAcceptor::from(Arc::new(config)), Arc::new(serve));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peer = Self { address, connections: Arc::default(), bodies: Arc::default() };
        let (connections, bodies) = (Arc::clone(&peer.connections), Arc::clone(&peer.bodies));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (acceptor, bodies, serve) = (acceptor.clone(), Arc::clone(&bodies), Arc::clone(&serve));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(tcp).await {
                        serve(stream, bodies).await;
                    }
                });
            }
        });
        peer
    }

    /// Answers after a while each request on each connection.
    async fn start(delay: Duration, end: End) -> Self {
        Self::serving(move |mut stream, bodies| async move {
            while let Some(length) = request(&mut stream).await {
                bodies.lock().unwrap().push(length);
                tokio::time::sleep(delay).await;
                if stream.write_all(OK.as_bytes()).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
                match end {
                    End::Never => {}
                    End::Properly => return stream.shutdown().await.unwrap_or_default(),
                    End::Abruptly => return,
                }
            }
        })
        .await
    }

    /// Reads nothing and stays.
    async fn deaf() -> Self {
        Self::serving(|stream, _| async move {
            std::future::pending::<()>().await;
            drop(stream);
        })
        .await
    }

    fn config(&self) -> HttpConfig {
        HttpConfig {
            tls: Some(Arc::new(trusting())),
            ..HttpConfig::new("peer", format!("https://localhost:{}/in", self.address.port()))
        }
    }

    fn bodies(&self) -> Vec<usize> {
        self.bodies.lock().unwrap().clone()
    }
}

/// Reads a request; the length of its body.
async fn request(stream: &mut TlsStream<TcpStream>) -> Option<usize> {
    let mut text = Vec::new();
    loop {
        if let Some(at) = text.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8(text[..at].to_vec()).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |n| n.parse::<usize>().unwrap());
            while text.len() < at + 4 + length {
                if stream.read_buf(&mut text).await.ok()? == 0 {
                    return None;
                }
            }
            return Some(length);
        }
        if stream.read_buf(&mut text).await.ok()? == 0 {
            return None;
        }
    }
}

fn trusting() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(&include_bytes!("certificates/authority.der")[..])).unwrap();
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[tokio::test]
async fn deliveries_wait_for_an_answer_and_use_connections_again() {
    let peer = Peer::start(Duration::ZERO, End::Never).await;
    let endpoint = HttpEndpoint::new(peer.config()).unwrap();
    let sizes = [0, 10, 100_000, 3_000_000];
    for size in sizes {
        send(&endpoint, vec![b'x'; size]).await.unwrap();
    }
    assert_eq!((peer.bodies(), peer.connections.load(Ordering::SeqCst)), (sizes.to_vec(), 1));
    assert!(endpoint.test().await.unwrap().contains("localhost"));
}

#[tokio::test]
async fn deliveries_end_when_every_byte_was_received() {
    let peer = Peer::start(Duration::from_secs(30), End::Never).await;
    let config = HttpConfig { mode: Mode::Forget, ..peer.config() };
    let endpoint = HttpEndpoint::new(config).unwrap();
    let start = std::time::Instant::now();
    let sizes = [0, 10, 100_000, 3_000_000];
    for size in sizes {
        send(&endpoint, vec![b'x'; size]).await.unwrap();
        eventually("it came", || peer.bodies().last() == Some(&size)).await;
    }
    assert!(start.elapsed() < Duration::from_secs(60), "answers were waited for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_connection_is_no_failed_delivery() {
    for (mode, end) in [
        (Mode::Wait, End::Properly),
        (Mode::Wait, End::Abruptly),
        (Mode::Forget, End::Properly),
        (Mode::Forget, End::Abruptly),
    ] {
        let peer = Peer::start(Duration::ZERO, end).await;
        let endpoint = HttpEndpoint::new(HttpConfig { mode, ..peer.config() }).unwrap();
        for size in 0..50 {
            send(&endpoint, vec![b'x'; size]).await.unwrap();
        }
        let came = || {
            let mut bodies = peer.bodies();
            bodies.sort_unstable();
            bodies.dedup();
            bodies.len() == 50
        };
        eventually("all came", came).await;
    }
}

#[tokio::test]
async fn a_peer_that_stops_reading_is_a_timeout() {
    let peer = Peer::deaf().await;
    for mode in [Mode::Wait, Mode::Forget] {
        let timeout = Duration::from_secs(3);
        let endpoint = HttpEndpoint::new(HttpConfig { mode, timeout, ..peer.config() }).unwrap();
        // What the connection holds unread is received, and answered by nobody.
        let small = send(&endpoint, "{}").await;
        assert_eq!(small.is_ok(), mode == Mode::Forget, "{small:?}");
        let error = send(&endpoint, vec![b'x'; 40_000_000]).await.unwrap_err();
        assert_eq!((&*error.class, error.overloaded), ("timeout", true), "{error}");
    }
}

#[tokio::test]
async fn a_peer_nobody_vouches_for_gets_nothing() {
    for mode in [Mode::Wait, Mode::Forget] {
        let peer = Peer::start(Duration::ZERO, End::Never).await;
        let unknown = HttpEndpoint::new(HttpConfig { mode, tls: None, ..peer.config() }).unwrap();
        let misnamed =
            HttpConfig { mode, url: format!("https://[::1]:{}/", peer.address.port()), ..peer.config() };
        let misnamed = HttpEndpoint::new(misnamed).unwrap();
        assert_eq!(&*send(&unknown, "{}").await.unwrap_err().class, "tls");
        assert_eq!(&*unknown.test().await.unwrap_err().class, "tls");
        // Nobody listens on ::1; what counts is that a name is no reason to panic.
        assert!(send(&misnamed, "{}").await.is_err());
        assert!(peer.bodies().is_empty());
    }
}

#[tokio::test]
async fn a_peer_without_tls_is_a_failure() {
    let server = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let url = format!("https://{}/", server.address);
    let config = HttpConfig {
        tls: Some(Arc::new(trusting())),
        timeout: Duration::from_secs(3),
        ..HttpConfig::new("peer", url)
    };
    let error = send(&HttpEndpoint::new(config).unwrap(), "{}").await.unwrap_err();
    assert!(matches!(&*error.class, "tls" | "timeout"), "{error}");
}
