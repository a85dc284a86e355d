//! A client that publishes by every form, and repeats with the same ids what was not told to be stored.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use busway_conformance::Ledger;
use fastrand::Rng;
use serde_json::Value;

use crate::harness::{Client, Reply, Request};

const LARGEST_BATCH: usize = 60;
const PAUSE: Duration = Duration::from_millis(10);

/// What the publishers and the test share.
#[derive(Default)]
pub(super) struct Board {
    pub(super) ledger: Ledger,
    address: Mutex<Option<SocketAddr>>,
    stored: AtomicU64,
    failed: AtomicBool,
    /// How often each message was sent, where that was more than once.
    sent_again: Mutex<HashMap<String, u64>>,
}

impl Board {
    /// The daemon is at this address from now on.
    pub(super) fn open(&self, address: SocketAddr) {
        *self.address.lock().unwrap() = Some(address);
    }

    /// How many messages were told to be stored.
    pub(super) fn stored(&self) -> u64 {
        self.stored.load(Ordering::SeqCst)
    }

    /// Whether a publisher has panicked.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// How often a message was sent.
    pub(super) fn sent(&self, id: &str) -> u64 {
        let again = self.sent_again.lock().unwrap_or_else(PoisonError::into_inner);
        1 + again.get(id).copied().unwrap_or(0)
    }

    /// Where the daemon is.
    pub(super) fn address(&self) -> SocketAddr {
        self.address.lock().unwrap().expect("opened before")
    }
}

/// Publishes its messages, one batch after the other.
pub(super) struct Publisher {
    board: Arc<Board>,
    random: Rng,
    client: Client,
    at: SocketAddr,
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if thread::panicking() {
            self.board.failed.store(true, Ordering::SeqCst);
        }
    }
}

impl Publisher {
    pub(super) fn new(board: Arc<Board>, random: Rng) -> Self {
        let at = board.address();
        Self { board, random, client: Client::new(at), at }
    }

    /// Publishes messages with these numbers until all of them are told to be stored.
    pub(super) fn publish(mut self, numbers: Range<u64>) {
        let mut rest: Vec<String> = numbers.rev().map(|number| format!("m{number}")).collect();
        while !rest.is_empty() {
            let size = self.random.usize(1..=LARGEST_BATCH).min(rest.len());
            let mut batch = rest.split_off(rest.len() - size);
            batch.iter().for_each(|id| self.board.ledger.attempted(id));
            loop {
                batch = self.send(batch);
                if batch.is_empty() {
                    break;
                }
                let mut again = self.board.sent_again.lock().unwrap();
                batch.iter().for_each(|id| *again.entry(id.clone()).or_default() += 1);
            }
        }
    }

    /// Sends a batch; gives what is to be sent again.
    fn send(&mut self, batch: Vec<String>) -> Vec<String> {
        let now_at = self.board.address();
        if self.at != now_at {
            (self.at, self.client) = (now_at, Client::new(now_at));
        }
        let request = request(&batch, &mut self.random);
        match self.client.send(&request) {
            Ok(reply) => self.take_results(batch, &reply),
            Err(_) => {
                batch.iter().for_each(|id| self.board.ledger.unknown(id));
                thread::sleep(PAUSE);
                batch
            }
        }
    }

    /// Takes only what says of itself that it is stored.
    fn take_results(&self, batch: Vec<String>, reply: &Reply) -> Vec<String> {
        assert!(matches!(reply.status, 202 | 429 | 503), "{reply:?}");
        let results = reply.results();
        let outcome = |id: &str| results.iter().find(|result| result["id"] == id).map(|r| &r["outcome"]);
        let mut again = Vec::new();
        for id in batch {
            match outcome(&id).and_then(Value::as_str) {
                Some("stored") => {
                    self.board.ledger.acknowledged(&id);
                    self.board.stored.fetch_add(1, Ordering::SeqCst);
                }
                told => {
                    assert_ne!(reply.status, 202, "{id} is {told:?} in {reply:?}");
                    self.board.ledger.unknown(&id);
                    again.push(id);
                }
            }
        }
        if !again.is_empty() {
            thread::sleep(PAUSE);
        }
        again
    }
}

/// The batch in one of the forms that can carry it.
fn request(batch: &[String], random: &mut Rng) -> Request {
    let account = random.u8(0..8);
    let event = |id: &String| {
        format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"test","type":"item.changed","account":"a{account}","data":{{"of":"{id}"}}}}"#
        )
    };
    let events: Vec<String> = batch.iter().map(event).collect();
    match (batch, random.u8(0..3)) {
        ([id], 0) => Request::post("application/json", format!(r#"{{"of":"{id}"}}"#))
            .header("ce-specversion", "1.0")
            .header("ce-id", id)
            .header("ce-source", "test")
            .header("ce-type", "item.changed"),
        ([_], 1) => Request::post("application/cloudevents+json", events.concat()),
        (_, 2) => Request::post("application/cloudevents-batch+json", format!("[{}]", events.join(","))),
        _ => Request::lines(events.join("\n")),
    }
}
