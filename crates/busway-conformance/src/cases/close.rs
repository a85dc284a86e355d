//! What was closed says so: no call hangs, none succeeds.

use std::time::{Duration, Instant};

use busway_core::error::{Error, ErrorKind};
use busway_core::transport::{Declare, Selector};
use busway_core::{Outcome, Publication, Queue};

use super::sample::{message, numbered};
use super::table;
use crate::suite::{Bed, Outcomes, Task, ensure, fail};

table! { "close":
    "closed-transport" closed_transport [] "every call on a closed transport, its senders and its receivers answers Closed";
    "closed-receiver" closed_receiver [] "a receive on a closed receiver and its second close answer Closed; the transport goes on";
    "receiver-wakes-the-waiting" receiver_wakes_the_waiting [] "closing a receiver ends a receive that waits";
    "transport-wakes-the-waiting" transport_wakes_the_waiting [] "closing the transport ends a receive that waits";
    "settle-after-close" settle_after_close [] "settling and extending after the transport was closed is an error, not a hang";
}

fn closed<T>(what: &str, answer: Result<T, Error>) -> Outcomes {
    match answer {
        Ok(_) => fail!("{what} succeeded after the close"),
        Err(error) => {
            ensure!(error.kind() == ErrorKind::Closed, "{what} after the close is answered with {error}")
        }
    }
    Ok(())
}

async fn closed_transport(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    bed.bounded("close", bus.transport.close()).await??;
    let (transport, queue, all) = (&bus.transport, Queue::Priority, Selector::All);
    closed("a second close", bed.bounded("close", transport.close()).await?)?;
    let declared = transport.declare(std::slice::from_ref(&queue), Declare::Create);
    closed("declare", bed.bounded("declare", declared).await?)?;
    closed("sender", bed.bounded("sender", transport.sender()).await?)?;
    let receiver = transport.receiver(&queue, Default::default());
    closed("receiver", bed.bounded("receiver", receiver).await?)?;
    closed("inspect", bed.bounded("inspect", transport.inspect(&queue, &all)).await?)?;
    closed("breakdown", bed.bounded("breakdown", transport.breakdown(&queue, 1)).await?)?;
    closed("peek", bed.bounded("peek", transport.peek(&queue, &all, 0, 1)).await?)?;
    closed("purge", bed.bounded("purge", transport.purge(&queue)).await?)?;
    closed("receive", reader.try_receive(1, bed.features().quiet).await?)?;
    let ready = reader.receiver.ready(Instant::now() + bed.features().quiet);
    closed("ready", bed.bounded("ready", ready).await?)?;
    let batch = numbered(3).into_iter().map(|message| Publication::new(queue.clone(), message));
    for result in bus.try_publish(batch.collect()).await? {
        closed("publish", result)?;
    }
    Ok(())
}

async fn closed_receiver(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    bed.bounded("close", reader.receiver.close()).await??;
    closed("a second close", bed.bounded("close", reader.receiver.close()).await?)?;
    closed("receive", reader.try_receive(1, bed.features().quiet).await?)?;
    let ready = reader.receiver.ready(Instant::now() + bed.features().quiet);
    closed("ready", bed.bounded("ready", ready).await?)?;
    bus.publish(&Queue::Priority, vec![message("after")]).await?;
    let other = bus.reader(&Queue::Priority).await?;
    other.ack(other.this("after").await?).await
}

async fn receiver_wakes_the_waiting(bed: Bed) -> Outcomes {
    wakes_the_waiting(bed, true).await
}

async fn transport_wakes_the_waiting(bed: Bed) -> Outcomes {
    wakes_the_waiting(bed, false).await
}

async fn wakes_the_waiting(bed: Bed, receiver: bool) -> Outcomes {
    const LONG: Duration = Duration::from_secs(3_600);
    let bus = bed.open(&[Queue::Priority]).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let waiting = Task::start({
        let reader = reader.clone();
        async move { reader.try_receive(1, LONG).await }
    });
    tokio::time::sleep(bed.features().quiet / 2).await;
    let close = async { if receiver { reader.receiver.close().await } else { bus.transport.close().await } };
    bed.bounded("close", close).await??;
    let answer = bed.bounded("the waiting receive", waiting.end()).await??;
    closed("the waiting receive", answer?)
}

async fn settle_after_close(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, numbered(2)).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let held = reader.take(2).await?;
    bed.bounded("close", bus.transport.close()).await??;
    let tokens: Vec<u64> = held.iter().map(|leased| leased.receipt.token()).collect();
    let extended = bed.bounded("extend", reader.receiver.extend(&tokens, bed.features().lease)).await?;
    ensure!(extended.len() == 2, "{} results for 2 tokens", extended.len());
    ensure!(extended.iter().all(Result::is_err), "a lease was extended after the close");
    let batch = held.into_iter().map(|leased| (leased.receipt, Outcome::Ack)).collect();
    for result in reader.try_settle(batch).await? {
        let Err(error) = result else { fail!("a message was settled after the close") };
        let typed = matches!(error.kind(), ErrorKind::Closed | ErrorKind::LeaseLost);
        ensure!(typed, "settling after the close is answered with {error}");
    }
    Ok(())
}
