//! Looking at a queue: figures, rows by destination and account, single messages; emptying it.

use std::time::Instant;

use busway_core::capability::DepthPrecision;
use busway_core::clock::now_ms;
use busway_core::transport::{Depth, Filter, Selector, Standing};
use busway_core::{Message, Queue};

use super::sample::{grouped, ids, message, numbered, same};
use super::table;
use crate::suite::{Bed, Bus, Outcomes, ensure, fail};

table! { "depth":
    "figures" figures [Depth] "ready, in flight, delayed, oldest and bytes agree with what was put in";
    "figures-of-a-part" figures_of_a_part [Depth, Selectors] "figures of a part count that part alone";
    "figures-behind-a-head" figures_behind_a_head [Depth, Groups, Delay] "what stands behind a delayed head counts as delayed";
    "breakdown" breakdown [] "rows by destination and account add up, largest first, where there are any";
    "peek" peek [] "peek shows messages oldest first and takes none";
    "peek-a-part" peek_a_part [Selectors] "peek shows a part alone";
    "purge" purge [] "purge removes all that is not in hand, and tells how many";
}

/// How many messages of each kind are expected; a figure that the broker has not may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    ready: u64,
    in_flight: u64,
    delayed: u64,
}

impl Counts {
    fn agree(self, depth: &Depth) -> bool {
        let pairs =
            [(depth.ready, self.ready), (depth.in_flight, self.in_flight), (depth.delayed, self.delayed)];
        pairs.into_iter().all(|(told, expected)| told.is_none_or(|told| told == expected))
    }
}

/// Inspects until the figures agree; they may be as stale as the capabilities say.
async fn agree(bus: &Bus, selector: &Selector, expected: Counts) -> Outcomes<Depth> {
    let staleness = match bus.bed.capabilities().depth {
        DepthPrecision::Within(staleness) => staleness,
        _ => std::time::Duration::ZERO,
    };
    let give_up = Instant::now() + staleness + bus.bed.features().slack;
    loop {
        let depth = bus.bed.bounded("inspect", bus.transport.inspect(&Queue::Delayed, selector)).await??;
        ensure!(depth.ready.is_some(), "the number of ready messages is not told");
        if expected.agree(&depth) {
            return Ok(depth);
        }
        ensure!(Instant::now() < give_up, "{expected:?} were to be seen, {depth:?} was");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn figures(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Delayed]).await?;
    agree(&bus, &Selector::All, Counts { ready: 0, in_flight: 0, delayed: 0 }).await?;
    let begun = now_ms();
    let (accepted, due) = (begun - 60_000, begun + 3_600_000);
    let with_age = |mut message: Message| {
        message.accepted = Some(accepted);
        message
    };
    bus.publish(&Queue::Delayed, numbered(10).into_iter().map(with_age).collect()).await?;
    let delayed = if bed.capabilities().delay.available() { 4 } else { 0 };
    let later = (0..delayed).map(|index| message(&format!("later-{index}")).deliver_at(due + index));
    bus.publish(&Queue::Delayed, later.collect()).await?;
    let reader = bus.reader(&Queue::Delayed).await?;
    let held = reader.take(3).await?;
    let depth = agree(&bus, &Selector::All, Counts { ready: 7, in_flight: 3, delayed }).await?;
    let slack = u64::try_from(bed.features().slack.as_millis()).unwrap_or(u64::MAX);
    let near = |told: Option<u64>, right: u64| told.is_none_or(|told| told.abs_diff(right) <= slack);
    ensure!(
        near(depth.oldest, accepted),
        "the oldest was accepted at {accepted}, {:?} is told",
        depth.oldest
    );
    ensure!(delayed == 0 || near(depth.next_due, due), "{due} is due next, {:?} is told", depth.next_due);
    let payload = 14 * numbered(1)[0].data.len() as u64;
    ensure!(depth.bytes.is_none_or(|bytes| bytes >= payload / 2), "{:?} bytes are told", depth.bytes);
    if bed.capabilities().order.available()
        && let Some(lowest) = depth.lowest_ready
    {
        let next = reader.this("0003").await?;
        ensure!(next.position == Some(lowest), "{lowest} is told as the next, {:?} came", next.position);
        reader.settle(next, busway_core::Outcome::Release).await?;
    }
    reader.ack_all(held).await?;
    agree(&bus, &Selector::All, Counts { ready: 7, in_flight: 0, delayed }).await?;
    reader.drain(7).await?;
    agree(&bus, &Selector::All, Counts { ready: 0, in_flight: 0, delayed }).await?;
    Ok(())
}

