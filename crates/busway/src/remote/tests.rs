//! Every verb through the wire and back, against a bus that records what it was asked.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use busway_core::admin::*;
use busway_core::transport::Filter;
use busway_core::{Admin, Error, ErrorClass, ErrorKind, Message, Result, envelope};
use serde_json::Value;

use super::{AdminVerbs, Asker, RemoteAdmin};

/// A bus that records calls and answers what it is told.
#[derive(Default)]
struct Fake {
    asked: Mutex<Vec<String>>,
    published: Mutex<Vec<Message>>,
    stuck: bool,
}

impl Fake {
    fn note(&self, what: impl Into<String>) {
        self.asked.lock().unwrap().push(what.into());
    }
}

fn refusal() -> Error {
    Error::new("peek", ErrorKind::NotFound, "there is no queue of this name").at("local/nowhere")
}

#[async_trait]
impl Admin for Fake {
    async fn publish(&self, batch: Vec<Message>, _: Duration) -> Vec<PublishResult> {
        let stored = |message: &Message| PublishResult {
            id: message.id.clone(),
            outcome: PublishOutcome::Stored,
            error: None,
            class: None,
        };
        let results = batch.iter().map(stored).collect();
        self.published.lock().unwrap().extend(batch);
        results
    }
    async fn queues(&self) -> Result<QueuesReport> {
        self.note("queues");
        let queue = QueueRow { queue: "priority".into(), ready: Some(7), ..QueueRow::default() };
        Ok(QueuesReport { queues: vec![queue], ..QueuesReport::default() })
    }
    async fn peek(&self, queue: &str, max: usize, why: bool) -> Result<Vec<PeekRow>> {
        self.note(format!("peek {queue} {max} {why}"));
        let waits = Waits { why: "paused".into(), ..Waits::default() };
        match queue {
            "nowhere" => Err(refusal()),
            _ => Ok(vec![PeekRow { waits: why.then_some(waits), ..PeekRow::default() }]),
        }
    }
    async fn trace(&self, id: &str) -> Result<Option<Trace>> {
        let event = TraceEvent { event: "accepted".into(), ..TraceEvent::default() };
        let place = Place { queue: "delayed".into(), row: PeekRow { id: id.into(), ..PeekRow::default() } };
        let trace = Trace { id: id.into(), events: vec![event], r#where: vec![place], ..Trace::default() };
        Ok((id != "none").then_some(trace))
    }
    async fn dead_list(&self, filter: Filter, max: usize) -> Result<Vec<DeadRow>> {
        self.note(format!("dead_list {filter:?} {max}"));
        Ok(vec![DeadRow { id: "1".into(), attempts: 3, ..DeadRow::default() }])
    }
    async fn dead_show(&self, id: &str) -> Result<Option<DeadLetter>> {
        if id == "none" {
            return Ok(None);
        }
        let message = Message::new("a.b", r#"{"z":1.0,"a":[1, 2]}"#).id(id);
        let text = String::from_utf8(envelope::json::encode(&message)).unwrap();
        let message = serde_json::value::RawValue::from_string(text).unwrap();
        let row = DeadRow { id: id.into(), ..DeadRow::default() };
        let history = vec![TraceEvent { event: "failed".into(), ..TraceEvent::default() }];
        Ok(Some(DeadLetter { row, history, missing: 1, message }))
    }
    async fn dead_replay(&self, request: DeadRequest) -> Result<DeadReport> {
        self.note(format!("dead_replay {request:?}"));
        if self.stuck {
            std::future::pending::<()>().await;
        }
        Ok(DeadReport { done: 5, next: request.from })
    }
    async fn dead_delete(&self, request: DeadRequest) -> Result<DeadReport> {
        self.note(format!("dead_delete {request:?}"));
        Ok(DeadReport { done: 6, next: None })
    }
    async fn endpoints(&self) -> Result<Vec<EndpointRow>> {
        Ok(vec![EndpointRow { endpoint: "a".into(), ..EndpointRow::default() }])
    }
    async fn endpoint_pause(&self, name: &str, pause: bool) -> Result<()> {
        self.note(format!("endpoint_pause {name} {pause}"));
        Ok(())
    }
    async fn endpoint_test(&self, name: &str) -> Result<String> {
        Ok(format!("{name} is there"))
    }
    async fn accounts(&self) -> Result<Vec<AccountRow>> {
        Ok(vec![AccountRow { account: "acme".into(), share: 0.25, ..AccountRow::default() }])
    }
    async fn account_pause(&self, name: &str, pause: bool) -> Result<()> {
        self.note(format!("account_pause {name} {pause}"));
        Ok(())
    }
    async fn account_weight(&self, name: &str, weight: u32) -> Result<()> {
        self.note(format!("account_weight {name} {weight}"));
        Ok(())
    }
    async fn readiness(&self) -> Readiness {
        Readiness { ready: true, reasons: Vec::new() }
    }
    async fn snapshots(&self) -> Value {
        serde_json::json!({ "router": { "mailbox": 3 } })
    }
    async fn run_once(&self, request: OnceRequest) -> Result<OnceReport> {
        Ok(OnceReport { received: request.limit.unwrap_or(0), ..OnceReport::default() })
    }
}

/// The wire without a socket; it can be cut, or go silent for pings.
struct Wire {
    verbs: AdminVerbs,
    cut: Option<ErrorKind>,
    silent: bool,
}

#[async_trait]
impl Asker for Wire {
    async fn ask(&self, call: &[u8], deadline: Duration) -> Result<Vec<u8>> {
        if let Some(kind) = self.cut {
            return Err(Error::new("ask", kind, "the wire is cut"));
        }
        let ping = call.windows(6).any(|part| part == b"\"ping\"");
        let answer = async {
            if self.silent && ping {
                std::future::pending::<()>().await;
            }
            self.verbs.answer(call).await
        };
        let late = |_| Error::new("ask", ErrorKind::Timeout, "process 4711 does not answer");
        tokio::time::timeout(deadline, answer).await.map_err(late)
    }
}

fn remote(fake: &Arc<Fake>) -> RemoteAdmin<Wire> {
    let verbs = AdminVerbs::new(fake.clone());
    RemoteAdmin::new(Wire { verbs, cut: None, silent: false }, Duration::from_secs(10))
}

fn every_kind_of_message() -> Vec<Message> {
    let spaced = Message::new("a.b", "{ \"z\" : 1.0,\n\t\"a\":1e2 }\n").account("acme").priority(7);
    let binary = Message::new("a.c", vec![0, 255, 10, 13]).content_type("application/octet-stream");
    let text = Message::new("a.d", "héllo\r\n").content_type("text/plain").subject("s").deliver_at(4_000);
    let mut own = Message::new("a.e", "").partition_key("k").source("x/y");
    own.extensions.insert("traceparent".into(), busway_core::AttributeValue::String("00-1".into()));
    own.expires_at = Some(9_000);
    let latin = Message::new("a.f", vec![0xe9]).content_type("text/plain; charset=iso-8859-1");
    let broken = Message::new("a.g", "not json");
    vec![spaced, binary, text, own, latin, broken]
}

#[tokio::test]
async fn messages_cross_byte_for_byte() {
    let fake = Arc::new(Fake::default());
    let batch = every_kind_of_message();
    let results = remote(&fake).publish(batch.clone(), Duration::from_secs(5)).await;
    assert!(results.iter().all(|result| result.outcome == PublishOutcome::Stored), "{results:?}");
    let ids: Vec<&String> = results.iter().map(|result| &result.id).collect();
    assert_eq!(ids, batch.iter().map(|message| &message.id).collect::<Vec<_>>());
    assert_eq!(*fake.published.lock().unwrap(), batch);
}

#[tokio::test]
async fn a_large_batch_crosses_in_parts_and_in_order() {
    let fake = Arc::new(Fake::default());
    let batch: Vec<Message> =
        (0..40).map(|n| Message::new("a", vec![b'x'; 300_000]).id(n.to_string())).collect();
    assert!(super::client::parts(batch.clone()).len() > 2);
    let results = remote(&fake).publish(batch.clone(), Duration::from_secs(60)).await;
    assert_eq!(results.len(), 40);
    assert_eq!(*fake.published.lock().unwrap(), batch);
}

#[tokio::test]
async fn every_verb_reaches_the_bus_with_its_parameters() {
    let fake = Arc::new(Fake::default());
    let remote = remote(&fake);
    let text = |text: &str| Some(text.to_owned());
    let filter = Filter {
        id: text("1"),
        r#type: text("a.*"),
        account: text("acme"),
        destination: text("b"),
        reason: text("error"),
        since: Some(3),
        until: Some(4),
    };
    let from = Some(DeadCursor { before: 7, left: 8 });
    let request = DeadRequest { filter: filter.clone(), max: Some(5), rate: Some(0.5), from };
    remote.ping().await.unwrap();
    assert_eq!(remote.queues().await.unwrap().queues[0].ready, Some(7));
    assert_eq!(remote.dead_list(filter.clone(), 9).await.unwrap()[0].attempts, 3);
    assert_eq!(remote.dead_replay(request.clone()).await.unwrap(), DeadReport { done: 5, next: from });
    assert_eq!(remote.dead_delete(request.clone()).await.unwrap().done, 6);
    assert_eq!(remote.peek("delayed", 2, true).await.unwrap()[0].waits.as_ref().unwrap().why, "paused");
    assert_eq!(remote.trace("7").await.unwrap(), fake.trace("7").await.unwrap());
    assert_eq!(remote.trace("none").await.unwrap(), None);
    assert_eq!(remote.endpoints().await.unwrap()[0].endpoint, "a");
    remote.endpoint_pause("a", true).await.unwrap();
    assert_eq!(remote.endpoint_test("a").await.unwrap(), "a is there");
    assert_eq!(remote.accounts().await.unwrap()[0].share, 0.25);
    remote.account_pause("acme", false).await.unwrap();
    remote.account_weight("acme", 12).await.unwrap();
    assert!(remote.readiness().await.ready);
    assert_eq!(remote.snapshots().await["router"]["mailbox"], 3);
    let once = OnceRequest { workers: None, limit: Some(3) };
    assert_eq!(remote.run_once(once).await.unwrap().received, 3);
    let asked = fake.asked.lock().unwrap().clone();
    let expected = [
        "queues".to_owned(),
        format!("dead_list {filter:?} 9"),
        format!("dead_replay {request:?}"),
        format!("dead_delete {request:?}"),
        "peek delayed 2 true".to_owned(),
        "endpoint_pause a true".to_owned(),
        "account_pause acme false".to_owned(),
        "account_weight acme 12".to_owned(),
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn a_dead_letter_keeps_its_very_text() {
    let fake = Arc::new(Fake::default());
    let here = fake.dead_show("1").await.unwrap().unwrap();
    let there = remote(&fake).dead_show("1").await.unwrap().unwrap();
    assert_eq!(there.message.get(), here.message.get());
    assert_eq!((there.history, there.missing), (here.history, 1));
    assert!(there.message.get().contains(r#"{"z":1.0,"a":[1, 2]}"#));
    assert!(remote(&fake).dead_show("none").await.unwrap().is_none());
}

#[tokio::test]
async fn an_error_keeps_its_words_kind_and_class() {
    let fake = Arc::new(Fake::default());
    let error = remote(&fake).peek("nowhere", 1, false).await.unwrap_err();
    assert_eq!((error.kind(), error.class()), (refusal().kind(), refusal().class()));
    assert_eq!(error.to_string(), refusal().to_string());
}

#[tokio::test]
async fn a_cut_wire_leaves_outcomes_unknown_unless_nothing_was_sent() {
    for (kind, outcome) in [
        (ErrorKind::Unavailable, PublishOutcome::Failed),
        (ErrorKind::Timeout, PublishOutcome::Unknown),
        (ErrorKind::Io, PublishOutcome::Unknown),
    ] {
        let verbs = AdminVerbs::new(Arc::new(Fake::default()));
        let wire = Wire { verbs, cut: Some(kind), silent: false };
        let remote = RemoteAdmin::new(wire, Duration::from_secs(1));
        let results = remote.publish(vec![Message::new("a", "").id("7")], Duration::from_secs(1)).await;
        assert_eq!((results[0].id.as_str(), results[0].outcome), ("7", outcome), "{kind:?}");
    }
}

#[tokio::test]
async fn a_long_verb_may_last_while_the_holder_lives_and_no_longer() {
    let fake = Arc::new(Fake { stuck: true, ..Fake::default() });
    let verbs = AdminVerbs::new(fake);
    let timeout = Duration::from_millis(500);
    let alive = RemoteAdmin::new(Wire { verbs: verbs.clone(), cut: None, silent: false }, timeout);
    assert!(tokio::time::timeout(3 * timeout, alive.dead_replay(DeadRequest::default())).await.is_err());
    let frozen = RemoteAdmin::new(Wire { verbs, cut: None, silent: true }, timeout);
    let answer =
        tokio::time::timeout(60 * timeout, frozen.dead_replay(DeadRequest::default())).await.unwrap();
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_call_that_is_not_understood_is_answered_with_an_error() {
    let verbs = AdminVerbs::new(Arc::new(Fake::default()));
    for call in [&b"nonsense"[..], b"{\"verb\":\"explode\"}", b"{\"verb\":\"peek\",\"params\":{}}"] {
        let answer: Value = serde_json::from_slice(&verbs.answer(call).await).unwrap();
        assert_eq!(answer["error"]["kind"], "Malformed", "{answer}");
    }
}

#[test]
fn every_kind_and_class_of_error_crosses() {
    for kind in ErrorKind::ALL {
        let error = Error::new("peek", kind, "x").class_of(ErrorClass::Unknown);
        let back = super::wire::WireError::from(&error).into_error("peek");
        assert_eq!((back.kind(), back.class()), (kind, ErrorClass::Unknown));
        assert_eq!(back.to_string(), error.to_string());
    }
}
