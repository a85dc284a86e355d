//! A bus that does as it is told and remembers what it was asked.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use busway_core::admin::{
    AccountRow, DeadLetter, DeadReport, DeadRequest, DeadRow, EndpointRow, OnceReport, OnceRequest, PeekRow,
    PublishOutcome, PublishResult, QueueRow, QueuesReport, Readiness, Trace, Waits,
};
use busway_core::transport::Filter;
use busway_core::{Admin, Error, ErrorKind, Message, Result};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// What becomes of messages.
#[derive(Clone, Copy, Default)]
pub(crate) enum Publishing {
    /// Every one is stored.
    #[default]
    Stores,
    /// No answer ever comes.
    Hangs,
    /// Each batch waits for a permit of the gate.
    Gated,
    /// Those of type `bad` end so, all others are stored.
    Refuses(PublishOutcome, &'static str),
}

pub(crate) struct Fake {
    pub(crate) publishing: Mutex<Publishing>,
    pub(crate) gate: Semaphore,
    pub(crate) begun: Mutex<Vec<Message>>,
    pub(crate) stored: Mutex<Vec<Message>>,
    pub(crate) calls: Mutex<Vec<String>>,
    pub(crate) readiness: Mutex<Readiness>,
    pub(crate) error: Mutex<Option<ErrorKind>>,
    pub(crate) hangs: Mutex<bool>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            publishing: Mutex::default(),
            gate: Semaphore::new(0),
            begun: Mutex::default(),
            stored: Mutex::default(),
            calls: Mutex::default(),
            readiness: Mutex::new(Readiness { ready: true, reasons: Vec::new() }),
            error: Mutex::default(),
            hangs: Mutex::new(false),
        }
    }
}

impl Fake {
    pub(crate) fn publishing(&self, publishing: Publishing) {
        *self.publishing.lock().unwrap() = publishing;
    }

    pub(crate) fn stored_ids(&self) -> Vec<String> {
        self.stored.lock().unwrap().iter().map(|message| message.id.clone()).collect()
    }

    pub(crate) fn begun(&self) -> usize {
        self.begun.lock().unwrap().len()
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    async fn called<T>(&self, call: String, answer: T) -> Result<T> {
        self.calls.lock().unwrap().push(call);
        if *self.hangs.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        match *self.error.lock().unwrap() {
            Some(kind) => Err(Error::new("ask", kind, "as it was told")),
            None => Ok(answer),
        }
    }

    fn end(&self, message: Message) -> PublishResult {
        let publishing = *self.publishing.lock().unwrap();
        let id = message.id.clone();
        match publishing {
            Publishing::Refuses(outcome, class) if message.r#type == "bad" => PublishResult {
                id,
                outcome,
                error: Some("as it was told".to_owned()),
                class: Some(class.to_owned()),
            },
            _ => {
                self.stored.lock().unwrap().push(message);
                PublishResult { id, outcome: PublishOutcome::Stored, error: None, class: None }
            }
        }
    }
}

#[async_trait]
impl Admin for Fake {
    async fn publish(&self, batch: Vec<Message>, _: Duration) -> Vec<PublishResult> {
        self.begun.lock().unwrap().extend(batch.iter().cloned());
        let publishing = *self.publishing.lock().unwrap();
        match publishing {
            Publishing::Hangs => std::future::pending().await,
            Publishing::Gated => self.gate.acquire().await.unwrap().forget(),
            _ => {}
        }
        batch.into_iter().map(|message| self.end(message)).collect()
    }

    async fn queues(&self) -> Result<QueuesReport> {
        let queue = QueueRow {
            queue: "priority".to_owned(),
            transport: "local".to_owned(),
            physical: "shop.priority".to_owned(),
            ready: Some(3),
            ..QueueRow::default()
        };
        let endpoint = endpoint();
        let report =
            QueuesReport { queues: vec![queue], accounts: vec![account()], endpoints: vec![endpoint] };
        self.called("queues".to_owned(), report).await
    }

    async fn peek(&self, queue: &str, max: usize, why: bool) -> Result<Vec<PeekRow>> {
        let waits = Waits { why: "paused: endpoint audit".to_owned(), ..Waits::default() };
        let row = PeekRow {
            id: "p1".to_owned(),
            r#type: "item.updated".to_owned(),
            standing: "ready".to_owned(),
            bytes: 7,
            waits: why.then_some(waits),
            ..PeekRow::default()
        };
        self.called(format!("peek {queue} {max} {why}"), vec![row]).await
    }

    async fn trace(&self, id: &str) -> Result<Option<Trace>> {
        let trace = (id == "d/1").then(|| Trace { id: id.to_owned(), missing: 2, ..Trace::default() });
        self.called(format!("trace {id}"), trace).await
    }

    async fn dead_list(&self, filter: Filter, max: usize) -> Result<Vec<DeadRow>> {
        self.called(format!("dead_list {filter:?} {max}"), vec![dead()]).await
    }

    async fn dead_show(&self, id: &str) -> Result<Option<DeadLetter>> {
        let message =
            serde_json::value::RawValue::from_string(r#"{"id":"d1","data":1.50}"#.to_owned()).unwrap();
        let letter =
            (id == "d/1").then(|| DeadLetter { row: dead(), history: Vec::new(), missing: 0, message });
        self.called(format!("dead_show {id}"), letter).await
    }

    async fn dead_replay(&self, request: DeadRequest) -> Result<DeadReport> {
        self.called(format!("dead_replay {request:?}"), DeadReport { done: 4, next: None }).await
    }

    async fn dead_delete(&self, request: DeadRequest) -> Result<DeadReport> {
        self.called(format!("dead_delete {request:?}"), DeadReport { done: 5, next: None }).await
    }

    async fn endpoints(&self) -> Result<Vec<EndpointRow>> {
        self.called("endpoints".to_owned(), vec![endpoint()]).await
    }

    async fn endpoint_pause(&self, name: &str, pause: bool) -> Result<()> {
        self.called(format!("endpoint_pause {name} {pause}"), ()).await
    }

    async fn endpoint_test(&self, name: &str) -> Result<String> {
        self.called(format!("endpoint_test {name}"), "it answers".to_owned()).await
    }

    async fn accounts(&self) -> Result<Vec<AccountRow>> {
        self.called("accounts".to_owned(), vec![account()]).await
    }

    async fn account_pause(&self, name: &str, pause: bool) -> Result<()> {
        self.called(format!("account_pause {name} {pause}"), ()).await
    }

    async fn account_weight(&self, name: &str, weight: u32) -> Result<()> {
        self.called(format!("account_weight {name} {weight}"), ()).await
    }

    async fn readiness(&self) -> Readiness {
        if *self.hangs.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        self.readiness.lock().unwrap().clone()
    }

    async fn snapshots(&self) -> Value {
        json!({ "router": { "state": "running" } })
    }

    async fn run_once(&self, _: OnceRequest) -> Result<OnceReport> {
        self.called("run_once".to_owned(), OnceReport::default()).await
    }
}

fn account() -> AccountRow {
    AccountRow { account: "acme".to_owned(), share: 0.5, weight: 1, ..AccountRow::default() }
}

fn endpoint() -> EndpointRow {
    EndpointRow {
        endpoint: "audit".to_owned(),
        kind: "file".to_owned(),
        state: "open".to_owned(),
        delivered: 9,
        ..EndpointRow::default()
    }
}

fn dead() -> DeadRow {
    DeadRow { id: "d/1".to_owned(), reason: "expired".to_owned(), attempts: 3, ..DeadRow::default() }
}
