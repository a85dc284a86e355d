//! A transport that does not answer when it is to settle.

use std::sync::Arc;
use std::time::Duration;

use busway_conformance::fault::Operation;
use busway_conformance::{FaultyTransport, Script};
use busway_core::Admin;
use busway_runtime::Runtime;

use crate::bench_bus::{Recorder, add_spec, options, publish, store, until, until_idle};
use crate::order::{assert_in_order, keyed, ordered};

#[tokio::test]
async fn settles_without_an_answer_are_told_and_give_their_credit_back() {
    let script = Script::new();
    let endpoint = Recorder::willing();
    let mut options = options(Arc::new(FaultyTransport::new(store(), script.clone())));
    options.flow.credit = 50;
    options.flow.publish_deadline = Duration::from_secs(1);
    add_spec(&mut options, "e", "#", ordered(endpoint.clone()));
    let bus = Runtime::start(options).await.unwrap();
    bus.endpoint_pause("e", true).await.unwrap();
    publish(&bus, keyed(0, 100, 4)).await;
    until("parked", || async { bus.queues().await.unwrap().queues[1].ready.is_some_and(|n| n >= 4) }).await;
    until_idle(&bus).await;
    let gate = script.on(Operation::Settle).hold();
    bus.endpoint_pause("e", false).await.unwrap();
    publish(&bus, keyed(100, 200, 4)).await;
    until("it is told", || async { bus.readiness().reasons.iter().any(|r| r.contains("settling")) }).await;
    gate.release();
    until("ready again", || async { bus.readiness().ready }).await;
    until("all delivered", || async { endpoint.ids().len() == 300 }).await;
    until_idle(&bus).await;
    assert_in_order(&endpoint);
}
