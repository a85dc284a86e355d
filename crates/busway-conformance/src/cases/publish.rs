//! Where publications go: to each queue its own, to every reader its share, or back as an error.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use busway_core::error::{ErrorClass, ErrorKind};
use busway_core::transport::{Declare, Group, Selector};
use busway_core::{Message, Name, Publication, Queue};

use super::sample::{ids, message, named, numbered};
use super::{swarm, table};
use crate::Ledger;
use crate::suite::{Bed, Outcomes, ensure, fail};

table! { "publish":
    "long-batch" long_batch [] "a batch longer than the transport's own limit is split, with a result for each entry";
    "results-in-order" results_in_order [] "a batch with bad entries has a result for each, in order, and what was told is true";
    "empty-batch" empty_batch [] "an empty batch has no results and does no harm";
    "undeclared-queue" undeclared_queue [] "what was never declared is NotFound, never success";
    "declare" declare [] "declaring again is harmless, verifying tells what is missing";
    "every-kind-of-queue" every_kind_of_queue [] "each kind of queue carries messages of its own";
    "refused-features" refused_features [] "what the capabilities refuse is answered with an error";
    "cancelled" cancelled [] "a cancelled publish may have taken effect or not, and harms no other";
    "twenty-queues" twenty_queues [] "20 queues of 100 messages in parallel are each complete, none mixed";
    "fifty-subscribers" fifty_subscribers [] "5,000 messages to 50 subscribers: none lost, none extra";
    "two-consumer-groups" two_consumer_groups [] "each of two groups (a queue each, one batch) gets all, the members of one compete";
}

async fn long_batch(bed: Bed) -> Outcomes {
    const MOST: usize = 10_000;
    let bus = bed.open(&[Queue::Priority]).await?;
    let count = bed.capabilities().publish_batch.saturating_mul(2).clamp(12, MOST);
    let batch = numbered(count).into_iter().map(|message| Publication::new(Queue::Priority, message));
    for result in bus.try_publish(batch.collect()).await? {
        result?;
    }
    let got = bus.reader(&Queue::Priority).await?.drain(count).await?;
    let (got, sent): (HashSet<_>, HashSet<_>) = (got.into_iter().collect(), ids(count).into_iter().collect());
    ensure!(got == sent, "other messages came than were sent");
    Ok(())
}

async fn results_in_order(bed: Bed) -> Outcomes {
    const BAD: [usize; 2] = [3, 8];
    let bus = bed.open(&[Queue::Priority]).await?;
    let nowhere = named("nowhere")?;
    let queue = |index| if BAD.contains(&index) { nowhere.clone() } else { Queue::Priority };
    let batch = numbered(12).into_iter().enumerate().map(|(index, m)| Publication::new(queue(index), m));
    let mut told = Vec::new();
    for (index, result) in bus.try_publish(batch.collect()).await?.into_iter().enumerate() {
        let bad = BAD.contains(&index);
        ensure!(!bad || result.is_err(), "entry {index} went nowhere and was told as a success");
        if let Err(error) = &result {
            ensure!(!bad || missing(error.kind()), "entry {index} went nowhere and was told as {error}");
        } else {
            told.push(format!("{index:04}"));
        }
    }
    let mut got = bus.reader(&Queue::Priority).await?.drain(told.len()).await?;
    got.sort_unstable();
    ensure!(got == told, "success was told of {told:?}, what came was {got:?}");
    Ok(())
}

async fn empty_batch(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    bus.try_publish(Vec::new()).await?;
    let reader = bus.reader(&Queue::Priority).await?;
    reader.try_settle(Vec::new()).await?;
    let settled = bed.bounded("settle of nothing", reader.receiver.settle(Vec::new())).await?;
    ensure!(settled.is_empty(), "{} results for no receipt", settled.len());
    let extended =
        bed.bounded("extend of nothing", reader.receiver.extend(&[], bed.features().lease)).await?;
    ensure!(extended.is_empty(), "{} results for no token", extended.len());
    reader.none("nothing was published").await
}

