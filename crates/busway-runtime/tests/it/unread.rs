//! Messages that wait for an endpoint that is gone.

use std::time::Duration;

use busway_core::Admin;
use busway_runtime::Runtime;
use serde_json::json;

use crate::bench_bus::{Recorder, Store, add, messages, options, publish, until};

#[tokio::test]
async fn what_waits_for_an_endpoint_that_is_gone_is_told_and_delivered_when_it_is_back() {
    let storage = Store::new();
    let endpoint = Recorder::willing();
    let start = async |names: &[&str]| {
        let mut options = options(storage.open().await);
        names.iter().for_each(|name| add(&mut options, name, name, endpoint.clone()));
        Runtime::start(options).await.unwrap()
    };
    let bus = start(&["old", "new"]).await;
    bus.endpoint_pause("old", true).await.unwrap();
    publish(&bus, messages(7, "old", "a")).await;
    until("parked", || async { bus.queues().await.unwrap().queues[1].ready == Some(7) }).await;
    bus.shutdown(Duration::from_secs(5)).await;
    drop(bus);
    let bus = start(&["new"]).await;
    assert_eq!(bus.snapshots().await["unread"], json!({ "old": 7 }));
    bus.shutdown(Duration::from_secs(5)).await;
    drop(bus);
    let bus = start(&["old", "new"]).await;
    assert_eq!(bus.snapshots().await["unread"], json!({}));
    until("delivered", || async { endpoint.count() == 7 }).await;
}
