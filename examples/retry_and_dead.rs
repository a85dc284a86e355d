//! A handler that fails: the message is tried again by the schedule; what can never succeed is kept
//! in `dead` with its reason, from where it can be replayed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use busway::core::transport::Filter;
use busway::{Bus, Delivery, HandlerError, Message};
use busway_examples::{Result, until};

#[tokio::main]
async fn main() -> Result {
    let directory = tempfile::tempdir()?;
    let mended = Arc::new(AtomicBool::new(false));
    let shop_is_mended = Arc::clone(&mended);

    let bus = Bus::builder("shop").embedded(directory.path()).build()?;
    bus.subscribe("orders", "order.*", move |delivery: Delivery| {
        let mended = shop_is_mended.load(Ordering::SeqCst);
        async move {
            println!("try {} of {}", delivery.attempt, delivery.message.id);
            match delivery.attempt {
                _ if mended => Ok(()),
                // The database was away for a moment: a second later it is tried again.
                1 => Err(HandlerError::retry("the database does not answer")),
                // No further try can help.
                _ => Err(HandlerError::reject("the customer does not exist")),
            }
        }
    })?;
    bus.start().await?;
    let admin = bus.admin().await?;

    let id = bus.publish(Message::json("order.placed", &17)?.account("acme")).await?.id;
    until("the message is dead", async || Ok(!admin.dead_list(Filter::default(), 10).await?.is_empty()))
        .await?;

    let dead = admin.dead_list(Filter::default(), 10).await?.remove(0);
    println!("dead: {dead:?}");
    assert_eq!((dead.id.as_str(), dead.reason.as_str(), dead.attempts), (&*id, "error:rejected", 2));
    assert_eq!(dead.destination.as_deref(), Some("orders"));

    // What stood in the way is gone: all dead letters go out again, each to where it died.
    mended.store(true, Ordering::SeqCst);
    assert_eq!(admin.dead_replay(Filter::default().into()).await?.done, 1);
    until("the message is delivered", async || Ok(admin.endpoints().await?[0].delivered == 1)).await?;
    assert!(admin.dead_list(Filter::default(), 10).await?.is_empty());

    Ok(bus.shutdown().await?)
}
