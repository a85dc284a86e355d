//! Clients that send a byte now and then.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Course, LIMIT};
use crate::harness::until;

/// How often each sends a byte: often enough that no single wait is long.
const EVERY: Duration = Duration::from_millis(100);
/// How long a good message may take meanwhile, on a machine that does much else.
const UNHARMED: Duration = Duration::from_secs(5);
const MEMORY: u64 = 64 << 20;

/// What a connection begins with before it drips.
const BEGINNINGS: [&str; 3] = [
    "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-drip: ",
    "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nce-type: item.slow\r\ncontent-type: text/plain\r\n\
     content-length: 100000\r\n\r\n",
    "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
     content-length: 100000\r\n\r\n",
];

/// Connections that drip until they are dropped, and how many of them the other side has ended.
struct Drip {
    stop: Arc<AtomicBool>,
    ended: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Drip {
    fn begin(address: SocketAddr, count: usize) -> Self {
        let (stop, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut streams: Vec<TcpStream> = (0..count)
            .map(|number| {
                let mut stream = TcpStream::connect_timeout(&address, LIMIT).unwrap();
                stream.write_all(BEGINNINGS[number % BEGINNINGS.len()].as_bytes()).unwrap();
                stream.set_nonblocking(true).unwrap();
                stream
            })
            .collect();
        let (told, counted) = (Arc::clone(&stop), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            while !told.load(Ordering::SeqCst) {
                streams.retain_mut(|stream| !is_ended(stream));
                counted.store(count - streams.len(), Ordering::SeqCst);
                thread::sleep(EVERY);
            }
        });
        Self { stop, ended, thread: Some(thread) }
    }

    fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }
}

impl Drop for Drip {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().ok();
    }
}

/// Sends a byte; whether the other side has closed, after an answer or without one.
fn is_ended(stream: &mut TcpStream) -> bool {
    let waits =
        |error: &std::io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted);
    if stream.write(b"x").is_err_and(|error| !waits(&error)) {
        return true;
    }
    let mut answer = [0; 4_096];
    loop {
        match stream.read(&mut answer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return !waits(&error),
        }
    }
}

#[test]
fn slow_clients_are_cut_at_the_deadline_and_cost_the_others_nothing() {
    const SLOW: usize = 300;
    let mut course = Course::with("", &["--set", "http.deadline=5s"]);
    let before = course.daemon.usage();
    let drip = Drip::begin(course.daemon.address(), SLOW);
    let mut longest = Duration::ZERO;
    while drip.ended() < SLOW / 2 {
        let begun = Instant::now();
        course.good();
        longest = longest.max(begun.elapsed());
        thread::sleep(EVERY);
    }
    let most = course.daemon.usage();
    until(LIMIT, "all are cut", || drip.ended() == SLOW);
    let grown = most.resident.saturating_sub(before.resident);
    println!("{SLOW} slow clients: {grown} bytes more; the slowest good message took {longest:?}");
    assert!(longest < UNHARMED, "a good message took {longest:?}");
    assert!(grown < MEMORY, "{grown} bytes more were held");
    until(LIMIT, "their files are closed", || course.daemon.usage().files <= before.files + 8);
    course.end(&[]);
}

/// More of them than there may be connections: the rest wait outside, and go through as the slow ones are cut.
#[test]
fn there_are_no_more_connections_than_may_be() {
    const MAY_BE: u64 = 40;
    let arguments = ["--set", "http.deadline=2s", "--set", &format!("http.max_connections={MAY_BE}")];
    let mut course = Course::with("", &arguments);
    let before = course.daemon.usage().files;
    let drip = Drip::begin(course.daemon.address(), 200);
    let (mut most, mut sent) = (0, 0);
    while drip.ended() < 150 {
        most = most.max(course.daemon.usage().files);
        if drip.ended() > 50 * (sent + 1) {
            course.good();
            sent += 1;
        }
        thread::sleep(EVERY / 4);
    }
    println!("{before} files open before, {most} at the most");
    // Each has its socket and the handle it is watched by; those just accepted may be one a thread over.
    assert!(most <= before + 2 * (MAY_BE + 8), "{most} files were open, {before} before");
    drop(drip);
    course.end(&[]);
}
