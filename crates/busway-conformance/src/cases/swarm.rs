//! Many publishers and subscribers at once, judged by the total-queue checker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use busway_core::{Message, Outcome, Queue};
use tokio::task::JoinSet;

use crate::Ledger;
use crate::suite::{Bus, Failure, Features, Outcomes, Reader, ensure};

/// How long one receive of a subscriber waits before it looks whether all is done.
const TURN: Duration = Duration::from_millis(100);

/// Publishes the messages in batches of 50 from `publishers` tasks.
pub(super) async fn publish(
    bus: &Bus,
    queue: &Queue,
    messages: Vec<Message>,
    publishers: usize,
    ledger: &Arc<Ledger>,
) -> Outcomes {
    let share = messages.len().div_ceil(publishers.max(1)).max(1);
    let mut tasks = JoinSet::new();
    for part in messages.chunks(share) {
        let (part, queue, ledger) = (part.to_vec(), queue.clone(), Arc::clone(ledger));
        let sender = Arc::clone(&bus.sender);
        let bed = bus.bed.clone();
        tasks.spawn(async move {
            for batch in part.chunks(50) {
                batch.iter().for_each(|message| ledger.attempted(&message.id));
                let publication =
                    |message: &Message| busway_core::Publication::new(queue.clone(), message.clone());
                let results =
                    bed.bounded("publish", sender.publish(batch.iter().map(publication).collect())).await?;
                ensure!(
                    results.len() == batch.len(),
                    "{} results for {} entries",
                    results.len(),
                    batch.len()
                );
                for (message, result) in batch.iter().zip(results) {
                    result.map_err(|error| Failure::from(error).during("publish"))?;
                    ledger.acknowledged(&message.id);
                }
            }
            Ok(())
        });
    }
    all(tasks).await
}

/// Receives and acknowledges with all readers at once until nothing acknowledged is outstanding
/// and no more comes.
pub(super) async fn consume(readers: Vec<Reader>, ledger: &Arc<Ledger>, features: &Features) -> Outcomes {
    let mut tasks = JoinSet::new();
    for reader in readers {
        tasks.spawn(consume_one(reader, Arc::clone(ledger), features.clone()));
    }
    all(tasks).await
}

/// What the whole run came to: nothing lost, nothing out of nowhere, nothing twice.
pub(super) fn judge(ledger: &Ledger, features: &Features) -> Outcomes {
    let verdict = ledger.verdict();
    ensure!(verdict.is_valid(), "{verdict}");
    ensure!(verdict.duplicated.is_empty() || features.may_repeat, "{verdict}");
    Ok(())
}

async fn consume_one(reader: Reader, ledger: Arc<Ledger>, features: Features) -> Outcomes {
    let (mut last, mut open) = (Instant::now(), ledger.outstanding());
    loop {
        let leased = reader.try_receive(20, TURN).await??;
        let outstanding = ledger.outstanding();
        if !leased.is_empty() || outstanding != open {
            (last, open) = (Instant::now(), outstanding);
        }
        if leased.is_empty() {
            if outstanding == 0 && last.elapsed() >= features.quiet {
                return Ok(());
            }
            let waited = last.elapsed();
            ensure!(waited < features.patience, "nothing came for {waited:?}: {}", ledger.verdict());
            continue;
        }
        leased.iter().for_each(|leased| ledger.delivered(&leased.message.id));
        reader.settle_all(leased, &Outcome::Ack).await?;
    }
}

async fn all(mut tasks: JoinSet<Outcomes>) -> Outcomes {
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| Failure::new(format!("a task ended: {error}")))??;
    }
    Ok(())
}
