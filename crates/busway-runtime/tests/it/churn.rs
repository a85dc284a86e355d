//! What is diverted for share and read back.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use busway_conformance::fault::Operation;
use busway_conformance::{FaultyTransport, Script};
use busway_core::{ErrorKind, Queue, Reason};
use busway_runtime::{EndpointSpec, Runtime};

use crate::bench_bus::{Recorder, add_spec, messages, options, publish, store, until, until_idle};

#[tokio::test]
async fn what_was_diverted_for_share_is_seldom_parked_again() {
    let slow = Recorder::new(|_| async {
        tokio::time::sleep(Duration::from_millis(2)).await;
        Ok(())
    });
    let parked: Arc<Mutex<(HashSet<String>, HashSet<String>)>> = Arc::default();
    let seen = parked.clone();
    let script = Script::new();
    let look = move |message: &busway_core::Message| {
        let mut seen = seen.lock().unwrap();
        let seen = if message.reason == Some(Reason::Share) { &mut seen.0 } else { &mut seen.1 };
        seen.insert(message.id.clone());
        false
    };
    script.on(Operation::Publish).queue(Queue::Delayed).matching(look).fail(ErrorKind::Unavailable);
    let mut options = options(Arc::new(FaultyTransport::new(store(), script)));
    let spec = EndpointSpec { max_concurrency: 4, ..EndpointSpec::new(slow.clone()) };
    add_spec(&mut options, "slow", "#", spec);
    let bus = Runtime::start(options).await.unwrap();
    // About 5,000 a second to an endpoint that takes 2,000.
    let mut pace = tokio::time::interval(Duration::from_millis(8));
    for _ in 0..75 {
        pace.tick().await;
        let mut batch = messages(1, "x", "quiet");
        batch.extend(messages(39, "x", "loud"));
        publish(&bus, batch).await;
    }
    until("all delivered", || async { slow.ids().len() == 3000 }).await;
    until_idle(&bus).await;
    let parked = parked.lock().unwrap();
    let (share, again) = (parked.0.len(), parked.0.intersection(&parked.1).count());
    assert!(share > 100, "{share} were diverted for share");
    assert!(again * 4 < share, "{again} of {share} were parked again");
}
