//! The saboteurs, one for each way in which an adapter loses, repeats or confuses messages.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use busway_core::error::ErrorKind;
use busway_core::transport::{ReceiverOptions, Selector, Want};
use busway_core::{
    AbandonSink, AttributeValue, Leased, Outcome, Publication, Queue, Receipt, Receiver, Result, Sender,
    Transport,
};

use super::wrapper::Sabotage;

/// Settles what is dropped as done.
#[derive(Default)]
pub(super) struct AcksOnDrop;

/// Inner receipts under the tokens of the receipts that stand for them.
#[derive(Default)]
struct Held {
    receipts: Mutex<HashMap<u64, Receipt>>,
    acks_for: Mutex<Option<Arc<dyn Receiver>>>,
}

impl AbandonSink for Held {
    fn abandoned(&self, token: u64) {
        let Some(receipt) = self.receipts.lock().unwrap().remove(&token) else { return };
        let Some(inner) = self.acks_for.lock().unwrap().clone() else { return };
        tokio::spawn(async move { inner.settle(vec![(receipt, Outcome::Ack)]).await });
    }
}

#[async_trait]
impl Sabotage for AcksOnDrop {
    async fn receive(&self, inner: &Arc<dyn Receiver>, want: Want) -> Result<Vec<Leased>> {
        let wrap = |leased: Leased| {
            let held = Arc::new(Held::default());
            *held.acks_for.lock().unwrap() = Some(Arc::clone(inner));
            let token = leased.receipt.token();
            held.receipts.lock().unwrap().insert(token, leased.receipt);
            let receipt = Receipt::new(token, held.clone()).with_detail(Box::new(held));
            Leased { receipt, ..leased }
        };
        Ok(inner.receive(want).await?.into_iter().map(wrap).collect())
    }

    async fn settle(&self, inner: &dyn Receiver, batch: Vec<(Receipt, Outcome)>) -> Vec<Result<()>> {
        let unwrap = |(receipt, outcome): (Receipt, Outcome)| {
            let Some(held) = receipt.detail().and_then(|held| held.downcast_ref::<Arc<Held>>()).cloned()
            else {
                return (receipt, outcome);
            };
            let own = held.receipts.lock().unwrap().remove(&receipt.token());
            drop(receipt.redeem());
            (own.unwrap(), outcome)
        };
        inner.settle(batch.into_iter().map(unwrap).collect()).await
    }
}

/// Settles what a cancelled receive had taken as done.
#[derive(Default)]
pub(super) struct AcksOnCancel;

struct OnCancel(Vec<Leased>, Arc<dyn Receiver>);

impl Drop for OnCancel {
    fn drop(&mut self) {
        let (leased, inner) = (std::mem::take(&mut self.0), Arc::clone(&self.1));
        if !leased.is_empty() {
            let batch = leased.into_iter().map(|leased| (leased.receipt, Outcome::Ack)).collect();
            tokio::spawn(async move { inner.settle(batch).await });
        }
    }
}

#[async_trait]
impl Sabotage for AcksOnCancel {
    async fn receive(&self, inner: &Arc<dyn Receiver>, want: Want) -> Result<Vec<Leased>> {
        let mut taken = OnCancel(inner.receive(want).await?, Arc::clone(inner));
        tokio::time::sleep(Duration::from_millis(3)).await;
        Ok(std::mem::take(&mut taken.0))
    }
}

/// Confirms before the disk has it: a crash takes all of the queues that were published to.
#[derive(Default)]
pub(super) struct LosesOnCrash(Mutex<BTreeSet<Queue>>);

#[async_trait]
impl Sabotage for LosesOnCrash {
    async fn publish(&self, inner: &dyn Sender, batch: Vec<Publication>) -> Vec<Result<()>> {
        self.0.lock().unwrap().extend(batch.iter().map(|entry| entry.queue.clone()));
        inner.publish(batch).await
    }

    async fn crashed(&self, storage: &dyn Transport) {
        let unsynced = std::mem::take(&mut *self.0.lock().unwrap());
        for queue in unsynced {
            storage.purge(&queue).await.unwrap();
        }
    }
}

