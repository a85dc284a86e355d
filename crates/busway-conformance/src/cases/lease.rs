//! Messages in hand that nobody settles: dropped receipts, leases that end or are extended.

use std::time::Instant;

use busway_core::error::ErrorKind;
use busway_core::transport::ReceiverOptions;
use busway_core::{Leased, Outcome, Queue};

use super::sample::{message, numbered, rich, same};
use super::table;
use crate::suite::{Bed, Failure, Outcomes, Task, ensure, fail};

table! { "lease":
    "dropped-comes-back" dropped_comes_back [] "a receipt dropped by a panic or a cancelled task is redelivered, never acknowledged";
    "settled-after-receiver-closed" settled_after_receiver_closed [] "what is in hand outlives its receiver: settled it is gone, dropped it returns";
    "lease-ends" lease_ends [Lease] "a message not settled in time returns, and its old receipt settles nothing";
    "extended-stays" extended_stays [Lease] "a message whose lease is extended in time does not return";
    "extend-answers-each" extend_answers_each [] "extend answers each token in order, LeaseLost for what is not held";
}

async fn dropped_comes_back(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let sent = rich(4);
    bus.publish(&Queue::Priority, vec![sent.clone()]).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    drop(reader.one().await?);
    let leased = reader.one().await.map_err(|failure| failure.during("after a drop"))?;
    same(&sent, &leased.message)?;
    let cancelled = Task::start(async move {
        std::future::pending::<()>().await;
        drop(leased);
    });
    tokio::task::yield_now().await;
    drop(cancelled);
    let leased = reader.one().await.map_err(|failure| failure.during("after a cancelled task"))?;
    same(&sent, &leased.message)?;
    drop_in_panic(leased);
    let leased = reader.one().await.map_err(|failure| failure.during("after a panic"))?;
    same(&sent, &leased.message)?;
    reader.ack(leased).await?;
    reader.none("it was acknowledged").await
}

async fn settled_after_receiver_closed(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, numbered(2)).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let mut held = reader.take(2).await?;
    bed.bounded("close of the receiver", reader.receiver.close()).await??;
    let (Some(dropped), Some(acked)) = (held.pop(), held.pop()) else { fail!("nothing is in hand") };
    let id = dropped.message.id.clone();
    reader.ack(acked).await.map_err(|failure| failure.during("after the receiver was closed"))?;
    drop(dropped);
    drop(reader);
    let got = bus.reader(&Queue::Priority).await?.drain(1).await?;
    ensure!(got == [id.as_str()], "{id} was to return, {got:?} came");
    Ok(())
}

async fn lease_ends(bed: Bed) -> Outcomes {
    let lease = bed.features().lease;
    let bus = bed.open(&[Queue::Priority]).await?;
    let sent = rich(6);
    bus.publish(&Queue::Priority, vec![sent.clone()]).await?;
    let options = ReceiverOptions { lease: Some(lease), ..Default::default() };
    let reader = bus.reader_with(&Queue::Priority, options).await?;
    let other = bus.reader(&Queue::Priority).await?;
    let begun = Instant::now();
    let stale = reader.one().await?;
    let again = other.one().await.map_err(|failure| failure.during("after the lease ended"))?;
    let held = begun.elapsed();
    ensure!(held >= lease / 2, "a lease of {lease:?} ended after {held:?}");
    same(&sent, &again.message)?;
    let tokens = [stale.receipt.token()];
    for result in bed.bounded("extend", reader.receiver.extend(&tokens, lease)).await? {
        let Err(error) = result else { fail!("a lease that has ended was extended") };
        ensure!(error.kind() == ErrorKind::LeaseLost, "a lease that has ended is answered with {error}");
    }
    for result in reader.try_settle(vec![(stale.receipt, Outcome::Ack)]).await? {
        let Err(error) = result else { fail!("a receipt whose lease has ended was settled") };
        ensure!(
            error.kind() == ErrorKind::LeaseLost,
            "a receipt whose lease has ended is answered with {error}"
        );
    }
    other.settle(again, Outcome::Release).await?;
    other.ack(other.one().await.map_err(|failure| failure.during("after a late acknowledgement"))?).await
}

async fn extended_stays(bed: Bed) -> Outcomes {
    let lease = bed.features().lease;
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, vec![message("extended")]).await?;
    let options = ReceiverOptions { lease: Some(lease), ..Default::default() };
    let reader = bus.reader_with(&Queue::Priority, options).await?;
    let other = bus.reader(&Queue::Priority).await?;
    let held = reader.one().await?;
    let tokens = [held.receipt.token()];
    for (by, span) in [(lease * 3, lease * 2), (lease * 2, lease)] {
        for result in bed.bounded("extend", reader.receiver.extend(&tokens, by)).await? {
            result.map_err(|error| Failure::from(error).during("extend"))?;
        }
        other.none_for(span, "the only message is in hand and its lease extended").await?;
    }
    reader.ack(held).await?;
    other.none("it was acknowledged").await
}

async fn extend_answers_each(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, numbered(3)).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let mut held = reader.take(3).await?;
    let tokens: Vec<u64> = held.iter().map(|leased| leased.receipt.token()).collect();
    reader.ack(held.remove(1)).await?;
    let asked = [tokens[0], tokens[1], tokens[2], u64::MAX];
    let results = bed.bounded("extend", reader.receiver.extend(&asked, bed.features().lease)).await?;
    ensure!(results.len() == asked.len(), "{} results for {} tokens", results.len(), asked.len());
    for (index, result) in results.into_iter().enumerate() {
        match (index, result) {
            (0 | 2, Ok(())) => {}
            (0 | 2, Err(error)) => fail!("a held message's lease is not extended: {error}"),
            (_, Ok(())) => fail!("the lease of a message that is not held was extended"),
            (_, Err(error)) => {
                ensure!(error.kind() == ErrorKind::LeaseLost, "a lost lease is answered with {error}");
            }
        }
    }
    reader.ack_all(held).await
}

/// Drops it the way a handler's panic does, without the panic's noise.
fn drop_in_panic(leased: Leased) {
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _in_hand = leased;
        std::panic::resume_unwind(Box::new("a handler's panic"));
    }));
    debug_assert!(unwound.is_err());
}
