//! Parts of a queue, and whose turn it is among accounts.

use std::collections::{HashMap, HashSet};

use busway_core::transport::{Filter, Selector, Turns};
use busway_core::{Message, Queue};

use super::sample::message;
use super::table;
use crate::suite::{Bed, Bus, Outcomes, Reader, Task, ensure};

table! { "select":
    "destination" destination [Selectors] "a reader of one destination gets what is for it alone";
    "no-destination" no_destination [Selectors] "a reader of what has no destination gets that alone";
    "matching" matching [Selectors] "a filter is met by what has all its properties";
    "all" all [Selectors] "a reader of the whole queue gets what the others have left";
    "waits-for-its-own" waits_for_its_own [Selectors] "a reader of a part waits for its own while others' messages stand there";
    "accounts-in-turn" accounts_in_turn [Selectors] "an account that floods does not hold up another";
    "weights" weights [Selectors] "an account gets as many messages a turn as its weight says";
    "paused" paused [Selectors] "nothing of a paused account is handed out, until the pause is lifted";
}

fn to(id: &str, destination: Option<&str>, account: Option<&str>) -> Message {
    let mut message = message(id);
    message.destination = destination.map(str::to_owned);
    message.account = account.map(str::to_owned);
    message
}

fn of(destination: &str) -> Selector {
    Selector::Destination(destination.into())
}

async fn mixed(bed: &Bed) -> Outcomes<Bus> {
    let bus = bed.open(&[Queue::Delayed]).await?;
    let mut messages = Vec::new();
    for index in 0..10 {
        messages.push(to(&format!("a{index}"), Some("a"), Some("acme")));
        messages.push(to(&format!("b{index}"), Some("b"), Some("beta")));
        messages.push(to(&format!("n{index}"), None, None));
    }
    bus.publish(&Queue::Delayed, messages).await?;
    Ok(bus)
}

/// Takes all that the reader gets and checks that it is these ten.
async fn gets(reader: &Reader, prefix: &str) -> Outcomes {
    let mut got = reader.drain(10).await?;
    got.sort_unstable();
    let expected: Vec<String> = (0..10).map(|index| format!("{prefix}{index}")).collect();
    ensure!(got == expected, "{expected:?} were to come, {got:?} came");
    Ok(())
}

async fn destination(bed: Bed) -> Outcomes {
    let bus = mixed(&bed).await?;
    gets(&bus.selecting(&Queue::Delayed, of("b")).await?, "b").await?;
    bus.selecting(&Queue::Delayed, of("c")).await?.none("nothing is for c").await?;
    gets(&bus.selecting(&Queue::Delayed, of("a")).await?, "a").await
}

async fn no_destination(bed: Bed) -> Outcomes {
    let bus = mixed(&bed).await?;
    gets(&bus.selecting(&Queue::Delayed, Selector::NoDestination).await?, "n").await
}

async fn matching(bed: Bed) -> Outcomes {
    let bus = mixed(&bed).await?;
    let mut odd = to("odd", Some("a"), Some("beta"));
    odd.r#type = "item.odd".to_owned();
    bus.publish(&Queue::Delayed, vec![odd]).await?;
    let text = |text: &str| Some(text.to_owned());
    let select = |filter: Filter| bus.selecting(&Queue::Delayed, Selector::Matching(filter));
    let nobody = Filter { account: text("acme"), destination: text("b"), ..Filter::default() };
    select(nobody).await?.none("no message has both").await?;
    for filter in [
        Filter { id: text("a3"), ..Filter::default() },
        Filter { r#type: text("item.odd"), ..Filter::default() },
        Filter { destination: text("b"), id: text("b7"), account: text("beta"), ..Filter::default() },
    ] {
        let reader = select(filter.clone()).await?;
        let leased = reader.one().await?;
        let selector = Selector::Matching(filter);
        ensure!(
            ["a3", "odd", "b7"].contains(&&*leased.message.id),
            "{} came for {selector:?}",
            leased.message.id
        );
        reader.ack(leased).await?;
        reader.none(&format!("one message meets {selector:?}")).await?;
    }
    gets(&select(Filter { account: text("-"), ..Filter::default() }).await?, "n").await?;
    bus.reader(&Queue::Delayed).await?.drain(18).await?;
    Ok(())
}

async fn all(bed: Bed) -> Outcomes {
    let bus = mixed(&bed).await?;
    gets(&bus.selecting(&Queue::Delayed, of("a")).await?, "a").await?;
    let got = bus.reader(&Queue::Delayed).await?.drain(20).await?;
    ensure!(got.iter().all(|id| !id.starts_with('a')), "what was taken before came again: {got:?}");
    Ok(())
}

async fn waits_for_its_own(bed: Bed) -> Outcomes {
    let bus = mixed(&bed).await?;
    let reader = bus.selecting(&Queue::Delayed, of("late")).await?;
    let waiting = {
        let reader = reader.clone();
        Task::start(async move { reader.this("own").await })
    };
    tokio::time::sleep(bed.features().quiet / 2).await;
    bus.publish(&Queue::Delayed, vec![to("own", Some("late"), None)]).await?;
    reader.ack(waiting.end().await??).await
}

/// Many messages of `loud`, then a few of `quiet`, all for one destination.
async fn flood(bed: &Bed, loud: usize, quiet: usize) -> Outcomes<Bus> {
    let bus = bed.open(&[Queue::Delayed]).await?;
    let messages = |account: &'static str, count: usize| {
        (0..count).map(move |index| to(&format!("{account}-{index}"), Some("a"), Some(account))).collect()
    };
    bus.publish(&Queue::Delayed, messages("loud", loud)).await?;
    bus.publish(&Queue::Delayed, messages("quiet", quiet)).await?;
    Ok(bus)
}