/// Settles before the disk has it: a crash brings back all that was acknowledged.
#[derive(Default)]
pub(super) struct ForgetsAcksOnCrash(Mutex<HashMap<u64, Leased>>, Mutex<Vec<Leased>>);

struct Nobody;

impl AbandonSink for Nobody {
    fn abandoned(&self, _: u64) {}
}

#[async_trait]
impl Sabotage for ForgetsAcksOnCrash {
    async fn receive(&self, inner: &Arc<dyn Receiver>, want: Want) -> Result<Vec<Leased>> {
        let received = inner.receive(want).await?;
        for leased in &received {
            let token = leased.receipt.token();
            let receipt = Receipt::new(token, Arc::new(Nobody));
            let copy = Leased { message: leased.message.clone(), receipt, ..*leased };
            self.0.lock().unwrap().insert(token, copy);
        }
        Ok(received)
    }

    async fn settle(&self, inner: &dyn Receiver, batch: Vec<(Receipt, Outcome)>) -> Vec<Result<()>> {
        for (receipt, outcome) in &batch {
            if *outcome == Outcome::Ack {
                let copy = self.0.lock().unwrap().remove(&receipt.token());
                self.1.lock().unwrap().extend(copy);
            }
        }
        inner.settle(batch).await
    }

    async fn crashed(&self, storage: &dyn Transport) {
        let acked = std::mem::take(&mut *self.1.lock().unwrap());
        let again = |leased: Leased| Publication::new(Queue::Priority, leased.message);
        let sender = storage.sender().await.unwrap();
        sender.publish(acked.into_iter().map(again).collect()).await;
    }
}

/// Confirms every 30th message and does not store it.
#[derive(Default)]
pub(super) struct SwallowsSome(AtomicU64);

#[async_trait]
impl Sabotage for SwallowsSome {
    async fn publish(&self, inner: &dyn Sender, batch: Vec<Publication>) -> Vec<Result<()>> {
        let mut results = Vec::with_capacity(batch.len());
        for entry in batch {
            let swallowed = self.0.fetch_add(1, Ordering::Relaxed) % 30 == 29;
            results.extend(if swallowed { vec![Ok(())] } else { inner.publish(vec![entry]).await });
        }
        results
    }
}

/// Stores batches back to front.
#[derive(Default)]
pub(super) struct Reorders;

#[async_trait]
impl Sabotage for Reorders {
    async fn publish(&self, inner: &dyn Sender, mut batch: Vec<Publication>) -> Vec<Result<()>> {
        batch.reverse();
        let mut results = inner.publish(batch).await;
        results.reverse();
        results
    }
}

/// Hands delayed messages out 750 ms before they are due.
#[derive(Default)]
pub(super) struct DeliversEarly;

const EARLY: Duration = Duration::from_millis(750);

#[async_trait]
impl Sabotage for DeliversEarly {
    async fn publish(&self, inner: &dyn Sender, mut batch: Vec<Publication>) -> Vec<Result<()>> {
        for entry in &mut batch {
            if let Some(due) = entry.message.deliver_at.as_mut().filter(|due| **due > 750) {
                *due -= 750;
                entry.message.extensions.insert("early".to_owned(), AttributeValue::Boolean(true));
            }
        }
        inner.publish(batch).await
    }

    async fn receive(&self, inner: &Arc<dyn Receiver>, want: Want) -> Result<Vec<Leased>> {
        let mut received = inner.receive(want).await?;
        for leased in &mut received {
            if leased.message.extensions.remove("early").is_some() {
                leased.message.deliver_at = leased.message.deliver_at.map(|due| due + 750);
            }
        }
        Ok(received)
    }

    async fn settle(&self, inner: &dyn Receiver, batch: Vec<(Receipt, Outcome)>) -> Vec<Result<()>> {
        let hasten = |(receipt, outcome)| match outcome {
            Outcome::Retry { after, reason } => {
                (receipt, Outcome::Retry { after: after.saturating_sub(EARLY), reason })
            }
            Outcome::Park { after, reason } => {
                (receipt, Outcome::Park { after: after.saturating_sub(EARLY), reason })
            }
            outcome => (receipt, outcome),
        };
        inner.settle(batch.into_iter().map(hasten).collect()).await
    }
}

