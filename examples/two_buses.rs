//! Two buses in one process, each with a store of its own: a handler of the first publishes to the
//! second. A bus has threads of its own and no global state, so they do not meet otherwise.

use busway::{Bus, Delivery, Message};
use busway_examples::Result;
use tokio::sync::mpsc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let directory = tempfile::tempdir()?;
    let (billed, mut bills) = mpsc::channel(16);

    let billing = Bus::builder("billing").embedded(directory.path().join("billing")).build()?;
    billing.subscribe("print", "bill.*", move |delivery: Delivery| {
        let billed = billed.clone();
        async move { Ok(billed.send(delivery.json::<u64>()?).await?) }
    })?;
    billing.start().await?;

    let shop = Bus::builder("shop").embedded(directory.path().join("shop")).build()?;
    let to_billing = billing.clone();
    shop.subscribe("bill", "order.placed", move |delivery: Delivery| {
        let billing = to_billing.clone();
        async move {
            // The order's own id: if this is tried again, it is the same message again.
            let bill = Message::json("bill.due", &delivery.json::<u64>()?)?.id(delivery.message.id.clone());
            // Durable on the second bus before it is settled on the first; else tried again.
            billing.publish(bill).await?;
            Ok(())
        }
    })?;
    shop.start().await?;

    for order in 1..=10 {
        shop.publish(Message::json("order.placed", &order)?).await?;
    }
    let mut seen = Vec::new();
    while seen.len() < 10 {
        seen.push(bills.recv().await.ok_or("the bus has stopped")?);
    }
    seen.sort_unstable();
    println!("billed: {seen:?}");
    assert_eq!(seen, (1..=10).collect::<Vec<u64>>());

    // The one that publishes stops first.
    shop.shutdown().await?;
    Ok(billing.shutdown().await?)
}