async fn undeclared_queue(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let nowhere = named("nowhere")?;
    let published = bus.try_publish(vec![Publication::new(nowhere.clone(), message("lost"))]).await?;
    for result in published {
        let Err(error) = result else { fail!("a publish to an undeclared queue was told as a success") };
        ensure!(missing(error.kind()), "a publish to an undeclared queue is answered with {error}");
    }
    let transport = &bus.transport;
    let all = Selector::All;
    let answers = [
        ("receiver", transport.receiver(&nowhere, Default::default()).await.err()),
        ("inspect", transport.inspect(&nowhere, &all).await.err()),
        ("peek", transport.peek(&nowhere, &all, 0, 1).await.err()),
        ("purge", transport.purge(&nowhere).await.err()),
    ];
    for (what, error) in answers {
        let Some(error) = error else { fail!("{what} of an undeclared queue was told as a success") };
        ensure!(
            error.kind() == ErrorKind::NotFound,
            "{what} of an undeclared queue is answered with {error}"
        );
    }
    transport.declare(std::slice::from_ref(&nowhere), Declare::Create).await?;
    bus.publish(&nowhere, vec![message("found")]).await?;
    let reader = bus.reader(&nowhere).await?;
    reader.ack(reader.this("found").await?).await
}

async fn declare(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority, Queue::Delayed]).await?;
    bus.publish(&Queue::Priority, numbered(3)).await?;
    let declared = [Queue::Priority, Queue::Delayed, Queue::Dead];
    for mode in [Declare::Create, Declare::Verify, Declare::Create] {
        bed.bounded("declare", bus.transport.declare(&declared, mode)).await??;
    }
    let missing = [Queue::Priority, named("missing")?];
    let Err(error) = bed.bounded("declare", bus.transport.declare(&missing, Declare::Verify)).await? else {
        fail!("a missing queue was verified");
    };
    ensure!(error.kind() == ErrorKind::NotFound, "a missing queue is answered with {error}");
    let receiver = bus.transport.receiver(&missing[1], Default::default()).await;
    ensure!(receiver.is_err(), "verifying made the queue");
    bus.reader(&Queue::Priority).await?.drain(3).await?;
    Ok(())
}

async fn every_kind_of_queue(bed: Bed) -> Outcomes {
    let name = Name::new("items")?;
    let queues = [Queue::Priority, Queue::Delayed, Queue::Dead, Queue::To(name.clone()), Queue::Named(name)];
    let bus = bed.open(&queues).await?;
    let physical: HashSet<String> = queues.iter().map(|queue| bus.transport.physical(queue)).collect();
    ensure!(physical.len() == queues.len(), "two queues have one physical name: {physical:?}");
    let publication = |queue: &Queue| Publication::new(queue.clone(), message(&queue.to_string()));
    bus.publish_all(queues.iter().map(publication).collect()).await?;
    for queue in &queues {
        let reader = bus.reader(queue).await?;
        reader.ack(reader.this(&queue.to_string()).await?).await?;
        reader.none("one message was published to it").await?;
    }
    Ok(())
}

async fn refused_features(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let capabilities = bed.capabilities();
    let mut answers = Vec::new();
    if !capabilities.groups.available() {
        let group = Some(Group { key: 1, position: None });
        let publication = Publication { group, ..Publication::new(Queue::Priority, message("grouped")) };
        answers.push(("a group", bus.try_publish(vec![publication]).await?.pop().and_then(Result::err)));
    }
    if !capabilities.delay.available() {
        let later = message("delayed").deliver_at(busway_core::clock::now_ms() + 60_000);
        answers.push(("a delay", bus.try_publish_one(&Queue::Priority, later).await?.err()));
    }
    if !capabilities.selectors.available() {
        let reader = bus.reader(&Queue::Priority).await?;
        answers.push(("taking turns", reader.receiver.set_turns(Default::default()).err()));
        let options = busway_core::transport::ReceiverOptions {
            selector: Selector::NoDestination,
            ..Default::default()
        };
        answers.push(("a selector", bus.transport.receiver(&Queue::Priority, options).await.err()));
    }
    for (what, error) in answers {
        let Some(error) = error else { fail!("{what} is refused by the capabilities and yet taken") };
        ensure!(error.class() == ErrorClass::Unsupported, "{what} is answered with {error}");
    }
    Ok(())
}

