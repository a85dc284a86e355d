//! What is counted and when it stops, against a bus that answers by the message's type.
#![allow(clippy::unwrap_used)]

use std::sync::Mutex;

use async_trait::async_trait;
use busway::core::admin::*;
use busway::core::transport::Filter;
use busway::core::{Error, ErrorKind, Message, Result};

use super::*;

/// Stores every message but those whose type asks for something else.
#[derive(Default)]
struct Fake(Mutex<Vec<(String, Instant)>>);

fn none<T>() -> Result<T> {
    Err(Error::new("ask", ErrorKind::Unsupported, "not in this test"))
}

#[async_trait]
impl Admin for Fake {
    async fn publish(&self, batch: Vec<Message>, _: Duration) -> Vec<PublishResult> {
        let mut results = Vec::new();
        for message in batch {
            self.0.lock().unwrap().push((message.r#type.clone(), Instant::now()));
            let (outcome, class) = match message.r#type.as_str() {
                "refused" => (PublishOutcome::Failed, Some("reject")),
                "away" => (PublishOutcome::Failed, Some("reconnect")),
                "unknown" => (PublishOutcome::Unknown, Some("unknown")),
                _ => (PublishOutcome::Stored, None),
            };
            let class = class.map(str::to_owned);
            results.push(PublishResult { id: message.id, outcome, error: class.clone(), class });
        }
        results
    }
    async fn queues(&self) -> Result<QueuesReport> {
        none()
    }
    async fn peek(&self, _: &str, _: usize, _: bool) -> Result<Vec<PeekRow>> {
        none()
    }
    async fn trace(&self, _: &str) -> Result<Option<Trace>> {
        none()
    }
    async fn dead_list(&self, _: Filter, _: usize) -> Result<Vec<DeadRow>> {
        none()
    }
    async fn dead_show(&self, _: &str) -> Result<Option<DeadLetter>> {
        none()
    }
    async fn dead_replay(&self, _: DeadRequest) -> Result<DeadReport> {
        none()
    }
    async fn dead_delete(&self, _: DeadRequest) -> Result<DeadReport> {
        none()
    }
    async fn endpoints(&self) -> Result<Vec<EndpointRow>> {
        none()
    }
    async fn endpoint_pause(&self, _: &str, _: bool) -> Result<()> {
        none()
    }
    async fn endpoint_test(&self, _: &str) -> Result<String> {
        none()
    }
    async fn accounts(&self) -> Result<Vec<AccountRow>> {
        none()
    }
    async fn account_pause(&self, _: &str, _: bool) -> Result<()> {
        none()
    }
    async fn account_weight(&self, _: &str, _: u32) -> Result<()> {
        none()
    }
    async fn readiness(&self) -> Readiness {
        Readiness::default()
    }
    async fn snapshots(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
    async fn run_once(&self, _: OnceRequest) -> Result<OnceReport> {
        none()
    }
}

async fn publish(text: &str, rate: Option<f64>) -> (Outcome, Summary, Vec<(String, Instant)>, Instant) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let bus = Arc::new(Fake::default());
    let mut publisher = Publisher {
        bus: bus.clone(),
        deadline: Duration::from_secs(10),
        rate,
        began: Instant::now(),
        offered: 0,
        summary: Summary::default(),
        progress: Progress::none(),
    };
    let done = publisher.publish_all(&mut Lines::open(file.path()).unwrap()).await;
    let seen = std::mem::take(&mut *bus.0.lock().unwrap());
    (done, publisher.summary, seen, publisher.began)
}

fn lines(types: &[&str]) -> String {
    types.iter().map(|r#type| format!("{{\"type\":\"{type}\"}}\n")).collect()
}

#[tokio::test]
async fn every_line_is_counted_once() {
    let text = format!("{}no json\n{}", lines(&["a", "refused", "b"]), lines(&["unknown", "c"]));
    let (done, summary, seen, _) = publish(&text, None).await;
    assert!(done.is_ok());
    assert_eq!((summary.published, summary.failed, summary.unknown), (3, 2, 1));
    let types: Vec<&str> = seen.iter().map(|(r#type, _)| r#type.as_str()).collect();
    assert_eq!(types, ["a", "refused", "b", "unknown", "c"]);
}

#[tokio::test]
async fn a_bus_that_is_away_stops_the_input_and_refused_messages_do_not() {
    let (done, summary, seen, _) = publish(&lines(&["away"; 3_000]), None).await;
    assert!(done.is_err());
    assert_eq!(summary.failed, seen.len() as u64);
    assert!(seen.len() <= 1_000, "{}", seen.len());
    let (done, summary, ..) = publish(&lines(&["refused"; 20]), None).await;
    assert!(done.is_ok());
    assert_eq!(summary.failed, 20);
}

#[tokio::test]
async fn a_rate_is_kept_to() {
    let (done, _, seen, began) = publish(&lines(&["a"; 41]), Some(100.0)).await;
    assert!(done.is_ok());
    for (index, (_, at)) in seen.iter().enumerate() {
        let earliest = Duration::from_millis((index as u64 / 10) * 100);
        assert!(*at >= began + earliest, "message {index} came too early");
    }
}
