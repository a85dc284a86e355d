//! Queues that endpoints write to.

use busway_core::transport::Declare;
use busway_core::{Admin, Publication, Queue};
use busway_runtime::{EndpointSpec, Runtime};

use crate::bench_bus::{Recorder, add_spec, messages, options, store};

#[tokio::test]
async fn queues_that_endpoints_write_to_are_shown_once_they_exist() {
    let transport = store();
    let mut options = options(transport.clone());
    let orders = Queue::parse("orders").unwrap();
    for (name, queue) in [("one", &orders), ("two", &orders), ("own", &Queue::Priority)] {
        let spec = EndpointSpec { queue: Some(queue.clone()), ..EndpointSpec::new(Recorder::willing()) };
        add_spec(&mut options, name, name, spec);
    }
    let bus = Runtime::start(options).await.unwrap();
    assert_eq!(bus.queues().await.unwrap().queues.len(), 3);
    transport.declare(std::slice::from_ref(&orders), Declare::Create).await.unwrap();
    let copies = messages(4, "x", "a").into_iter().map(|m| Publication::new(orders.clone(), m)).collect();
    transport.sender().await.unwrap().publish(copies).await;
    let rows = bus.queues().await.unwrap().queues;
    let row = rows.last().unwrap();
    assert_eq!((rows.len(), row.queue.as_str(), row.ready, row.in_rate), (4, "orders", Some(4), None));
}
