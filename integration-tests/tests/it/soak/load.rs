//! Publishers that send by every form of HTTP, and repeat with the same ids what was not told to be stored.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use busway_conformance::{Ledger, OrderChecker};
use fastrand::Rng;

use crate::harness::{Client, Reply, Request};

const LARGEST_BATCH: usize = 12;
const KEYS: u64 = 8;
const PAUSE: Duration = Duration::from_millis(10);
/// Between two batches of a publisher, at most: about a hundred messages a second of each.
const REST_MS: u64 = 120;

/// What the publishers, the peers and the test share.
#[derive(Default)]
pub(super) struct Board {
    /// An item is `id@endpoint`.
    pub(super) ledger: Ledger,
    pub(super) order: OrderChecker,
    address: Mutex<Option<SocketAddr>>,
    stopped: AtomicBool,
}

impl Board {
    /// The daemon is at this address from now on.
    pub(super) fn open(&self, address: SocketAddr) {
        *self.address.lock().unwrap() = Some(address);
    }

    /// Has the publishers end once what they sent is stored.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// A message came to an endpoint.
    pub(super) fn delivered(&self, endpoint: &str, id: &str) {
        self.ledger.delivered(&format!("{id}@{endpoint}"));
    }

    fn address(&self) -> SocketAddr {
        self.address.lock().unwrap().expect("opened before")
    }
}

/// A message that is published until it is told to be stored.
struct Event {
    id: String,
    kind: Kind,
    key: u64,
    number: u64,
    account: &'static str,
}

/// Which endpoint a message goes to besides the file.
#[derive(Clone, Copy)]
enum Kind {
    Flapping,
    Ordered,
    Forgotten,
}

impl Kind {
    fn r#type(self) -> &'static str {
        match self {
            Self::Flapping => "item.changed",
            Self::Ordered => "order.changed",
            Self::Forgotten => "note.made",
        }
    }

    fn endpoint(self) -> &'static str {
        match self {
            Self::Flapping => "flapping",
            Self::Ordered => "ordered",
            Self::Forgotten => "forgotten",
        }
    }
}

/// One that publishes until it is told to stop.
pub(super) struct Publisher {
    board: Arc<Board>,
    name: u64,
    random: Rng,
    next: u64,
    client: Client,
    at: SocketAddr,
}

impl Publisher {
    pub(super) fn new(board: Arc<Board>, name: u64, random: Rng) -> Self {
        let at = board.address();
        Self { board, name, random, next: 0, client: Client::new(at), at }
    }

    /// Publishes batch after batch; what follows on a key is sent once what was before it is stored.
    pub(super) fn publish(mut self) {
        while !self.board.stopped.load(Ordering::SeqCst) {
            let mut batch = self.batch();
            for item in batch.iter().flat_map(items) {
                self.board.ledger.attempted(&item);
            }
            while !batch.is_empty() {
                batch = self.send(batch);
            }
            thread::sleep(Duration::from_millis(self.random.u64(0..REST_MS)));
        }
    }

    /// No two messages of one key: they would be published at once, and have no order.
    fn batch(&mut self) -> Vec<Event> {
        let size = self.random.usize(1..=LARGEST_BATCH);
        let first = self.random.u64(..) % KEYS;
        (0..size as u64)
            .map(|n| {
                self.next += 1;
                let kind = match self.random.u8(0..4) {
                    0 if n < KEYS => Kind::Ordered,
                    1 => Kind::Forgotten,
                    _ => Kind::Flapping,
                };
                // One account floods.
                let account =
                    if self.random.u8(0..10) < 7 { "loud" } else { self.random.choice(QUIET).unwrap() };
                let id = format!("p{}-{}", self.name, self.next);
                Event { id, kind, key: (first + n) % KEYS, number: self.next, account }
            })
            .collect()
    }

    /// Sends a batch; gives what is to be sent again.
    fn send(&mut self, batch: Vec<Event>) -> Vec<Event> {
        let now_at = self.board.address();
        if self.at != now_at {
            (self.at, self.client) = (now_at, Client::new(now_at));
        }
        let request = self.request(&batch);
        let stored: Vec<String> = match self.client.send(&request) {
            Ok(reply) => stored(&reply),
            Err(_) => Vec::new(),
        };
        let (done, again): (Vec<_>, Vec<_>) = batch.into_iter().partition(|event| stored.contains(&event.id));
        for item in done.iter().flat_map(items) {
            self.board.ledger.acknowledged(&item);
        }
        for item in again.iter().flat_map(items) {
            self.board.ledger.unknown(&item);
        }
        if !again.is_empty() {
            thread::sleep(PAUSE);
        }
        again
    }

    fn request(&mut self, batch: &[Event]) -> Request {
        let (name, form) = (self.name, self.random.u8(0..3));
        let key = |event: &Event| format!("p{name}-{}", event.key);
        let line = |event: &Event| {
            format!(
                r#"{{"specversion":"1.0","id":"{}","source":"test","type":"{}","account":"{}","partitionkey":"{}","data":{}}}"#,
                event.id,
                event.kind.r#type(),
                event.account,
                key(event),
                event.number
            )
        };
        let lines: Vec<String> = batch.iter().map(line).collect();
        match (batch, form) {
            ([event], 0) => Request::post("application/json", event.number.to_string())
                .header("ce-specversion", "1.0")
                .header("ce-id", &event.id)
                .header("ce-source", "test")
                .header("ce-type", event.kind.r#type())
                .header("ce-account", event.account)
                .header("ce-partitionkey", &key(event)),
            ([_], 1) => Request::post("application/cloudevents+json", lines.concat()),
            (_, 2) => Request::post("application/cloudevents-batch+json", format!("[{}]", lines.join(","))),
            _ => Request::lines(lines.join("\n")),
        }
    }
}

const QUIET: &[&str] = &["north", "south", "east", "west"];

/// What must arrive of a message.
fn items(event: &Event) -> [String; 2] {
    [format!("{}@audit", event.id), format!("{}@{}", event.id, event.kind.endpoint())]
}

/// The ids that are told to be stored.
fn stored(reply: &Reply) -> Vec<String> {
    assert!(matches!(reply.status, 202 | 429 | 503), "{reply:?}");
    let results = reply.results();
    let told = results.iter().filter(|result| result["outcome"] == "stored");
    told.map(|result| result["id"].as_str().unwrap().to_owned()).collect()
}