async fn cancelled(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let ledger = Arc::new(Ledger::new());
    for (turn, message) in (0..).zip(numbered(100)) {
        let id = message.id.clone();
        ledger.attempted(&id);
        let publish = bus.try_publish_one(&Queue::Priority, message);
        match tokio::time::timeout(Duration::from_micros(turn * 61 % 3_000), publish).await {
            Ok(answer) => {
                answer??;
                ledger.acknowledged(&id);
            }
            Err(_) => ledger.unknown(&id),
        }
    }
    bus.publish(&Queue::Priority, vec![message("after")]).await?;
    ledger.attempted("after");
    ledger.acknowledged("after");
    let readers = vec![bus.reader(&Queue::Priority).await?];
    swarm::consume(readers, &ledger, bed.features()).await?;
    swarm::judge(&ledger, bed.features())
}

async fn twenty_queues(bed: Bed) -> Outcomes {
    let queues = (0..20).map(|index| named(&format!("q{index}"))).collect::<Outcomes<Vec<Queue>>>()?;
    let bus = Arc::new(bed.open(&queues).await?);
    let mut tasks = tokio::task::JoinSet::new();
    for queue in queues {
        let bus = Arc::clone(&bus);
        tasks.spawn(async move {
            let id = |index: usize| format!("{queue}-{index:04}");
            bus.publish(&queue, (0..100).map(|index| message(&id(index))).collect()).await?;
            let mut got = bus.reader(&queue).await?.drain(100).await?;
            got.sort_unstable();
            let sent: Vec<String> = (0..100).map(id).collect();
            ensure!(got == sent, "{queue} has other messages than were sent to it");
            Ok(())
        });
    }
    for outcome in tasks.join_all().await {
        outcome?;
    }
    Ok(())
}

async fn fifty_subscribers(bed: Bed) -> Outcomes {
    let bus = bed.open(&[Queue::Priority]).await?;
    let ledger = Arc::new(Ledger::new());
    let mut readers = Vec::new();
    for _ in 0..50 {
        readers.push(bus.reader(&Queue::Priority).await?);
    }
    let messages = numbered(bed.features().count(5_000));
    // Until the first is attempted nothing is outstanding, and the subscribers could go home.
    messages.iter().take(1).for_each(|message| ledger.acknowledged(&message.id));
    let published = swarm::publish(&bus, &Queue::Priority, messages, 10, &ledger);
    let (published, consumed) = tokio::join!(published, swarm::consume(readers, &ledger, bed.features()));
    published?;
    consumed?;
    let straggler = bus.reader(&Queue::Priority).await?;
    straggler.none("all was consumed").await?;
    swarm::judge(&ledger, bed.features())
}

async fn two_consumer_groups(bed: Bed) -> Outcomes {
    let groups = [named("first")?, named("second")?];
    let bus = bed.open(&groups).await?;
    let copies = |message: Message| groups.clone().map(|queue| Publication::new(queue, message.clone()));
    bus.publish_all(numbered(60).into_iter().flat_map(copies).collect()).await?;
    for group in &groups {
        let members = [bus.reader(group).await?, bus.reader(group).await?];
        let (one, two) = (members[0].take(20).await?, members[1].take(40).await?);
        let got: HashSet<String> = one.iter().chain(&two).map(|leased| leased.message.id.clone()).collect();
        ensure!(got.len() == 60, "{group} got {} of 60 messages", got.len());
        members[0].ack_all(one).await?;
        members[1].ack_all(two).await?;
        members[0].none("each member acknowledged its part").await?;
    }
    Ok(())
}

fn missing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::Unroutable)
}
