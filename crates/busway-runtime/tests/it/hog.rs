//! One endpoint that takes its time, and the others.

use std::sync::Arc;

use async_trait::async_trait;
use busway_core::{Delivery, DeliveryError, Endpoint};
use busway_runtime::{EndpointSpec, RouteSpec, Runtime};
use tokio::sync::watch;

use crate::bench_bus::{Recorder, add, messages, options, publish, store, until};

/// Takes 512 messages a call and ends none before it is told to.
struct Batching(watch::Receiver<bool>);

#[async_trait]
impl Endpoint for Batching {
    fn kind(&self) -> &'static str {
        "batching"
    }

    fn max_batch(&self) -> usize {
        512
    }

    async fn deliver(&self, batch: Vec<Delivery>) -> Vec<Result<(), DeliveryError>> {
        let mut told = self.0.clone();
        let _gone_means_told = told.wait_for(|told| *told).await;
        batch.iter().map(|_| Ok(())).collect()
    }

    async fn test(&self) -> Result<String, DeliveryError> {
        Ok(String::new())
    }

    async fn close(&self) {}
}

/// Fills a batching endpoint that answers nothing with these messages; whether another endpoint
/// still gets its own is what the caller's deadline decides.
async fn others_go_on(count: usize, bytes: usize) {
    let (tell, told) = watch::channel(false);
    let quick = Recorder::willing();
    let mut options = options(store());
    let slow = EndpointSpec { max_concurrency: 2, ..EndpointSpec::new(Arc::new(Batching(told))) };
    options.flow.credit_bytes = 4 << 20;
    options.endpoints.insert("slow".to_owned(), slow);
    options.routes.push(RouteSpec {
        types: vec!["slow".to_owned()],
        accounts: Vec::new(),
        to: vec!["slow".to_owned()],
    });
    add(&mut options, "quick", "quick", quick.clone());
    let bus = Runtime::start(options).await.unwrap();
    let mut load = messages(count, "slow", "a");
    load.iter_mut().for_each(|message| message.data = vec![b'x'; bytes].into());
    publish(&bus, load).await;
    publish(&bus, messages(10, "quick", "b")).await;
    until("the quick endpoint has its messages", || async { quick.count() == 10 }).await;
    tell.send_replace(true);
    until("nothing in hand", || async { bus.in_hand() == 0 }).await;
}

#[tokio::test]
async fn a_slow_batching_endpoint_leaves_credit_to_the_others() {
    others_go_on(3000, 10).await;
}

#[tokio::test]
async fn an_endpoint_with_large_messages_leaves_bytes_to_the_others() {
    others_go_on(100, 100 << 10).await;
}
