//! A breaker that has opened while a call hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use busway_core::{Admin, DeliveryError};
use busway_runtime::{EndpointSpec, RetrySchedule, Runtime};

use crate::bench_bus::{Recorder, add_spec, messages, options, publish, store, until};

#[tokio::test]
async fn a_call_that_hangs_does_not_keep_a_well_endpoint_shut() {
    let calls = AtomicUsize::new(0);
    let ill = Arc::new(AtomicBool::new(true));
    let is_ill = ill.clone();
    let endpoint = Recorder::new(move |_| {
        let first = calls.fetch_add(1, Ordering::SeqCst) == 0;
        let ill = is_ill.load(Ordering::SeqCst);
        async move {
            if first {
                std::future::pending::<()>().await;
            }
            if ill { Err(DeliveryError::retry("refused", "refused")) } else { Ok(()) }
        }
    });
    let retry =
        RetrySchedule { attempts: 50, first: Duration::from_millis(10), max: Duration::from_millis(50) };
    let mut options = options(store());
    let spec = EndpointSpec { retry, max_concurrency: 4, ..EndpointSpec::new(endpoint.clone()) };
    add_spec(&mut options, "e", "#", spec);
    let bus = Runtime::start(options).await.unwrap();
    publish(&bus, messages(100, "x", "a")).await;
    until("it opens", || async { bus.endpoints().await.unwrap()[0].state == "closed" }).await;
    ill.store(false, Ordering::SeqCst);
    until("all but the one that hangs are delivered", || async { endpoint.count() == 99 }).await;
}