/// The accounts of the next `count` messages, acknowledged one by one.
async fn accounts(reader: &Reader, count: usize) -> Outcomes<Vec<String>> {
    let mut got = Vec::with_capacity(count);
    for _ in 0..count {
        let leased = reader.one().await?;
        got.push(leased.message.account_or_dash().to_owned());
        reader.ack(leased).await?;
    }
    Ok(got)
}

fn turns(paused: &[&str], weights: &[(&str, u32)]) -> Turns {
    Turns {
        paused: paused.iter().map(|account| (*account).to_owned()).collect::<HashSet<_>>(),
        weights: weights
            .iter()
            .map(|(name, weight)| ((*name).to_owned(), *weight))
            .collect::<HashMap<_, _>>(),
    }
}

async fn accounts_in_turn(bed: Bed) -> Outcomes {
    let bus = flood(&bed, 200, 3).await?;
    let reader = bus.selecting(&Queue::Delayed, of("a")).await?;
    let got = accounts(&reader, 8).await?;
    let quiet = got.iter().filter(|account| *account == "quiet").count();
    ensure!(quiet == 3, "of the first 8 messages 3 were to be quiet's, the turns were {got:?}");
    reader.drain(195).await?;
    Ok(())
}

async fn weights(bed: Bed) -> Outcomes {
    let bus = flood(&bed, 40, 40).await?;
    let reader = bus.selecting(&Queue::Delayed, of("a")).await?;
    reader.receiver.set_turns(turns(&[], &[("quiet", 3)]))?;
    let got = accounts(&reader, 16).await?;
    let quiet = got.iter().filter(|account| *account == "quiet").count();
    ensure!(quiet == 12, "3 of 4 turns were to be quiet's, they were {got:?}");
    reader.receiver.set_turns(Turns::default())?;
    let got = accounts(&reader, 16).await?;
    let quiet = got.iter().filter(|account| *account == "quiet").count();
    ensure!(
        (6..=10).contains(&quiet),
        "without weights half of the turns were to be quiet's, they were {got:?}"
    );
    Ok(())
}

async fn paused(bed: Bed) -> Outcomes {
    for selector in [of("a"), Selector::All] {
        let bus = flood(&bed, 5, 5).await?;
        let reader = bus.selecting(&Queue::Delayed, selector).await?;
        reader.receiver.set_turns(turns(&["loud"], &[]))?;
        let got = accounts(&reader, 5).await?;
        ensure!(got.iter().all(|account| account == "quiet"), "loud is paused, the turns were {got:?}");
        reader.none("what is left is loud's, which is paused").await?;
        let waiting = {
            let reader = reader.clone();
            Task::start(async move { accounts(&reader, 5).await })
        };
        tokio::time::sleep(bed.features().quiet / 2).await;
        reader.receiver.set_turns(turns(&["quiet"], &[]))?;
        let got = waiting.end().await?.map_err(|failure| failure.during("after the pause was lifted"))?;
        ensure!(
            got.iter().all(|account| account == "loud"),
            "only loud had messages, the turns were {got:?}"
        );
    }
    Ok(())
}
