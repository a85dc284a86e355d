//! Subscribers that come and go, stops, restarts and crashes: nothing is lost.

use std::collections::HashSet;

use busway_core::clock::now_ms;
use busway_core::transport::{Group, ReceiverOptions};
use busway_core::{Message, Outcome, Publication, Queue, Reason};

use super::sample::{ids, message, numbered, rich, same};
use super::{load, table};
use crate::suite::{Bed, Bus, Outcomes, Reader, ensure, fail};

table! { "life":
    "reopened-subscriber" reopened_subscriber [] "a subscriber closed and reopened over 5,000 messages loses none";
    "ten-closed-at-once" ten_closed_at_once [] "10 subscribers closed at once, messages in hand: all 50 arrive later";
    "concurrency-changed" concurrency_changed [] "readers added and closed while running: the new limit holds, nothing is lost";
    "graceful-stop" graceful_stop [] "a receiver closed while a handler works lets it settle, nothing is dead";
    "forced-stop" forced_stop [Restart] "a transport closed while a handler works gives the message back, no attempt counted, nothing dead";
    "restart" restart [Restart] "ready, delayed, dead and held messages outlive a restart, settled ones do not";
    "crash" crash [Restart] "ready, delayed, dead and held messages outlive a crash, settled ones do not";
    "crash-after-confirm" crash_after_confirm [Restart] "what was confirmed right before a crash is there, and what was settled right before is gone";
    "crash-out-of-order" crash_out_of_order [Restart] "of A, B, C in hand C is acknowledged, then a crash: A and B return, C does not";
    "crash-keeps-groups" crash_keeps_groups [Restart, Groups] "a group's order, its head in hand or waiting, outlives a crash";
    "retried-outlives-a-crash" retried_outlives_a_crash [Restart, Delay] "a retried message keeps its attempts, reason and delay over a crash";
    "restarts-under-load" restarts_under_load [Restart] "restarts amid many publishers and subscribers lose nothing";
}

async fn reopened_subscriber(bed: Bed) -> Outcomes {
    let count = bed.features().count(5_000);
    let bus = bed.open(&[Queue::Priority]).await?;
    let mut acked = HashSet::new();
    let publishing = bus.publish(&Queue::Priority, numbered(count));
    let consuming = async {
        let mut round = 0;
        while acked.len() < count {
            round += 1;
            let reader = bus.reader(&Queue::Priority).await?;
            let mut leased = reader
                .some(count.div_ceil(33))
                .await
                .map_err(|f| f.during(format!("{} acked", acked.len())))?;
            // What is in hand when its subscriber goes comes again.
            let abandoned = if round % 4 == 0 { leased.split_off(leased.len() / 2) } else { Vec::new() };
            acked.extend(leased.iter().map(|leased| leased.message.id.clone()));
            reader.ack_all(leased).await?;
            bed.bounded("close of the receiver", reader.receiver.close()).await??;
            drop(abandoned);
        }
        Ok(())
    };
    let (published, consumed): (Outcomes, Outcomes) = tokio::join!(publishing, consuming);
    published?;
    consumed?;
    bus.reader(&Queue::Priority).await?.none("all were acknowledged").await
}

async fn ten_closed_at_once(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, numbered(20)).await?;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let reader = bus.reader(&Queue::Priority).await?;
        let bed = bed.clone();
        tasks.spawn(async move {
            let held = reader.some(2).await?;
            bed.bounded("close of the receiver", reader.receiver.close()).await??;
            drop(held);
            Ok(())
        });
    }
    tasks.join_all().await.into_iter().collect::<Outcomes>()?;
    bus.publish(&Queue::Priority, (20..50).map(|index| message(&format!("{index:04}"))).collect()).await?;
    let mut got = bus.reader(&Queue::Priority).await?.drain(50).await?;
    got.sort_unstable();
    ensure!(got == ids(50), "other messages came than were sent");
    Ok(())
}

