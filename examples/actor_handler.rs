//! A handler that is an actix actor: it keeps state without a lock, and its answer is the delivery's.

use busway::actix::prelude::*;
use busway::{Bus, Delivery, HandlerError, Message};
use busway_examples::Result;
use tokio::sync::oneshot;

/// Sums up orders, and tells when it has seen enough.
struct Till {
    sum: u64,
    orders: u32,
    done: Option<oneshot::Sender<u64>>,
}

impl Actor for Till {
    type Context = Context<Self>;
}

impl Handler<Delivery> for Till {
    type Result = Result<(), HandlerError>;

    fn handle(&mut self, delivery: Delivery, _: &mut Self::Context) -> Self::Result {
        self.sum += delivery.json::<u64>()?;
        self.orders += 1;
        if self.orders == 10
            && let Some(done) = self.done.take()
        {
            done.send(self.sum).map_err(|_| HandlerError::retry("nobody waits for the sum"))?;
        }
        Ok(())
    }
}

fn main() -> Result {
    System::new().block_on(run())
}

async fn run() -> Result {
    let directory = tempfile::tempdir()?;
    let (done, sum) = oneshot::channel();
    let till = Till { sum: 0, orders: 0, done: Some(done) }.start();

    let bus = Bus::builder("shop").embedded(directory.path()).build()?;
    bus.subscribe("till", "order.placed", till.recipient())?;
    bus.start().await?;
    for order in 1..=10_u64 {
        bus.publish(Message::json("order.placed", &order)?).await?;
    }
    let sum = sum.await?;
    println!("10 orders, {sum} in all");
    assert_eq!(sum, 55);
    Ok(bus.shutdown().await?)
}
