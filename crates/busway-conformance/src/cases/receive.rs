//! What a receive hands out, how much of it, and when it returns.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use busway_core::clock::now_ms;
use busway_core::error::ErrorKind;
use busway_core::transport::{ReceiverOptions, Want};
use busway_core::{Leased, Outcome, Queue, Reason};

use super::sample::{message, numbered};
use super::table;
use crate::suite::{Bed, Outcomes, Reader, Task, ensure, fail};

table! { "receive":
    "waits-for-the-first" waits_for_the_first [] "a receive on an empty queue waits, ends with the first message, and ends empty at its deadline";
    "past-deadline-asks-at-once" past_deadline_asks_at_once [] "a receive whose deadline has passed takes what is there and does not wait";
    "max" max [] "a receive hands out no more messages than were asked for";
    "max-bytes" max_bytes [] "a receive stops once the weight asked for is reached, and always hands out one";
    "prefetch-is-exact" prefetch_is_exact [] "no more messages are in hand than the prefetch says; each one settled lets in one";
    "cancelled-loses-nothing" cancelled_loses_nothing [] "a cancelled receive loses no message";
    "ready" ready [] "ready tells of a message that is there, and takes none";
    "held-is-held" held_is_held [] "a message in hand is handed to nobody else";
    "competing" competing [] "readers of one queue share its messages, none comes to two";
    "deliveries-are-counted" deliveries_are_counted [DeliveryCount] "the count of deliveries goes up with each, until there is an outcome";
    "stamps" stamps [] "position and time of enqueueing are right where they are given";
}