fn to(id: String, destination: Option<&str>, account: Option<&str>) -> Message {
    let mut message = message(&id);
    message.destination = destination.map(str::to_owned);
    message.account = account.map(str::to_owned);
    message
}

async fn three_kinds(bed: &Bed) -> Outcomes<Bus> {
    let bus = bed.open(&[Queue::Delayed]).await?;
    let mut messages: Vec<Message> = (0..6).map(|i| to(format!("a{i}"), Some("a"), Some("acme"))).collect();
    messages.extend((0..3).map(|i| to(format!("b{i}"), Some("b"), Some("acme"))));
    messages.extend((0..2).map(|i| to(format!("n{i}"), None, None)));
    bus.publish(&Queue::Delayed, messages).await?;
    Ok(bus)
}

async fn figures_of_a_part(bed: Bed) -> Outcomes {
    let bus = three_kinds(&bed).await?;
    let reader = bus.selecting(&Queue::Delayed, Selector::Destination("a".into())).await?;
    let held = reader.take(2).await?;
    let acme = Filter { account: Some("acme".to_owned()), ..Filter::default() };
    let parts = [
        (Selector::Destination("a".into()), 4, 2),
        (Selector::Destination("b".into()), 3, 0),
        (Selector::Destination("c".into()), 0, 0),
        (Selector::NoDestination, 2, 0),
        (Selector::Matching(acme), 7, 2),
        (Selector::All, 9, 2),
    ];
    for (selector, ready, in_flight) in parts {
        let expected = Counts { ready, in_flight, delayed: 0 };
        agree(&bus, &selector, expected).await.map_err(|f| f.during(format!("{selector:?}")))?;
    }
    reader.ack_all(held).await
}

async fn figures_behind_a_head(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Delayed]).await?;
    let due = now_ms() + 3_600_000;
    let head = message("head").deliver_at(due);
    let mut batch = vec![grouped(&Queue::Delayed, head, 1)];
    batch.extend(numbered(2).into_iter().map(|message| grouped(&Queue::Delayed, message, 1)));
    bus.publish_all(batch).await?;
    agree(&bus, &Selector::All, Counts { ready: 0, in_flight: 0, delayed: 3 }).await?;
    let seen = bed.bounded("peek", bus.transport.peek(&Queue::Delayed, &Selector::All, 0, 10)).await??;
    for peeked in &seen {
        let right = match peeked.standing {
            Standing::Delayed(told) => peeked.message.id == "head" && (due..due + 10_000).contains(&told),
            standing => peeked.message.id != "head" && standing == Standing::Behind,
        };
        ensure!(right, "{} is due at {due} and is seen as {:?}", peeked.message.id, peeked.standing);
    }
    ensure!(seen.len() == 3, "3 messages are there, {} are seen", seen.len());
    Ok(())
}

async fn breakdown(bed: Bed) -> Outcomes {
    let bus = three_kinds(&bed).await?;
    let reader = bus.reader(&Queue::Delayed).await?;
    let held = reader.take(1).await?;
    let rows = bed.bounded("breakdown", bus.transport.breakdown(&Queue::Delayed, 10)).await??;
    let told: Vec<_> =
        rows.iter().map(|row| (row.destination.as_deref(), row.account.as_str(), row.messages)).collect();
    let right = [(Some("a"), "acme", 6), (Some("b"), "acme", 3), (None, "-", 2)];
    ensure!(told.is_empty() || told == right, "{right:?} were put in, {told:?} are told");
    let first = bed.bounded("breakdown", bus.transport.breakdown(&Queue::Delayed, 1)).await??;
    ensure!(first.len() == rows.len().min(1), "one row was asked for, {} came", first.len());
    ensure!(first.first() == rows.first(), "the first row alone is another than the first of all");
    reader.ack_all(held).await
}

