//! The cron mode, where something fails.

use std::sync::Arc;

use busway_conformance::{FaultyTransport, Script};
use busway_core::Admin;
use busway_core::admin::OnceRequest;
use busway_runtime::Runtime;

use crate::bench_bus::{Recorder, add_spec, options, publish, store};
use crate::order::{keyed, ordered};

#[tokio::test]
async fn a_run_that_could_not_start_can_be_tried_again() {
    let script = Script::new();
    let endpoint = Recorder::willing();
    let mut options = options(Arc::new(FaultyTransport::new(store(), script.clone())));
    add_spec(&mut options, "e", "#", ordered(endpoint.clone()));
    let bus = Runtime::start_idle(options).await.unwrap();
    publish(&bus, keyed(0, 5, 2)).await;
    script.cut();
    bus.run_once(OnceRequest::default()).await.unwrap_err();
    script.heal();
    let report = bus.run_once(OnceRequest::default()).await.unwrap();
    assert_eq!((report.received, report.delivered, endpoint.count()), (5, 5, 5));
}
