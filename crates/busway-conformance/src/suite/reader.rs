//! A receiver as cases use it: with deadlines, and with a failure where something does not come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use busway_core::error::Result;
use busway_core::transport::Want;
use busway_core::{Leased, Outcome, Receipt, Receiver};

use super::bed::within;
use super::{Bed, Failure, Outcomes, ensure, fail};

/// A receiver with the case's patience.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) receiver: Arc<dyn Receiver>,
    bed: Bed,
}

impl Reader {
    pub(super) fn new(bed: Bed, receiver: Arc<dyn Receiver>) -> Self {
        Self { receiver, bed }
    }

    /// One receive of at most `max` messages; it must end soon after `wait`.
    pub(crate) async fn try_receive(&self, max: usize, wait: Duration) -> Outcomes<Result<Vec<Leased>>> {
        self.want(Want::new(max, wait)).await
    }

    /// One receive as it stands; it must end soon after its deadline.
    pub(crate) async fn want(&self, mut want: Want) -> Outcomes<Result<Vec<Leased>>> {
        want.max = want.max.min(self.bed.capabilities().receive_batch);
        let max = want.max;
        let limit = want.until.saturating_duration_since(Instant::now()) + self.bed.features().slack;
        let received = within("receive", limit, self.receiver.receive(want)).await?;
        if let Ok(leased) = &received {
            ensure!(leased.len() <= max, "at most {max} messages were asked for, {} came", leased.len());
        }
        Ok(received)
    }

    /// At least one and at most `max` messages.
    pub(crate) async fn some(&self, max: usize) -> Outcomes<Vec<Leased>> {
        let leased = self.try_receive(max, self.bed.features().patience).await??;
        ensure!(!leased.is_empty(), "no message came within {:?}", self.bed.features().patience);
        Ok(leased)
    }

    /// The next message.
    pub(crate) async fn one(&self) -> Outcomes<Leased> {
        self.some(1).await?.pop().ok_or_else(|| Failure::new("no message came"))
    }

    /// The next message, which must be this one.
    pub(crate) async fn this(&self, id: &str) -> Outcomes<Leased> {
        let leased = self.one().await.map_err(|failure| failure.during(format!("waiting for {id}")))?;
        ensure!(leased.message.id == id, "{id} was due, {} came", leased.message.id);
        Ok(leased)
    }

    /// Exactly `count` messages, all of them in hand at once.
    pub(crate) async fn take(&self, count: usize) -> Outcomes<Vec<Leased>> {
        let mut all = Vec::with_capacity(count);
        while all.len() < count {
            let missing = count - all.len();
            let more = self.try_receive(missing, self.bed.features().patience).await??;
            ensure!(!more.is_empty(), "{} of {count} messages came", all.len());
            all.extend(more);
        }
        Ok(all)
    }

    /// Nothing must come for the quiet time.
    pub(crate) async fn none(&self, why: &str) -> Outcomes {
        self.none_for(self.bed.features().quiet, why).await
    }

    /// Nothing must come for this long.
    pub(crate) async fn none_for(&self, span: Duration, why: &str) -> Outcomes {
        let leased = self.try_receive(1, span).await??;
        match leased.first() {
            Some(leased) => fail!("{why}, but {} came", leased.message.id),
            None => Ok(()),
        }
    }

    /// Settles one; it must succeed.
    pub(crate) async fn settle(&self, leased: Leased, outcome: Outcome) -> Outcomes {
        let text = format!("settle {} as {outcome:?}", leased.message.id);
        let results = self.try_settle(vec![(leased.receipt, outcome)]).await?;
        results.into_iter().try_for_each(|result| result.map_err(|e| Failure::from(e).during(&text)))
    }

    pub(crate) async fn ack(&self, leased: Leased) -> Outcomes {
        self.settle(leased, Outcome::Ack).await
    }

    pub(crate) async fn ack_all(&self, leased: Vec<Leased>) -> Outcomes {
        self.settle_all(leased, &Outcome::Ack).await
    }

    /// Settles all the same way; each must succeed.
    pub(crate) async fn settle_all(&self, leased: Vec<Leased>, outcome: &Outcome) -> Outcomes {
        let batch = leased.into_iter().map(|leased| (leased.receipt, outcome.clone())).collect();
        for result in self.try_settle(batch).await? {
            result.map_err(|error| Failure::from(error).during("settle"))?;
        }
        Ok(())
    }

    /// Settles a batch in parts that the transport takes; there must be a result for each.
    pub(crate) async fn try_settle(&self, mut batch: Vec<(Receipt, Outcome)>) -> Outcomes<Vec<Result<()>>> {
        let mut results = Vec::with_capacity(batch.len());
        while !batch.is_empty() {
            let rest = batch.split_off(batch.len().min(self.bed.capabilities().settle_batch));
            let count = batch.len();
            let settled = self.bed.bounded("settle", self.receiver.settle(batch)).await?;
            ensure!(settled.len() == count, "{count} receipts were settled, {} results came", settled.len());
            results.extend(settled);
            batch = rest;
        }
        Ok(results)
    }

    /// Receives and acknowledges until `count` different messages have come and then no more do;
    /// answers their ids in the order of their first coming.
    pub(crate) async fn drain(&self, count: usize) -> Outcomes<Vec<String>> {
        let mut order = Vec::with_capacity(count);
        let mut seen: HashMap<String, u32> = HashMap::new();
        loop {
            let enough = order.len() >= count;
            let features = self.bed.features();
            let wait = if enough { features.quiet } else { features.patience };
            let leased = self.try_receive(100, wait).await??;
            if leased.is_empty() {
                break;
            }
            for leased in &leased {
                let times = seen.entry(leased.message.id.clone()).or_default();
                *times += 1;
                if *times == 1 {
                    order.push(leased.message.id.clone());
                }
                ensure!(*times == 1 || features.may_repeat, "{} came {times} times", leased.message.id);
            }
            self.ack_all(leased).await?;
        }
        ensure!(order.len() == count, "{count} messages were there, {} came", order.len());
        Ok(order)
    }
}
