//! Deliveries to test with, and waiting for conditions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use busway_core::{Delivery, DeliveryError, Endpoint, Message};
use bytes::Bytes;

pub(crate) fn delivery(message: Message) -> Delivery {
    Delivery { message: Arc::new(message), destination: "peer".into(), attempt: 1 }
}

pub(crate) fn message(data: impl Into<Bytes>) -> Message {
    Message::new("item.updated", data).id("1").account("acme")
}

/// Delivers one message with this payload.
pub(crate) async fn send(endpoint: &dyn Endpoint, data: impl Into<Bytes>) -> Result<(), DeliveryError> {
    deliver(endpoint, message(data)).await
}

pub(crate) async fn deliver(endpoint: &dyn Endpoint, message: Message) -> Result<(), DeliveryError> {
    let mut answers = endpoint.deliver(vec![delivery(message)]).await;
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

/// Waits until the condition holds; fails after 60 s.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