async fn concurrency_changed(bed: Bed) -> Outcomes {
    const EACH: usize = 3;
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, numbered(60)).await?;
    let options = || ReceiverOptions { prefetch: Some(EACH), ..Default::default() };
    let mut readers: Vec<Reader> = Vec::new();
    let mut seen = HashSet::new();
    for running in [2_usize, 5, 1, 3] {
        while readers.len() < running {
            readers.push(bus.reader_with(&Queue::Priority, options()).await?);
        }
        for reader in readers.drain(running..) {
            bed.bounded("close of the receiver", reader.receiver.close()).await??;
        }
        let mut held = Vec::new();
        for reader in &readers {
            held.push(reader.take(EACH).await?);
        }
        for (reader, held) in readers.iter().zip(held) {
            reader.none(&format!("{running} readers have {EACH} messages each")).await?;
            seen.extend(held.iter().map(|leased| leased.message.id.clone()));
            reader.ack_all(held).await?;
        }
    }
    let rest = bus.reader(&Queue::Priority).await?.drain(60 - seen.len()).await?;
    seen.extend(rest);
    ensure!(seen.len() == 60, "{} of 60 messages came", seen.len());
    Ok(())
}

async fn graceful_stop(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, numbered(5)).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let held = reader.take(2).await?;
    let kept: HashSet<String> = held.iter().map(|leased| leased.message.id.clone()).collect();
    bed.bounded("close of the receiver", reader.receiver.close()).await??;
    tokio::time::sleep(bed.features().quiet / 2).await;
    reader.ack_all(held).await?;
    drop(reader);
    let rest = bus.reader(&Queue::Priority).await?.drain(3).await?;
    ensure!(rest.iter().all(|id| !kept.contains(id)), "a settled message came again: {rest:?}");
    bus.reader(&Queue::Dead).await?.none("nothing is dead").await
}

async fn forced_stop(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let sent = rich(8);
    bus.publish(&Queue::Priority, vec![sent.clone()]).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let held = reader.one().await?;
    let bus = bus.restart((reader, held)).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    let again = reader.one().await?;
    same(&sent, &again.message)?;
    reader.ack(again).await?;
    reader.none("it was acknowledged").await?;
    bus.reader(&Queue::Dead).await?.none("nothing is dead").await
}

async fn restart(bed: Bed) -> Outcomes {
    outlives(bed, false).await
}

async fn crash(bed: Bed) -> Outcomes {
    outlives(bed, true).await
}

async fn outlives(bed: Bed, crash: bool) -> Outcomes {
    let bus = bed.open(&[Queue::Priority, Queue::Delayed]).await?;
    let sent: Vec<Message> = (0..30).map(rich).collect();
    bus.publish(&Queue::Priority, sent.clone()).await?;
    let due = now_ms() + u64::try_from(bed.features().delay.as_millis()).unwrap_or(0) * 3;
    let delays = bed.capabilities().delay.available();
    if delays {
        bus.publish(&Queue::Delayed, vec![message("delayed").deliver_at(due)]).await?;
    }
    let reader = bus.short_lease(&Queue::Priority).await?;
    let mut held = reader.take(9).await?;
    let acked: HashSet<String> = held.iter().take(3).map(|leased| leased.message.id.clone()).collect();
    let rest = held.split_off(3);
    reader.ack_all(held).await?;
    let mut held = rest;
    let Some(dead) = held.pop() else { fail!("nothing is in hand") };
    let dead_id = dead.message.id.clone();
    reader.settle(dead, Outcome::Dead { reason: Reason::error("reject"), attempts: 2 }).await?;
    let held = (reader, held);
    let bus = if crash { bus.crash(held).await? } else { bus.restart(held).await? };
    if delays {
        let reader = bus.reader(&Queue::Delayed).await?;
        let leased = reader.this("delayed").await?;
        ensure!(now_ms() >= due, "it came {} ms early", due.saturating_sub(now_ms()));
        reader.ack(leased).await?;
    }
    still_there(&bus, sent, &acked, &dead_id).await
}

async fn still_there(bus: &Bus, sent: Vec<Message>, acked: &HashSet<String>, dead_id: &str) -> Outcomes {
    let dead = bus.reader(&Queue::Dead).await?;
    dead.ack(dead.this(dead_id).await?).await?;
    let left = |message: &Message| !acked.contains(&message.id) && message.id != dead_id;
    let mut expected: Vec<Message> = sent.into_iter().filter(left).collect();
    expected.sort_by(|a, b| a.id.cmp(&b.id));
    let reader = bus.reader(&Queue::Priority).await?;
    let mut got = reader.take(expected.len()).await?;
    got.sort_by(|a, b| a.message.id.cmp(&b.message.id));
    for (expected, got) in expected.iter().zip(&got) {
        same(expected, &got.message)?;
    }
    reader.ack_all(got).await?;
    reader.none("all that was left has come").await
}

