//! Messages that are not to come before their time.

use std::time::Duration;

use busway_core::clock::{Millis, now_ms};
use busway_core::{Message, Queue};

use super::sample::{message, named, numbered};
use super::table;
use crate::suite::{Bed, Outcomes, Reader, ensure};

table! { "delay":
    "not-early" not_early [Delay] "a delayed message does not come before its time, and comes soon after";
    "past-due-comes-at-once" past_due_comes_at_once [Delay] "a moment that has passed delays nothing";
    "holds-nothing-up" holds_nothing_up [Delay] "delayed messages hold up none that is ready";
    "beyond-the-cap" beyond_the_cap [Delay] "a delay longer than the broker's own cap is taken, and not cut short";
}

async fn not_early(bed: Bed) -> Outcomes {
    let queues = [Queue::Delayed, Queue::Priority, named("further")?];
    let bus = bed.open(&queues).await?;
    let delay = millis(bed.features().delay);
    for queue in &queues {
        let begun = now_ms();
        let due = |index: u64| begun + delay / 2 + index * delay / 10;
        // The latest is published first, so that order of publishing is not what makes them come.
        let messages = (0..10).rev().map(|index| message(&format!("{index}")).deliver_at(due(index)));
        bus.publish(queue, messages.collect()).await?;
        let reader = bus.reader(queue).await?;
        on_time(&bed, &reader, 10).await?;
    }
    Ok(())
}

async fn past_due_comes_at_once(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Delayed]).await?;
    let messages: Vec<Message> = [0, 1, now_ms() - 60_000, now_ms()]
        .into_iter()
        .map(|due| message(&format!("due-{due}")).deliver_at(due))
        .collect();
    let count = messages.len();
    bus.publish(&Queue::Delayed, messages).await?;
    bus.reader(&Queue::Delayed).await?.drain(count).await?;
    Ok(())
}

async fn holds_nothing_up(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Delayed]).await?;
    let late = now_ms() + millis(bed.features().patience) * 4;
    let delayed = (0..50).map(|index| message(&format!("late-{index}")).deliver_at(late));
    bus.publish(&Queue::Delayed, delayed.collect()).await?;
    bus.publish(&Queue::Delayed, numbered(20)).await?;
    let got = bus.reader(&Queue::Delayed).await?.drain(20).await?;
    ensure!(got.iter().all(|id| !id.starts_with("late")), "a delayed one came: {got:?}");
    Ok(())
}

async fn beyond_the_cap(bed: Bed) -> Outcomes {
    const SHORT: Duration = Duration::from_secs(5);
    let bus = bed.open(&[Queue::Delayed]).await?;
    let cap = bed.capabilities().delay_cap.unwrap_or(Duration::from_secs(3_600));
    let short = now_ms() + millis(cap + Duration::from_millis(500));
    let far = now_ms() + millis(cap.saturating_mul(2).saturating_add(Duration::from_secs(90 * 24 * 3_600)));
    let messages = vec![message("far").deliver_at(far), message("over").deliver_at(short)];
    bus.publish(&Queue::Delayed, messages).await?;
    let reader = bus.reader(&Queue::Delayed).await?;
    if cap <= SHORT {
        on_time(&bed, &reader, 1).await?;
    }
    reader.none("both have months or more than the cap to go").await
}

/// Takes `count` messages, each at its due time or soon after, and acknowledges them.
async fn on_time(bed: &Bed, reader: &Reader, count: usize) -> Outcomes {
    let slack = millis(bed.features().slack);
    for _ in 0..count {
        let leased = reader.one().await?;
        let (now, due) = (now_ms(), leased.message.deliver_at.unwrap_or_default());
        let id = &leased.message.id;
        ensure!(due > 0, "{id} came without its due time");
        ensure!(now >= due, "{id} came {} ms early", due.saturating_sub(now));
        ensure!(now <= due + slack, "{id} came {} ms late", now.saturating_sub(due));
        reader.ack(leased).await?;
    }
    Ok(())
}

fn millis(span: Duration) -> Millis {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