async fn peek(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Delayed]).await?;
    let sent = numbered(10);
    bus.publish(&Queue::Delayed, sent.clone()).await?;
    let look = |skip, max| bus.transport.peek(&Queue::Delayed, &Selector::All, skip, max);
    let seen = bed.bounded("peek", look(0, 100)).await??;
    ensure!(seen.len() == 10, "10 messages are there, {} are seen", seen.len());
    let ordered = bed.capabilities().order.available();
    for (sent, peeked) in sent.iter().zip(&seen) {
        if ordered {
            same(sent, &peeked.message)?;
        }
        ensure!(peeked.standing == Standing::Ready, "{} is seen as {:?}", sent.id, peeked.standing);
    }
    let part = bed.bounded("peek", look(3, 4)).await??;
    let part: Vec<&str> = part.iter().map(|peeked| peeked.message.id.as_str()).collect();
    ensure!(part.len() == 4, "4 of 10 were asked for, {} came", part.len());
    ensure!(!ordered || part == ["0003", "0004", "0005", "0006"], "skipping 3 shows {part:?}");
    let past = bed.bounded("peek", look(10, 5)).await??;
    ensure!(past.is_empty(), "{} messages are seen past the end", past.len());
    let reader = bus.reader(&Queue::Delayed).await?;
    let mut got = reader.drain(10).await?;
    got.sort_unstable();
    ensure!(got == ids(10), "after the peek {got:?} came");
    Ok(())
}

async fn peek_a_part(bed: Bed) -> Outcomes {
    let bus = three_kinds(&bed).await?;
    let reader = bus.selecting(&Queue::Delayed, Selector::Destination("b".into())).await?;
    let held = reader.take(1).await?;
    let parts = [(Selector::Destination("b".into()), "b", 3), (Selector::NoDestination, "n", 2)];
    for (selector, prefix, count) in parts {
        let seen = bed.bounded("peek", bus.transport.peek(&Queue::Delayed, &selector, 0, 100)).await??;
        let all = seen.iter().all(|peeked| peeked.message.id.starts_with(prefix));
        ensure!(all && seen.len() == count, "{count} messages are of {selector:?}, {seen:?} are seen");
        for peeked in &seen {
            let in_hand = held.iter().any(|leased| leased.message.id == peeked.message.id);
            let right = if in_hand { Standing::InFlight } else { Standing::Ready };
            ensure!(peeked.standing == right, "{} is seen as {:?}", peeked.message.id, peeked.standing);
        }
    }
    reader.ack_all(held).await
}

async fn purge(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Delayed, Queue::Priority]).await?;
    bus.publish(&Queue::Priority, vec![message("elsewhere")]).await?;
    bus.publish(&Queue::Delayed, numbered(10)).await?;
    let reader = bus.reader(&Queue::Delayed).await?;
    let mut held = reader.take(3).await?;
    let mut gone = 7;
    if bed.capabilities().delay.available() {
        let later = message("later").deliver_at(now_ms() + 3_600_000);
        bus.publish(&Queue::Delayed, vec![later]).await?;
        gone += 1;
    }
    let told = bed.bounded("purge", bus.transport.purge(&Queue::Delayed)).await??;
    ensure!(told == gone, "{gone} messages were not in hand, {told} are told as removed");
    let Some(returned) = held.pop() else { fail!("nothing is in hand") };
    let id = returned.message.id.clone();
    reader.ack_all(held).await.map_err(|failure| failure.during("after the purge"))?;
    drop(returned);
    reader.ack(reader.this(&id).await?).await?;
    reader.none("the queue was purged").await?;
    let again = bed.bounded("purge", bus.transport.purge(&Queue::Delayed)).await??;
    ensure!(again == 0, "{again} messages of an empty queue were removed");
    let elsewhere = bus.reader(&Queue::Priority).await?;
    elsewhere.ack(elsewhere.this("elsewhere").await?).await
}
