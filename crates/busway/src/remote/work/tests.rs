//! Messages that are handed out over a socket: what is in hand when a connection ends comes again.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use busway_core::transport::{Declare, Selector, Want};
use busway_core::{ErrorKind, Message, Name, Outcome, Publication, Queue, Receiver, Result, Transport};
use busway_embedded::socket::{Client, SocketServer, Verbs, serve};
use busway_embedded::{EmbeddedConfig, EmbeddedTransport};
use serde_json::value::RawValue;

use super::{Member, Reader, Sessions, read};

struct Served(Arc<Sessions>);

struct Connected(Member);

#[async_trait]
impl Verbs for Served {
    async fn call(&self, _: &str, params: Box<RawValue>) -> Result<Box<RawValue>> {
        Ok(params)
    }

    fn connected(&self) -> Option<Arc<dyn Verbs>> {
        Some(Arc::new(Connected(Member::new(Arc::clone(&self.0), uuid::Uuid::now_v7().to_string()))))
    }
}

#[async_trait]
impl Verbs for Connected {
    async fn call(&self, _: &str, params: Box<RawValue>) -> Result<Box<RawValue>> {
        self.0.answer(read(&params)?).await
    }
}

struct Bed {
    store: Arc<EmbeddedTransport>,
    sessions: Arc<Sessions>,
    _server: SocketServer,
    directory: tempfile::TempDir,
}

fn queue() -> Queue {
    Queue::To(Name::new("work").unwrap())
}

async fn bed(messages: usize) -> Bed {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedTransport::open(EmbeddedConfig::new("local", "shop", directory.path())).unwrap();
    store.declare(&[queue(), Queue::Dead], Declare::Create).await.unwrap();
    let batch = (0..messages)
        .map(|n| Publication::new(queue(), Message::new("x", vec![0xff, 0]).id(n.to_string())))
        .collect();
    for result in store.sender().await.unwrap().publish(batch).await {
        result.unwrap();
    }
    let sessions = Arc::new(Sessions::new(Arc::clone(&store) as Arc<dyn Transport>));
    let _server = serve(directory.path(), Arc::new(Served(Arc::clone(&sessions)))).unwrap();
    Bed { store, sessions, _server, directory }
}

async fn reader(path: &Path) -> Arc<dyn Receiver> {
    let client = Client::connect(path, Duration::from_secs(10)).await.unwrap();
    Reader::open(client, "work", Duration::from_secs(60)).await.unwrap()
}

impl Bed {
    async fn reader(&self) -> Arc<dyn Receiver> {
        reader(self.directory.path()).await
    }

    async fn until_in_flight(&self, count: u64) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let depth = self.store.inspect(&queue(), &Selector::All).await.unwrap();
            if depth.in_flight == Some(count) {
                return;
            }
            assert!(Instant::now() < deadline, "{depth:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn what_is_handed_out_comes_as_it_is_and_is_settled() {
    let bed = bed(3).await;
    let reader = bed.reader().await;
    assert_eq!(bed.sessions.readers("work"), 1);
    assert!(reader.ready(Instant::now() + Duration::from_secs(10)).await.unwrap());
    let batch = reader.receive(Want::new(10, Duration::from_secs(10))).await.unwrap();
    assert_eq!(batch.len(), 3);
    assert_eq!((&*batch[0].message.id, &*batch[0].message.data), ("0", &[0xff, 0][..]));
    let tokens: Vec<u64> = batch.iter().map(|leased| leased.receipt.token()).collect();
    assert!(reader.extend(&tokens, Duration::from_secs(60)).await.into_iter().all(|done| done.is_ok()));
    let reason = busway_core::Reason::error("handler");
    let mut outcomes = [Outcome::Ack, Outcome::Dead { reason, attempts: 3 }, Outcome::Release].into_iter();
    let settled = batch.into_iter().map(|leased| (leased.receipt, outcomes.next().unwrap())).collect();
    assert!(reader.settle(settled).await.into_iter().all(|done| done.is_ok()));
    let dead = bed.store.peek(&Queue::Dead, &Selector::All, 0, 9).await.unwrap();
    assert_eq!((&*dead[0].message.id, dead[0].message.attempt), ("1", 3));
    let again = reader.receive(Want::new(10, Duration::from_secs(10))).await.unwrap();
    assert_eq!(&*again[0].message.id, "2");
}

#[tokio::test]
async fn what_a_connection_had_in_hand_comes_again_when_it_ends() {
    let bed = bed(5).await;
    let first = bed.reader().await;
    let batch = first.receive(Want::new(5, Duration::from_secs(10))).await.unwrap();
    let receipts: Vec<_> = batch.into_iter().map(|leased| leased.receipt).collect();
    bed.until_in_flight(5).await;
    // As a kill does: nothing is dropped in order.
    let token = receipts[0].token();
    std::mem::forget(receipts);
    drop(first);
    bed.until_in_flight(0).await;
    assert_eq!(bed.sessions.readers("work"), 0);
    let second = bed.reader().await;
    let mut seen = 0;
    while seen < 5 {
        let batch = second.receive(Want::new(5, Duration::from_secs(10))).await.unwrap();
        assert!(!batch.is_empty());
        seen += batch.len();
        let acked = batch.into_iter().map(|leased| (leased.receipt, Outcome::Ack)).collect();
        assert!(second.settle(acked).await.into_iter().all(|done| done.is_ok()));
    }
    let late = second.extend(&[token], Duration::from_secs(60)).await;
    assert_eq!(late[0].as_ref().unwrap_err().kind(), ErrorKind::LeaseLost);
}

#[tokio::test]
async fn a_receive_that_is_given_up_keeps_nothing() {
    let bed = bed(1).await;
    let reader = bed.reader().await;
    for _ in 0..50 {
        let receive = reader.receive(Want::new(1, Duration::from_secs(10)));
        drop(tokio::time::timeout(Duration::from_micros(300), receive).await);
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let batch = reader.receive(Want::new(1, Duration::from_secs(1))).await.unwrap();
        if let Some(leased) = batch.into_iter().next() {
            assert!(reader.settle(vec![(leased.receipt, Outcome::Ack)]).await.remove(0).is_ok());
            return;
        }
        assert!(Instant::now() < deadline, "the message did not come again");
    }
}

#[tokio::test]
async fn a_reader_whose_holder_is_gone_says_so() {
    let Bed { store, sessions, _server, directory } = bed(1).await;
    let reader = reader(directory.path()).await;
    let leased = reader.receive(Want::new(1, Duration::from_secs(10))).await.unwrap().remove(0);
    drop(_server);
    store.close().await.unwrap();
    drop(sessions);
    assert!(reader.settle(vec![(leased.receipt, Outcome::Ack)]).await.remove(0).is_err());
    let deadline = Instant::now() + Duration::from_secs(30);
    while reader.receive(Want::new(1, Duration::from_millis(10))).await.is_ok() {
        assert!(Instant::now() < deadline, "the end of the holder is not noticed");
    }
}
