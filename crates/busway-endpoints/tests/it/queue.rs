//! Queues of a transport, and handlers.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use busway_core::endpoint::Verdict;
use busway_core::{
    DeliveryError, Endpoint, Error, ErrorClass, ErrorKind, Message, Publication, Queue, Reason, Result,
    Sender,
};
use busway_endpoints::{HandlerEndpoint, QueueEndpoint};

use crate::support::{delivery, message, send};

/// Keeps what was published; fails what its script names.
#[derive(Default)]
struct Broker {
    published: Mutex<Vec<Publication>>,
    failures: Mutex<Vec<(usize, Error)>>,
    silent_after: Option<usize>,
}

#[async_trait]
impl Sender for Broker {
    async fn publish(&self, batch: Vec<Publication>) -> Vec<Result<()>> {
        let mut failures = std::mem::take(&mut *self.failures.lock().unwrap());
        let mut published = self.published.lock().unwrap();
        let results = batch.into_iter().enumerate().map(|(index, publication)| {
            match failures.iter().position(|(at, _)| *at == index) {
                Some(found) => Err(failures.remove(found).1),
                None => {
                    published.push(publication);
                    Ok(())
                }
            }
        });
        results.take(self.silent_after.unwrap_or(usize::MAX)).collect()
    }
}

fn audit() -> Queue {
    Queue::parse("audit").unwrap()
}

#[tokio::test]
async fn a_copy_is_as_if_the_bus_had_just_taken_it() {
    let broker = Arc::new(Broker::default());
    let endpoint = QueueEndpoint::new(broker.clone(), audit());
    let mut parked = message("{}").partition_key("k").deliver_at(5);
    parked.destination = Some("audit".to_owned());
    parked.attempt = 3;
    parked.reason = Some(Reason::Saturated);
    parked.parked = Some(7);
    parked.accepted = Some(6);
    endpoint.deliver(vec![delivery(parked)]).await.remove(0).unwrap();
    let expected = Message { accepted: Some(6), ..message("{}").partition_key("k") };
    let published = broker.published.lock().unwrap();
    assert_eq!((&published[0].queue, &published[0].message), (&audit(), &expected));
    assert_eq!((endpoint.kind(), endpoint.max_batch()), ("queue", 512));
}

#[tokio::test]
async fn each_entry_has_its_own_outcome() {
    let failure = |kind| Error::new("publish", kind, "no");
    let broker = Arc::new(Broker::default());
    *broker.failures.lock().unwrap() = vec![
        (1, failure(ErrorKind::Full)),
        (2, failure(ErrorKind::TooLarge)),
        (3, failure(ErrorKind::Timeout).class_of(ErrorClass::Unknown)),
        (4, failure(ErrorKind::Unavailable)),
        (5, failure(ErrorKind::Denied)),
    ];
    let endpoint = QueueEndpoint::new(broker, audit());
    let answers = endpoint.deliver((0..7).map(|_| delivery(message("{}"))).collect()).await;
    let told: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().err().map(|e| (&*e.class, e.verdict, e.overloaded)))
        .collect();
    assert_eq!(
        told,
        [
            None,
            Some(("full", Verdict::Retry, true)),
            Some(("too-large", Verdict::Reject, false)),
            Some(("unknown", Verdict::Retry, true)),
            Some(("unavailable", Verdict::Retry, true)),
            Some(("denied", Verdict::Retry, false)),
            None,
        ]
    );
}

#[tokio::test]
async fn a_result_that_is_missing_is_no_success() {
    let broker = Arc::new(Broker { silent_after: Some(1), ..Broker::default() });
    let endpoint = QueueEndpoint::new(broker, audit());
    let answers = endpoint.deliver((0..3).map(|_| delivery(message("{}"))).collect()).await;
    assert!(answers[0].is_ok());
    assert!(answers[1..].iter().all(|answer| answer.as_ref().is_err_and(|e| &*e.class == "unknown")));
}

#[tokio::test]
async fn a_handler_answers_for_its_delivery() {
    let endpoint = HandlerEndpoint::new(|delivery| async move {
        let number: u32 = delivery.json()?;
        if number == 0 { Err(DeliveryError::retry("zero", "not yet")) } else { Ok(()) }
    });
    send(&endpoint, "7").await.unwrap();
    assert_eq!(&*send(&endpoint, "0").await.unwrap_err().class, "zero");
    let error = send(&endpoint, "{").await.unwrap_err();
    assert_eq!((&*error.class, error.verdict), ("decode", Verdict::Reject));
}