async fn waits_for_the_first(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let (quiet, begun) = (bed.features().quiet, Instant::now());
    reader.none("nothing was published").await?;
    let waited = begun.elapsed();
    ensure!(
        waited + Duration::from_millis(20) >= quiet,
        "an empty receive ended after {waited:?} of {quiet:?}"
    );
    let waiting = Task::start({
        let reader = reader.clone();
        async move { reader.one().await.map(|leased| (leased, Instant::now())) }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    bus.publish(&Queue::Priority, vec![message("first")]).await?;
    let published = Instant::now();
    let (leased, at) = waiting.end().await??;
    let late = at.saturating_duration_since(published);
    ensure!(late < bed.features().slack, "a waiting receive ended {late:?} after the publish");
    reader.ack(leased).await
}

async fn past_deadline_asks_at_once(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let now = || Want { max: 10, max_bytes: usize::MAX, until: Instant::now() };
    ensure!(reader.want(now()).await??.is_empty(), "an empty queue had messages");
    bus.publish(&Queue::Priority, numbered(5)).await?;
    let give_up = Instant::now() + bed.features().patience;
    let mut got = Vec::new();
    while got.len() < 5 {
        ensure!(Instant::now() < give_up, "{} of 5 messages came to receives that do not wait", got.len());
        got.extend(reader.want(now()).await??);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    reader.ack_all(got).await
}

async fn max(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, numbered(30)).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let nothing = reader.try_receive(0, bed.features().quiet).await??;
    ensure!(nothing.is_empty(), "a receive of no message brought {}", nothing.len());
    let mut held = Vec::new();
    for most in [1, 3, 7] {
        held.extend(reader.some(most).await?);
    }
    let rest = 30 - held.len();
    held.extend(reader.take(rest).await?);
    reader.ack_all(held).await?;
    reader.none("all were taken").await
}

async fn max_bytes(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let large = |index: usize| {
        let mut message = message(&format!("{index:04}"));
        message.data = vec![b'x'; 10_000].into();
        message
    };
    bus.publish(&Queue::Priority, (0..12).map(large).collect()).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let weight = large(0).weight();
    let until = Instant::now() + bed.features().patience;
    let mut held = Vec::new();
    for (max_bytes, most) in [(1, 1), (weight, 1), (weight * 3, 3), (weight * 2 + weight / 2, 3)] {
        let got = reader.want(Want { max: 10, max_bytes, until }).await??;
        ensure!(!got.is_empty(), "nothing came where {max_bytes} bytes were asked for");
        ensure!(
            got.len() <= most,
            "{} messages of {weight} bytes came where {max_bytes} were asked for",
            got.len()
        );
        held.extend(got);
    }
    let rest = 12 - held.len();
    held.extend(reader.take(rest).await?);
    reader.ack_all(held).await
}

async fn prefetch_is_exact(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, numbered(20)).await?;
    let options = ReceiverOptions { prefetch: Some(5), ..Default::default() };
    let reader = bus.reader_with(&Queue::Priority, options).await?;
    let mut held = reader.take(5).await?;
    reader.none("5 messages are in hand, the prefetch").await?;
    for outcome in [Outcome::Ack, Outcome::Release] {
        for _ in 0..2 {
            let Some(leased) = held.pop() else { fail!("no message is in hand") };
            reader.settle(leased, outcome.clone()).await?;
        }
        held.extend(reader.take(2).await?);
        reader.none("5 messages are in hand again").await?;
    }
    drop(held.split_off(3));
    held.extend(reader.take(2).await?);
    reader.none("2 receipts were dropped and 2 messages taken for them").await?;
    let other = bus.reader(&Queue::Priority).await?;
    let rest = other.take(20 - 2 - held.len()).await?;
    other.ack_all(rest).await?;
    reader.ack_all(held).await
}

async fn cancelled_loses_nothing(bed: Bed) -> Outcomes {
    const COUNT: usize = 200;
    let bus = bed.open(&[Queue::Priority]).await?;
    let reader = bus.short_lease(&Queue::Priority).await?;
    let mut acked = HashSet::new();
    let mut cancelled = 0;
    let mut messages = numbered(COUNT);
    let streamed = messages.split_off(COUNT / 2);
    // With a backlog most receives are cancelled with messages in their hands.
    bus.publish(&Queue::Priority, messages).await?;
    let publishing = async {
        for batch in streamed.chunks(5) {
            bus.publish(&Queue::Priority, batch.to_vec()).await?;
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
        Ok(())
    };
    let receiving = async {
        for turn in 0..COUNT as u64 {
            let receive = reader.receiver.receive(Want::new(3, bed.features().patience));
            match tokio::time::timeout(Duration::from_micros(turn * 37 % 5_000), receive).await {
                Ok(leased) => acked.extend(ack_in_time(&reader, leased?).await?),
                Err(_) => cancelled += 1,
            }
        }
        Ok(())
    };
    let (published, received): (Outcomes, Outcomes) = tokio::join!(publishing, receiving);
    published?;
    received?;
    ensure!(cancelled > 0, "no receive was cancelled");
    while acked.len() < COUNT {
        let leased = reader.some(100).await.map_err(|failure| {
            failure.during(format!("{} of {COUNT} came, {cancelled} receives were cancelled", acked.len()))
        })?;
        acked.extend(ack_in_time(&reader, leased).await?);
    }
    Ok(())
}

/// Acknowledges; answers the ids of those whose short lease had not ended before.
async fn ack_in_time(reader: &Reader, leased: Vec<Leased>) -> Outcomes<Vec<String>> {
    let (ids, batch): (Vec<_>, Vec<_>) =
        leased.into_iter().map(|leased| (leased.message.id, (leased.receipt, Outcome::Ack))).unzip();
    let mut acked = Vec::with_capacity(ids.len());
    for (id, result) in ids.into_iter().zip(reader.try_settle(batch).await?) {
        match result {
            Ok(()) => acked.push(id),
            Err(error) if error.kind() == ErrorKind::LeaseLost => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(acked)
}

async fn ready(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let until = |span| Instant::now() + span;
    let features = bed.features();
    bed.bounded("ready", reader.receiver.ready(until(features.quiet))).await??;
    bus.publish(&Queue::Priority, vec![message("there")]).await?;
    for _ in 0..3 {
        let found = bed.bounded("ready", reader.receiver.ready(until(features.patience))).await??;
        ensure!(found, "a message is there and ready says no");
    }
    let other = bus.reader(&Queue::Priority).await?;
    other.ack(other.this("there").await?).await
}

async fn held_is_held(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, vec![message("held")]).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let other = bus.reader(&Queue::Priority).await?;
    let held = reader.one().await?;
    other.none("the only message is in another's hand").await?;
    reader.none("the only message is in hand").await?;
    reader.ack(held).await?;
    other.none("the only message was acknowledged").await
}

async fn competing(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, numbered(40)).await?;
    let readers = [bus.reader(&Queue::Priority).await?, bus.reader(&Queue::Priority).await?];
    let mut seen = HashSet::new();
    let mut held = [Vec::new(), Vec::new()];
    for _ in 0..20 {
        for (reader, held) in readers.iter().zip(&mut held) {
            let leased = reader.one().await?;
            ensure!(seen.insert(leased.message.id.clone()), "{} came to two", leased.message.id);
            held.push(leased);
        }
    }
    for (reader, held) in readers.iter().zip(held) {
        reader.ack_all(held).await?;
        reader.none("all were acknowledged").await?;
    }
    Ok(())
}

async fn deliveries_are_counted(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, vec![message("counted")]).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    for (delivery, expected) in [1, 2, 3, 1, 2, 1].into_iter().enumerate() {
        let leased = reader.one().await?;
        ensure!(
            leased.deliveries == Some(expected),
            "delivery {delivery} is counted as {:?}, not {expected}",
            leased.deliveries
        );
        let reason = Reason::error("refused");
        match delivery {
            2 => reader.settle(leased, Outcome::Release).await?,
            4 => reader.settle(leased, Outcome::Retry { after: Duration::ZERO, reason }).await?,
            5 => reader.ack(leased).await?,
            _ => drop(leased),
        }
    }
    Ok(())
}

async fn stamps(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let before = now_ms();
    for message in numbered(10) {
        bus.publish(&Queue::Priority, vec![message]).await?;
    }
    let after = now_ms();
    let reader = bus.reader(&Queue::Priority).await?;
    let mut got = reader.take(10).await?;
    got.sort_by(|a, b| a.message.id.cmp(&b.message.id));
    let slack = u64::try_from(bed.features().slack.as_millis()).unwrap_or(u64::MAX);
    for leased in &got {
        let Some(at) = leased.enqueued else { continue };
        let right = at.saturating_add(slack) >= before && at <= after.saturating_add(slack);
        ensure!(right, "{} was published in {before}..={after} and is stamped {at}", leased.message.id);
    }
    let positions: Vec<u64> = got.iter().filter_map(|leased| leased.position).collect();
    ensure!(
        positions.is_empty() || positions.len() == got.len(),
        "some messages have a position, others none"
    );
    let rising = positions.windows(2).all(|pair| pair[0] < pair[1]);
    ensure!(rising || !bed.capabilities().order.available(), "positions do not rise: {positions:?}");
    reader.ack_all(got).await
}
