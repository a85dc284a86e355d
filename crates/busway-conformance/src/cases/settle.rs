//! What becomes of a message by each outcome, and that it is settled once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use busway_core::capability::DepthPrecision;
use busway_core::transport::Selector;
use busway_core::{AbandonSink, Message, Outcome, Queue, Reason, Receipt};

use super::sample::{message, numbered, rich, same};
use super::table;
use crate::suite::{Bed, Outcomes, ensure, fail};

/// How much earlier than due a message may seem to come, for the grain of clocks.
const GRAIN: Duration = Duration::from_millis(10);

table! { "settle":
    "acked-is-gone" acked_is_gone [] "an acknowledged message never comes again";
    "released-comes-back" released_comes_back [] "a released message comes back as it was, no attempt counted";
    "two-of-a-hundred-released" two_of_a_hundred_released [] "2 of 100 are released: all 100 still arrive";
    "released-by-three" released_by_three [] "3 subscribers release 100 times each, then all can be consumed";
    "settles-once" settles_once [] "a token that was settled, or that is not of this reader, settles nothing";
    "foreign-receipt" foreign_receipt [] "a receipt of another transport is refused and its message returns";
    "acks-out-of-order" acks_out_of_order [] "of A, B, C in hand C is acknowledged: A and B still return";
    "results-in-order" results_in_order [] "a batch of every outcome and a bad receipt has a result for each, in order";
    "long-batch" long_batch [] "as many receipts as the transport takes settle at once";
    "cancelled" cancelled [] "after a cancelled settle a message is settled or comes again, and never stays in between";
    "retry-waits-and-counts" retry_waits_and_counts [Delay] "a retried message comes after its delay, one attempt more, with its reason";
    "park-waits" park_waits [Delay] "a parked message comes after its delay, no attempt counted, with its reason";
    "retry-at-once" retry_at_once [] "a retry without a delay comes back, one attempt more";
    "dead-letter" dead_letter [] "a dead message stands in the dead queue with reason, origin and attempts, and nowhere else";
    "never-worn-out" never_worn_out [] "a message handed out many times is not removed or dead by that";
}

async fn acked_is_gone(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, numbered(5)).await?;
    let reader = bus.short_lease(&Queue::Priority).await?;
    let all = reader.take(5).await?;
    reader.ack_all(all).await?;
    let span = bed.features().lease + bed.features().quiet;
    reader.none_for(span, "all were acknowledged").await
}

async fn released_comes_back(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let sent = rich(3);
    bus.publish(&Queue::Priority, vec![sent.clone()]).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    for _ in 0..3 {
        let leased = reader.one().await?;
        same(&sent, &leased.message)?;
        reader.settle(leased, Outcome::Release).await?;
    }
    reader.ack(reader.one().await?).await?;
    reader.none("it was acknowledged").await
}

async fn two_of_a_hundred_released(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, numbered(100)).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let mut released = HashSet::new();
    let mut acked = 0;
    while acked < 100 {
        for leased in reader.some(10).await? {
            let chosen = leased.message.id.ends_with("42") || leased.message.id.ends_with("77");
            if chosen && released.insert(leased.message.id.clone()) {
                reader.settle(leased, Outcome::Release).await?;
            } else {
                reader.ack(leased).await?;
                acked += 1;
            }
        }
    }
    ensure!(released.len() == 2, "{} of 2 messages came to be released", released.len());
    reader.none("all 100 were acknowledged").await
}

async fn released_by_three(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, numbered(10)).await?;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let reader = bus.reader(&Queue::Priority).await?;
        tasks.spawn(async move {
            for _ in 0..100 {
                reader.settle(reader.one().await?, Outcome::Release).await?;
            }
            Ok(())
        });
    }
    tasks.join_all().await.into_iter().collect::<Outcomes>()?;
    bus.reader(&Queue::Priority).await?.drain(10).await?;
    Ok(())
}