/// Answers every settle with success, whatever came of it.
#[derive(Default)]
pub(super) struct SettlesAnything;

#[async_trait]
impl Sabotage for SettlesAnything {
    async fn settle(&self, inner: &dyn Receiver, batch: Vec<(Receipt, Outcome)>) -> Vec<Result<()>> {
        inner.settle(batch).await.into_iter().map(|_| Ok(())).collect()
    }
}

/// Knows a message by its place in a small table: whoever names the place settles what is there.
#[derive(Default)]
pub(super) struct ReusesReceipts(Arc<Slots>);

#[derive(Default)]
struct Slots(Mutex<HashMap<u64, Receipt>>);

impl AbandonSink for Slots {
    fn abandoned(&self, token: u64) {
        let receipt = self.0.lock().unwrap().remove(&token);
        drop(receipt);
    }
}

#[async_trait]
impl Sabotage for ReusesReceipts {
    async fn receive(&self, inner: &Arc<dyn Receiver>, want: Want) -> Result<Vec<Leased>> {
        let place = |leased: Leased| {
            let mut slots = self.0.0.lock().unwrap();
            let token = (1..).find(|token| !slots.contains_key(token)).unwrap();
            slots.insert(token, leased.receipt);
            Leased { receipt: Receipt::new(token, self.0.clone()), ..leased }
        };
        Ok(inner.receive(want).await?.into_iter().map(place).collect())
    }

    async fn settle(&self, inner: &dyn Receiver, batch: Vec<(Receipt, Outcome)>) -> Vec<Result<()>> {
        let mut results = Vec::with_capacity(batch.len());
        for (receipt, outcome) in batch {
            let (token, _) = receipt.redeem();
            let there = self.0.0.lock().unwrap().remove(&token);
            results.push(match there {
                Some(receipt) => inner.settle(vec![(receipt, outcome)]).await.remove(0),
                None => Err(lost()),
            });
        }
        results
    }

    async fn extend(&self, inner: &dyn Receiver, tokens: &[u64], by: Duration) -> Vec<Result<()>> {
        let mut results = Vec::with_capacity(tokens.len());
        for token in tokens {
            let there = self.0.0.lock().unwrap().get(token).map(Receipt::token);
            results.push(match there {
                Some(inner_token) => inner.extend(&[inner_token], by).await.remove(0),
                None => Err(lost()),
            });
        }
        results
    }
}

fn lost() -> busway_core::Error {
    busway_core::Error::new("settle", ErrorKind::LeaseLost, "there is nothing in that place")
}

/// Keeps messages leased until they are settled.
#[derive(Default)]
pub(super) struct NeverEndsALease;

impl Sabotage for NeverEndsALease {
    fn options(&self, options: ReceiverOptions) -> ReceiverOptions {
        ReceiverOptions { lease: Some(Duration::from_secs(3_600)), ..options }
    }
}

/// Gives messages to the next after a moment.
#[derive(Default)]
pub(super) struct EndsLeasesAtOnce;

impl Sabotage for EndsLeasesAtOnce {
    fn options(&self, options: ReceiverOptions) -> ReceiverOptions {
        ReceiverOptions { lease: Some(Duration::from_millis(50)), ..options }
    }
}

/// Says that a lease is extended, and lets it end.
#[derive(Default)]
pub(super) struct ExtendsNothing;

#[async_trait]
impl Sabotage for ExtendsNothing {
    async fn extend(&self, inner: &dyn Receiver, tokens: &[u64], _: Duration) -> Vec<Result<()>> {
        inner.extend(tokens, Duration::ZERO).await
    }
}

/// Hands out all of a group at once, in order of publishing.
#[derive(Default)]
pub(super) struct IgnoresGroups;

#[async_trait]
impl Sabotage for IgnoresGroups {
    async fn publish(&self, inner: &dyn Sender, mut batch: Vec<Publication>) -> Vec<Result<()>> {
        batch.iter_mut().for_each(|entry| entry.group = None);
        inner.publish(batch).await
    }
}

