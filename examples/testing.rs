//! A unit test of a program with a bus: in memory, in milliseconds, though its retries are hours apart.

use std::time::{Duration, Instant};

use busway::config::{Policy, Retry};
use busway::testing::TestBus;
use busway::{Bus, Delivery, HandlerError, Message};
use busway_examples::Result;

/// What the program does with its bus; the test calls the same.
fn wire(bus: &Bus) -> busway::Result<()> {
    let hour = Duration::from_secs(3600);
    let patient = Policy { retry: Retry { attempts: 5, first: hour, max: 12 * hour }, ..Policy::default() };
    bus.subscribe_with("invoices", "order.placed", patient, |delivery: Delivery| async move {
        match (delivery.json::<u64>()?, delivery.attempt) {
            (13, _) => Err(HandlerError::reject("no invoices for this customer")),
            (_, 1..4) => Err(HandlerError::retry("the printer is out of paper")),
            _ => Ok(()),
        }
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let started = Instant::now();
    let bus = TestBus::new("shop")?;
    wire(&bus)?;
    bus.start().await?;
    for order in [7_u64, 8, 13] {
        bus.publish(Message::json("order.placed", &order)?.id(order.to_string())).await?;
    }

    bus.expect_delivered("invoices").await.count(2).tries(4);
    bus.expect_dead().await.count(1).reason("error:rejected");
    println!("three tries each, hours apart, in {:?}", started.elapsed());
    Ok(())
}