async fn crash_after_confirm(bed: Bed) -> Outcomes {
    let mut bus = bed.open(&[Queue::Priority]).await?;
    for round in 0..5 {
        let messages: Vec<Message> = (0..40).map(|index| message(&format!("{round}-{index:02}"))).collect();
        bus.publish(&Queue::Priority, messages).await?;
        bus = bus.crash(()).await?;
        let reader = bus.reader(&Queue::Priority).await?;
        let mut all = reader.take(40).await.map_err(|f| f.during("after the crash"))?;
        let kept = all.split_off(20);
        let kept_ids: HashSet<String> = kept.iter().map(|leased| leased.message.id.clone()).collect();
        reader.ack_all(all).await?;
        bus = bus.crash((reader, kept)).await?;
        let reader = bus.reader(&Queue::Priority).await?;
        let got = reader.drain(20).await?;
        ensure!(got.iter().all(|id| kept_ids.contains(id)), "an acknowledged message came again");
    }
    Ok(())
}

async fn crash_out_of_order(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.publish(&Queue::Priority, numbered(3)).await?;
    let reader = bus.short_lease(&Queue::Priority).await?;
    let mut held = reader.take(3).await?;
    held.sort_by(|a, b| a.message.id.cmp(&b.message.id));
    let Some(last) = held.pop() else { fail!("nothing is in hand") };
    reader.ack(last).await?;
    let bus = bus.crash((reader, held)).await?;
    let mut got = bus.reader(&Queue::Priority).await?.drain(2).await?;
    got.sort_unstable();
    ensure!(got == ["0000", "0001"], "0000 and 0001 were to return, {got:?} came");
    Ok(())
}

async fn crash_keeps_groups(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Delayed]).await?;
    let at = |id: &str, position: Option<u64>| {
        let group = Some(Group { key: 1, position });
        Publication { group, ..Publication::new(Queue::Delayed, message(id)) }
    };
    let batch = vec![at("last", None), at("20", Some(20)), at("10", Some(10)), at("5", Some(5))];
    bus.publish_all(batch).await?;
    let reader = bus.short_lease(&Queue::Delayed).await?;
    reader.ack(reader.this("5").await?).await?;
    let held = reader.this("10").await?;
    let bus = bus.crash((reader, held)).await?;
    let reader = bus.reader(&Queue::Delayed).await?;
    let head = reader.this("10").await?;
    reader.none("the head is in hand").await?;
    reader.ack(head).await?;
    if bed.capabilities().delay.available() {
        let outcome = Outcome::Park { after: bed.features().delay, reason: Reason::Breaker };
        reader.settle(reader.this("20").await?, outcome).await?;
    }
    let bus = bus.crash(reader).await?;
    let reader = bus.reader(&Queue::Delayed).await?;
    for id in ["20", "last"] {
        reader.ack(reader.this(id).await?).await?;
    }
    Ok(())
}

async fn retried_outlives_a_crash(bed: Bed) -> Outcomes {
    let after = bed.features().delay * 2;
    let bus = bed.open(&[Queue::Delayed]).await?;
    bus.publish(&Queue::Delayed, vec![message("tried")]).await?;
    let reader = bus.reader(&Queue::Delayed).await?;
    let leased = reader.one().await?;
    let due = now_ms() + u64::try_from(after.as_millis()).unwrap_or(0);
    let reason = Reason::error("refused");
    reader.settle(leased, Outcome::Retry { after, reason: reason.clone() }).await?;
    let bus = bus.crash(reader).await?;
    let reader = bus.reader(&Queue::Delayed).await?;
    let leased = reader.this("tried").await?;
    ensure!(now_ms() + 10 >= due, "it came {} ms early", due.saturating_sub(now_ms()));
    let Message { attempt, reason: told, .. } = &leased.message;
    ensure!(*attempt == 1, "one attempt was made, {attempt} are told");
    ensure!(told.as_ref() == Some(&reason), "the reason was {reason}, {told:?} is told");
    reader.ack(leased).await
}

async fn restarts_under_load(bed: Bed) -> Outcomes {
    let count = bed.features().count(3_000);
    let bus = bed.open(&[Queue::Priority]).await?;
    let load = load::Load::start(bus, numbered(count), 20, 8);
    for share in [count / 3, count / 2] {
        load.acknowledged(share).await?;
        load.restart().await?;
    }
    let ledger = load.finish().await?;
    let verdict = ledger.verdict();
    ensure!(verdict.is_valid(), "{verdict}");
    ensure!(verdict.acked == count as u64, "{verdict}");
    Ok(())
}
