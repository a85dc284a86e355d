//! Messages whose time is over while they wait for their endpoint.

use std::time::Duration;

use busway_core::transport::Filter;
use busway_core::{Admin, Message, clock};
use busway_runtime::{EndpointSpec, Order, Runtime};
use tokio::sync::watch;

use crate::bench_bus::{Recorder, add_spec, options, publish, store, until, until_idle};

/// One message holds the only call until the time of the five behind it is over.
async fn those_in_the_room_expire(order: Order) {
    let (tell, told) = watch::channel(false);
    let endpoint = Recorder::new(move |_| {
        let mut told = told.clone();
        async move {
            let _gone_means_told = told.wait_for(|told| *told).await;
            Ok(())
        }
    });
    let mut options = options(store());
    let spec = EndpointSpec { max_concurrency: 1, order, ..EndpointSpec::new(endpoint.clone()) };
    add_spec(&mut options, "e", "#", spec);
    let bus = Runtime::start(options).await.unwrap();
    publish(&bus, vec![Message::new("x", "first").partition_key("k")]).await;
    let over = clock::now_ms() + 2000;
    publish(&bus, (0..5).map(|_| Message::new("x", "y").partition_key("k").expires_at(over)).collect()).await;
    until("their time is over", || async { clock::now_ms() > over + 50 }).await;
    tell.send_replace(true);
    let dead = || bus.dead_list(Filter::default(), 10);
    until("all are dead", || async { dead().await.unwrap().len() == 5 }).await;
    assert!(dead().await.unwrap().iter().all(|row| row.reason == "expired"));
    assert_eq!(endpoint.count(), 1);
    publish(&bus, vec![Message::new("x", "last").partition_key("k")]).await;
    until("its key goes on", || async { endpoint.count() == 2 }).await;
    until_idle(&bus).await;
    bus.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn what_expires_in_the_room_is_dead_and_not_delivered() {
    those_in_the_room_expire(Order::None).await;
}

#[tokio::test]
async fn what_expires_behind_its_key_is_dead_and_not_delivered() {
    those_in_the_room_expire(Order::PartitionKey).await;
}