async fn settles_once(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, numbered(3)).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let settled = reader.one().await?;
    let spent = settled.receipt.token();
    reader.ack(settled).await?;
    refused(&reader.try_settle(vec![(forged(spent), Outcome::Ack)]).await?, "a token that was settled")?;
    let held = reader.take(2).await?;
    for leased in &held {
        ensure!(leased.receipt.token() != spent, "a token was given to a second message");
        let token = leased.receipt.token();
        refused(&reader.try_settle(vec![(forged(token), Outcome::Ack)]).await?, "a made-up receipt")?;
    }
    refused(&reader.try_settle(vec![(forged(spent), Outcome::Ack)]).await?, "a token that was settled")?;
    reader.settle_all(held, &Outcome::Release).await?;
    bus.reader(&Queue::Priority).await?.drain(2).await.map_err(|e| e.during("after settling twice"))?;
    Ok(())
}

async fn foreign_receipt(bed: Bed) -> Outcomes {
    let here = bed.open(&[Queue::Priority]).await?;
    let there = bed.neighbour().open(&[Queue::Priority]).await?;
    here.publish(&Queue::Priority, vec![message("here")]).await?;
    there.publish(&Queue::Priority, vec![message("there")]).await?;
    let (reader, other) = (here.reader(&Queue::Priority).await?, there.reader(&Queue::Priority).await?);
    let (mine, foreign) = (reader.one().await?, other.one().await?);
    refused(&reader.try_settle(vec![(foreign.receipt, Outcome::Ack)]).await?, "another transport's receipt")?;
    other.ack(other.this("there").await?).await?;
    drop(mine);
    reader.ack(reader.this("here").await?).await
}

async fn acks_out_of_order(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, numbered(3)).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let mut held = reader.take(3).await?;
    held.sort_by(|a, b| a.message.id.cmp(&b.message.id));
    let Some(last) = held.pop() else { fail!("nothing is in hand") };
    reader.ack(last).await?;
    drop(held);
    let mut got = reader.drain(2).await?;
    got.sort_unstable();
    ensure!(got == ["0000", "0001"], "0000 and 0001 were to return, {got:?} came");
    Ok(())
}

async fn results_in_order(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, numbered(5)).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let mut held = reader.take(5).await?;
    held.sort_by(|a, b| a.message.id.cmp(&b.message.id));
    let reason = || Reason::error("tried");
    let outcomes = [
        Outcome::Ack,
        Outcome::Release,
        Outcome::Retry { after: Duration::ZERO, reason: reason() },
        Outcome::Dead { reason: reason(), attempts: 4 },
        Outcome::Ack,
    ];
    let mut batch: Vec<_> = held.into_iter().map(|leased| leased.receipt).zip(outcomes).collect();
    batch.insert(2, (forged(u64::MAX), Outcome::Ack));
    let results = reader.try_settle(batch).await?;
    let told: Vec<bool> = results.iter().map(Result::is_ok).collect();
    ensure!(told == [true, true, false, true, true, true], "results are {results:?}, the third was bad");
    let mut got = bus.reader(&Queue::Priority).await?.drain(2).await?;
    got.sort_unstable();
    ensure!(got == ["0001", "0002"], "0001 and 0002 were given back, {got:?} came");
    bus.reader(&Queue::Dead).await?.this("0003").await?;
    Ok(())
}

async fn long_batch(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let count = bed.capabilities().settle_batch.min(2_000);
    bus.publish(&Queue::Priority, numbered(count)).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let all = reader.take(count).await?;
    reader.ack_all(all).await?;
    reader.none("all were acknowledged").await
}

async fn cancelled(bed: Bed) -> Outcomes {
    const COUNT: usize = 60;
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, numbered(COUNT)).await?;
    let reader = bus.short_lease(&Queue::Priority).await?;
    for (turn, leased) in (0..).zip(reader.take(COUNT).await?) {
        let settle = reader.try_settle(vec![(leased.receipt, Outcome::Ack)]);
        // Whatever it answers in time: what is not settled comes again.
        drop(tokio::time::timeout(Duration::from_micros(turn * 61 % 3_000), settle).await);
    }
    let give_up = Instant::now() + bed.features().patience;
    loop {
        let leased = reader.try_receive(COUNT, bed.features().quiet).await??;
        if !leased.is_empty() {
            reader.ack_all(leased).await?;
            continue;
        }
        let depth = bus.transport.inspect(&Queue::Priority, &Selector::All).await?;
        let left = [depth.ready, depth.in_flight, depth.delayed].into_iter().flatten().sum::<u64>();
        if left == 0 || bed.capabilities().depth != DepthPrecision::Exact {
            return Ok(());
        }
        ensure!(Instant::now() < give_up, "{left} messages are neither settled nor come again: {depth:?}");
    }
}

