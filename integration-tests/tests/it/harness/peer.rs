//! A scriptable HTTP server for endpoints to deliver to.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::client::read_head;

/// How long a connection may lie idle.
const IDLE: Duration = Duration::from_secs(120);

/// What a narrow connection holds unread, in bytes.
const NARROW: usize = 16 * 1024;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// When its head had come.
    pub(crate) at: Instant,
    /// Which connection it came by, counted from 1.
    pub(crate) connection: usize,
}

impl Arrived {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The message's id.
    pub(crate) fn id(&self) -> String {
        self.header("ce-id").unwrap_or_default().to_owned()
    }
}

/// One connection while a script has it.
pub(crate) struct Conversation {
    stream: BufReader<TcpStream>,
    connection: usize,
}

impl Conversation {
    /// Reads a whole request; `None` where the client closed the connection before it.
    pub(crate) fn read(&mut self) -> Option<Arrived> {
        let (_, headers) = read_head(&mut self.stream).ok()?;
        let mut arrived =
            Arrived { headers, body: Vec::new(), at: Instant::now(), connection: self.connection };
        let length = arrived.header("content-length").map_or(0, |length| length.parse().unwrap());
        arrived.body = vec![0; length];
        self.stream.read_exact(&mut arrived.body).ok()?;
        Some(arrived)
    }

    /// Reads the head alone.
    pub(crate) fn read_head(&mut self) -> Option<Arrived> {
        let (_, headers) = read_head(&mut self.stream).ok()?;
        Some(Arrived { headers, body: Vec::new(), at: Instant::now(), connection: self.connection })
    }

    /// Writes bytes as they are.
    pub(crate) fn write(&mut self, bytes: &str) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_bytes())
    }

    /// Answers with a status and nothing else.
    pub(crate) fn answer(&mut self, status: u16) -> io::Result<()> {
        self.write(&format!("HTTP/1.1 {status} Status\r\ncontent-length: 0\r\n\r\n"))
    }

    /// Which connection it is, counted from 1.
    pub(crate) fn number(&self) -> usize {
        self.connection
    }

    /// Reads nothing more and leaves the connection open until the server ends.
    pub(crate) fn stand(&self, limit: Duration) {
        thread::sleep(limit);
    }

    /// Whether the client has closed or reset the connection, without waiting for more than `limit`.
    pub(crate) fn ended_within(&mut self, limit: Duration) -> bool {
        self.stream.get_ref().set_read_timeout(Some(limit)).unwrap();
        let mut byte = [0];
        let read = loop {
            match self.stream.read(&mut byte) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.stream.get_ref().set_read_timeout(Some(IDLE)).unwrap();
        match read {
            Ok(count) => count == 0,
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        }
    }
}

/// The server; its connections are cut when it is dropped.
pub(crate) struct Peer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    arrived: Mutex<Vec<Arrived>>,
    streams: Mutex<Vec<TcpStream>>,
    connections: AtomicUsize,
    closed: AtomicBool,
}

impl Peer {
    /// One that answers each request by what `answer` makes of it: a status, or nothing and the connection
    /// is closed.
    pub(crate) fn answering(answer: impl Fn(&Arrived) -> Option<u16> + Send + Sync + 'static) -> Self {
        Self::scripted(move |conversation, record| {
            while let Some(arrived) = conversation.read() {
                record(arrived.clone());
                let Some(status) = answer(&arrived) else { return };
                if conversation.answer(status).is_err() {
                    return;
                }
            }
        })
    }

    /// One that does with each connection, in a thread of its own, what the script says. What the script
    /// records is found in [`Peer::arrived`].
    pub(crate) fn scripted(
        script: impl Fn(&mut Conversation, &dyn Fn(Arrived)) + Send + Sync + 'static,
    ) -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    /// The same on connections that take little before they are read.
    pub(crate) fn narrow(
        script: impl Fn(&mut Conversation, &dyn Fn(Arrived)) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // Connections have it from the socket that accepts them.
        rustix::net::sockopt::set_socket_recv_buffer_size(&listener, NARROW).unwrap();
        Self::serve(listener, script)
    }

    fn serve(
        listener: TcpListener,
        script: impl Fn(&mut Conversation, &dyn Fn(Arrived)) + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            arrived: Mutex::default(),
            streams: Mutex::default(),
            connections: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        });
        let (script, serving) = (Arc::new(script), Arc::clone(&shared));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.closed.load(Ordering::SeqCst) {
                    return;
                }
                let connection = serving.connections.fetch_add(1, Ordering::SeqCst) + 1;
                stream.set_nodelay(true).ok();
                stream.set_read_timeout(Some(IDLE)).unwrap();
                lock(&serving.streams).push(stream.try_clone().unwrap());
                let (script, serving) = (Arc::clone(&script), Arc::clone(&serving));
                thread::spawn(move || {
                    let mut conversation = Conversation { stream: BufReader::new(stream), connection };
                    script(&mut conversation, &|arrived| lock(&serving.arrived).push(arrived));
                    conversation.stream.get_ref().shutdown(Shutdown::Both).ok();
                });
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/in", self.address)
    }

    /// What has come so far.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        lock(&self.shared.arrived).clone()
    }

    /// How many requests have come so far.
    pub(crate) fn count(&self) -> usize {
        lock(&self.shared.arrived).len()
    }

    /// How many connections were made so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        TcpStream::connect(self.address).ok();
        for stream in lock(&self.shared.streams).iter() {
            stream.shutdown(Shutdown::Both).ok();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
