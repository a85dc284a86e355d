//! Receiving and settling by script.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use busway_core::error::{Error, ErrorKind, Result};
use busway_core::transport::{Turns, Want};
use busway_core::{AbandonSink, Leased, Outcome, Publication, Queue, Receipt, Receiver, Sender};

use super::rule::{Fault, Operation};
use super::script::{Script, failed, unanswered};

pub(super) struct FaultyReceiver {
    inner: Arc<dyn Receiver>,
    /// Stores the copies of what is made to come twice.
    sender: Arc<dyn Sender>,
    queue: Queue,
    script: Script,
    sink: Arc<dyn AbandonSink>,
}

/// One entry of a settle: answered already, or by the inner transport.
enum Entry {
    Answered(Result<()>),
    Sent { lose_answer: bool },
}

impl FaultyReceiver {
    pub(super) fn new(
        inner: Arc<dyn Receiver>,
        sender: Arc<dyn Sender>,
        queue: Queue,
        script: Script,
    ) -> Self {
        let sink: Arc<dyn AbandonSink> = script.0.clone();
        Self { inner, sender, queue, script, sink }
    }

    async fn enter(&self, operation: Operation) -> Result<()> {
        self.script.0.enter(operation, &[(&self.queue, None)]).await
    }

    /// What is handed out of what was received; the rest returns by being dropped.
    async fn hand_out(&self, received: Vec<Leased>) -> Result<Vec<Leased>> {
        let mut handed = Vec::with_capacity(received.len());
        let mut error = None;
        for leased in received {
            match self.script.0.fault(Operation::Receive, &self.queue, &leased.message, |_| true) {
                Some(Fault::Fail(kind)) => error = Some(failed("receive", kind, &self.queue)),
                Some(Fault::LoseAnswer) => error = Some(unanswered("receive", &self.queue)),
                Some(Fault::Duplicate) => {
                    let mut message = leased.message.clone();
                    message.deliver_at = None;
                    let copy = Publication::new(self.queue.clone(), message);
                    self.sender.publish(vec![copy]).await.into_iter().collect::<Result<()>>()?;
                    handed.push(leased);
                }
                _ => handed.push(leased),
            }
        }
        match error {
            Some(error) if handed.is_empty() => Err(error),
            _ => Ok(handed.into_iter().map(|leased| self.script.0.hand_out(leased, &self.sink)).collect()),
        }
    }

    async fn extend_one(&self, token: u64, by: Duration) -> Result<()> {
        self.script.0.check_other("extend")?;
        let Some(inner) = self.script.0.inner_token(token) else {
            let error = Error::new("extend", ErrorKind::LeaseLost, "the message is not in hand");
            return Err(error.at(&self.queue));
        };
        self.inner.extend(&[inner], by).await.pop().unwrap_or_else(|| Err(no_result("extend")))
    }

    /// What is really settled of this entry.
    fn plan(&self, receipt: Receipt, outcome: Outcome) -> (Entry, Option<(Receipt, Outcome)>) {
        let lost = || {
            let text = "the message is no longer in hand, or the receipt is another's";
            (Entry::Answered(Err(Error::new("settle", ErrorKind::LeaseLost, text).at(&self.queue))), None)
        };
        if !receipt.belongs_to(&self.sink) {
            return lost();
        }
        let (token, _) = receipt.redeem();
        let Some(in_hand) = self.script.0.take_back(token) else { return lost() };
        let could = |fault: &Fault| outcome == Outcome::Ack || !matches!(fault, Fault::Duplicate);
        match self.script.0.fault(Operation::Settle, &self.queue, &in_hand.message, could) {
            Some(Fault::Fail(kind)) => (Entry::Answered(Err(failed("settle", kind, &self.queue))), None),
            Some(Fault::Duplicate) => {
                (Entry::Sent { lose_answer: false }, Some((in_hand.receipt, Outcome::Release)))
            }
            fault => {
                let lose_answer = matches!(fault, Some(Fault::LoseAnswer));
                (Entry::Sent { lose_answer }, Some((in_hand.receipt, outcome)))
            }
        }
    }
}

#[async_trait]
impl Receiver for FaultyReceiver {
    async fn receive(&self, want: Want) -> Result<Vec<Leased>> {
        let entered = self.enter(Operation::Receive);
        match tokio::time::timeout_at(want.until.max(Instant::now()).into(), entered).await {
            Ok(entered) => entered?,
            Err(_) => return Ok(Vec::new()),
        }
        let received = self.script.0.unless_cut(Operation::Receive, self.inner.receive(want)).await??;
        self.hand_out(received).await
    }

    async fn ready(&self, until: Instant) -> Result<bool> {
        self.script.0.check(Operation::Receive)?;
        self.script.0.unless_cut(Operation::Receive, self.inner.ready(until)).await?
    }

    async fn settle(&self, batch: Vec<(Receipt, Outcome)>) -> Vec<Result<()>> {
        if let Err(error) = self.enter(Operation::Settle).await {
            return batch.iter().map(|_| Err(error.duplicate())).collect();
        }
        let (mut entries, mut sent) = (Vec::with_capacity(batch.len()), Vec::new());
        for (receipt, outcome) in batch {
            let (entry, settled) = self.plan(receipt, outcome);
            entries.push(entry);
            sent.extend(settled);
        }
        let mut results = self.inner.settle(sent).await.into_iter();
        let answer = |entry| match entry {
            Entry::Answered(answer) => answer,
            Entry::Sent { lose_answer } => match results.next() {
                Some(Ok(())) if lose_answer => Err(unanswered("settle", &self.queue)),
                Some(answer) => answer,
                None => Err(no_result("settle")),
            },
        };
        entries.into_iter().map(answer).collect()
    }

    async fn extend(&self, tokens: &[u64], by: Duration) -> Vec<Result<()>> {
        let mut results = Vec::with_capacity(tokens.len());
        for token in tokens {
            results.push(self.extend_one(*token, by).await);
        }
        results
    }

    fn set_turns(&self, turns: Turns) -> Result<()> {
        self.inner.set_turns(turns)
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

fn no_result(operation: &'static str) -> Error {
    Error::new(operation, ErrorKind::Internal, "the inner transport gave no result")
}