async fn retry_waits_and_counts(bed: Bed) -> Outcomes {
    let after = bed.features().delay;
    let reason = Reason::error("timeout");
    let sent = rich(2);
    let mut expected = sent.clone();
    (expected.attempt, expected.reason) = (sent.attempt + 1, Some(reason.clone()));
    waits(bed, sent, expected, after, Outcome::Retry { after, reason }).await
}

async fn park_waits(bed: Bed) -> Outcomes {
    let after = bed.features().delay;
    let sent = rich(5);
    let mut expected = sent.clone();
    expected.reason = Some(Reason::Saturated);
    waits(bed, sent, expected, after, Outcome::Park { after, reason: Reason::Saturated }).await
}

async fn waits(
    bed: Bed,
    sent: Message,
    mut expected: Message,
    after: Duration,
    outcome: Outcome,
) -> Outcomes {
    let bus = bed.open(&[Queue::Delayed]).await?;
    bus.publish(&Queue::Delayed, vec![sent]).await?;
    let reader = bus.reader(&Queue::Delayed).await?;
    let leased = reader.one().await?;
    let begun = Instant::now();
    reader.settle(leased, outcome).await?;
    let leased = reader.one().await?;
    let waited = begun.elapsed();
    ensure!(waited + GRAIN >= after, "it was to wait for {after:?} and came after {waited:?}");
    expected.deliver_at = leased.message.deliver_at;
    expected.parked = leased.message.parked;
    same(&expected, &leased.message)?;
    reader.ack(leased).await?;
    reader.none("it was acknowledged").await
}

async fn retry_at_once(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Delayed]).await?;
    bus.publish(&Queue::Delayed, vec![message("tried")]).await?;
    let reader = bus.reader(&Queue::Delayed).await?;
    for attempt in 0..4 {
        let leased = reader.one().await?;
        ensure!(leased.message.attempt == attempt, "attempt {attempt} is told as {}", leased.message.attempt);
        reader
            .settle(leased, Outcome::Retry { after: Duration::ZERO, reason: Reason::error("refused") })
            .await?;
    }
    reader.ack(reader.this("tried").await?).await
}

async fn dead_letter(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let mut first = rich(1);
    first.origin = None;
    let second = rich(2);
    let reader = bus.reader(&Queue::Priority).await?;
    let dead = bus.reader(&Queue::Dead).await?;
    for sent in [first, second] {
        bus.publish(&Queue::Priority, vec![sent.clone()]).await?;
        let reason = Reason::error("reject");
        let outcome = Outcome::Dead { reason: reason.clone(), attempts: 7 };
        reader.settle(reader.one().await?, outcome).await?;
        let got = dead.one().await?;
        let mut expected = sent.clone();
        (expected.reason, expected.attempt) = (Some(reason), 7);
        expected.parked = got.message.parked;
        if expected.origin.is_none() {
            let origin = got.message.origin.clone().unwrap_or_default();
            ensure!(origin.ends_with("/priority"), "it came from priority, its origin is {origin:?}");
            expected.origin = Some(origin);
        }
        same(&expected, &got.message)?;
        dead.ack(got).await?;
    }
    reader.none("both are dead").await?;
    dead.none("both were acknowledged").await
}

async fn never_worn_out(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, vec![message("worn")]).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    // A back-off may grow with each drop, so these are few.
    for _ in 0..3 {
        drop(reader.this("worn").await?);
    }
    for _ in 0..50 {
        reader.settle(reader.this("worn").await?, Outcome::Release).await?;
    }
    reader.ack(reader.this("worn").await?).await?;
    bus.reader(&Queue::Dead).await?.none("nothing is dead").await
}

/// A receipt that nobody has handed out.
fn forged(token: u64) -> Receipt {
    struct Nobody;
    impl AbandonSink for Nobody {
        fn abandoned(&self, _: u64) {}
    }
    Receipt::new(token, Arc::new(Nobody))
}

fn refused(results: &[busway_core::Result<()>], what: &str) -> Outcomes {
    ensure!(results.iter().all(Result::is_err), "{what} was settled");
    Ok(())
}