/// Hands out in order of publishing, whatever the priority.
#[derive(Default)]
pub(super) struct IgnoresPriority;

#[async_trait]
impl Sabotage for IgnoresPriority {
    async fn publish(&self, inner: &dyn Sender, mut batch: Vec<Publication>) -> Vec<Result<()>> {
        for Publication { message, .. } in &mut batch {
            let priority = AttributeValue::Integer(message.priority.into());
            message.extensions.insert("priority".to_owned(), priority);
            message.priority = 4;
        }
        inner.publish(batch).await
    }

    async fn receive(&self, inner: &Arc<dyn Receiver>, want: Want) -> Result<Vec<Leased>> {
        let mut received = inner.receive(want).await?;
        for Leased { message, .. } in &mut received {
            if let Some(AttributeValue::Integer(priority)) = message.extensions.remove("priority") {
                message.priority = u8::try_from(priority).unwrap();
            }
        }
        Ok(received)
    }
}

/// Hands out as many as are asked for.
#[derive(Default)]
pub(super) struct IgnoresPrefetch;

impl Sabotage for IgnoresPrefetch {
    fn options(&self, options: ReceiverOptions) -> ReceiverOptions {
        ReceiverOptions { prefetch: None, ..options }
    }
}

/// Hands out of the whole queue whatever part was asked for.
#[derive(Default)]
pub(super) struct IgnoresSelectors;

impl Sabotage for IgnoresSelectors {
    fn options(&self, options: ReceiverOptions) -> ReceiverOptions {
        ReceiverOptions { selector: Selector::All, ..options }
    }
}

/// Forgets who the producer was.
#[derive(Default)]
pub(super) struct DropsAnAttribute;

#[async_trait]
impl Sabotage for DropsAnAttribute {
    async fn publish(&self, inner: &dyn Sender, mut batch: Vec<Publication>) -> Vec<Result<()>> {
        batch.iter_mut().for_each(|entry| entry.message.producer = None);
        inner.publish(batch).await
    }
}

/// Stores those of a batch that are not too large.
#[derive(Default)]
pub(super) struct StoresWhatFits;

#[async_trait]
impl Sabotage for StoresWhatFits {
    async fn publish(&self, inner: &dyn Sender, batch: Vec<Publication>) -> Vec<Result<()>> {
        let mut results = Vec::with_capacity(batch.len());
        for entry in batch {
            results.extend(inner.publish(vec![entry]).await);
        }
        results
    }
}

/// Confirms what no queue took.
#[derive(Default)]
pub(super) struct SucceedsNowhere;

#[async_trait]
impl Sabotage for SucceedsNowhere {
    async fn publish(&self, inner: &dyn Sender, batch: Vec<Publication>) -> Vec<Result<()>> {
        let forgive = |result: Result<()>| match result {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        };
        inner.publish(batch).await.into_iter().map(forgive).collect()
    }
}

/// Takes what is dead for done.
#[derive(Default)]
pub(super) struct DeadIsGone;

#[async_trait]
impl Sabotage for DeadIsGone {
    async fn settle(&self, inner: &dyn Receiver, batch: Vec<(Receipt, Outcome)>) -> Vec<Result<()>> {
        let bury = |(receipt, outcome)| match outcome {
            Outcome::Dead { .. } => (receipt, Outcome::Ack),
            outcome => (receipt, outcome),
        };
        inner.settle(batch.into_iter().map(bury).collect()).await
    }
}

/// Waits on, whatever was closed.
#[derive(Default)]
pub(super) struct NeverCloses;

#[async_trait]
impl Sabotage for NeverCloses {
    async fn receive(&self, inner: &Arc<dyn Receiver>, want: Want) -> Result<Vec<Leased>> {
        let until = want.until;
        match inner.receive(want).await {
            Err(error) if error.kind() == ErrorKind::Closed => {
                tokio::time::sleep(until.saturating_duration_since(Instant::now())).await;
                Ok(Vec::new())
            }
            answer => answer,
        }
    }
}
