//! Order by key: an endpoint that asks for it gets the messages of one `partitionkey` one after the
//! other, in the order they were published, also those that had to wait in `delayed` meanwhile.

use std::collections::HashMap;
use std::path::Path;

use busway::config::{Endpoint, FileTarget, Order, Target};
use busway::{Bus, Message};
use busway_examples::{Result, until};

const CUSTOMERS: u64 = 8;
const MESSAGES: u64 = 400;

#[tokio::main]
async fn main() -> Result {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("ledger.jsonl");
    let mut ledger = Endpoint::new(Target::File(FileTarget { path: path.clone() }));
    ledger.policy.order = Order::PartitionKey;
    let bus = Bus::builder("shop")
        .embedded(directory.path())
        .endpoint("ledger", ledger)
        .route(&["account.*"], &["ledger"])
        .build()?;
    bus.start().await?;
    let admin = bus.admin().await?;

    for number in 0..MESSAGES {
        match number {
            100 => admin.endpoint_pause("ledger", true).await?,
            300 => admin.endpoint_pause("ledger", false).await?,
            _ => {}
        }
        let message = Message::json("account.changed", &number)?;
        bus.publish(message.partition_key(format!("customer-{}", number % CUSTOMERS))).await?;
    }
    until("all are delivered", async || Ok(admin.endpoints().await?[0].delivered == MESSAGES)).await?;
    let diverted = admin.endpoints().await?[0].diverted;
    println!("{MESSAGES} delivered, {diverted} of them by way of delayed");
    assert!(diverted > 0, "nothing can be delivered to a paused endpoint");

    assert_in_order(&path)?;
    Ok(bus.shutdown().await?)
}

/// Each line is an event; the numbers of one key must rise.
fn assert_in_order(path: &Path) -> Result {
    let mut last: HashMap<String, u64> = HashMap::new();
    for line in std::fs::read_to_string(path)?.lines() {
        let event: serde_json::Value = serde_json::from_str(line)?;
        let key = event["partitionkey"].as_str().ok_or("a line without a key")?.to_owned();
        let number = event["data"].as_u64().ok_or("a line without a number")?;
        if let Some(before) = last.insert(key.clone(), number) {
            assert!(before < number, "{key}: {number} came after {before}");
        }
    }
    assert_eq!(last.len() as u64, CUSTOMERS);
    Ok(())
}
