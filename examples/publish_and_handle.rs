//! A bus inside a program: publish a message, handle it in an async function.

use busway::{Bus, Delivery, Message};
use busway_examples::Result;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Item {
    sku: u64,
    stock: u32,
}

#[tokio::main]
async fn main() -> Result {
    let directory = tempfile::tempdir()?;
    let (handled, mut items) = mpsc::channel(16);

    // Queues and state live in this directory, as files; there is no broker to run.
    let bus = Bus::builder("shop").embedded(directory.path()).build()?;
    bus.subscribe("inventory", "item.*", move |delivery: Delivery| {
        let handled = handled.clone();
        async move {
            let item: Item = delivery.json()?; // cannot be decoded: dead, error:decode
            handled.send(item).await?; // any error: tried again by the schedule
            Ok(()) // done: settled
        }
    })?;
    bus.start().await?;

    // `Ok` means that the message is on disk.
    let published = bus.publish(Message::json("item.updated", &Item { sku: 7, stock: 3 })?).await?;
    println!("durable: {}", published.id);

    let item = items.recv().await.ok_or("the bus has stopped")?;
    println!("handled: {item:?}");
    assert_eq!(item, Item { sku: 7, stock: 3 });

    Ok(bus.shutdown().await?)
}
