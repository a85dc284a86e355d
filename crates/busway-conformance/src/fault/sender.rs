//! Publishing by script.

use std::sync::Arc;

use async_trait::async_trait;
use busway_core::error::{Error, ErrorKind, Result};
use busway_core::{Publication, Queue, Sender};

use super::rule::{Fault, Operation};
use super::script::{Script, failed, unanswered};

pub(super) struct FaultySender {
    pub(super) inner: Arc<dyn Sender>,
    pub(super) script: Script,
}

#[async_trait]
impl Sender for FaultySender {
    async fn publish(&self, batch: Vec<Publication>) -> Vec<Result<()>> {
        let seen: Vec<_> = batch.iter().map(|entry| (&entry.queue, Some(&entry.message))).collect();
        if let Err(error) = self.script.0.enter(Operation::Publish, &seen).await {
            return batch.iter().map(|_| Err(error.duplicate())).collect();
        }
        let mut plan = Plan::default();
        for publication in batch {
            let Publication { queue, message, .. } = &publication;
            let fault = self.script.0.fault(Operation::Publish, queue, message, |_| true);
            plan.add(publication, fault);
        }
        let Plan { sent, entries } = plan;
        let mut results = self.inner.publish(sent).await.into_iter();
        entries.into_iter().map(|entry| entry.answer(&mut results)).collect()
    }
}

/// What is really sent, and how each entry is answered.
#[derive(Default)]
struct Plan {
    sent: Vec<Publication>,
    entries: Vec<Entry>,
}

struct Entry {
    queue: Queue,
    copies: usize,
    fault: Option<Fault>,
}

impl Plan {
    fn add(&mut self, publication: Publication, fault: Option<Fault>) {
        let copies = match &fault {
            Some(Fault::Fail(_)) => 0,
            Some(Fault::Duplicate) => 2,
            _ => 1,
        };
        self.entries.push(Entry { queue: publication.queue.clone(), copies, fault });
        self.sent.extend(std::iter::repeat_n(publication, copies));
    }
}

impl Entry {
    /// Stored where one of its copies was.
    fn answer(self, results: &mut impl Iterator<Item = Result<()>>) -> Result<()> {
        let Self { queue, copies, fault } = self;
        if let Some(Fault::Fail(kind)) = fault {
            return Err(failed("publish", kind, &queue));
        }
        let stored: Vec<Result<()>> = results.take(copies).collect();
        let any = stored.iter().any(Result::is_ok);
        let answer = stored.into_iter().next().unwrap_or_else(|| {
            Err(Error::new("publish", ErrorKind::Internal, "the inner transport gave no result").at(&queue))
        });
        match fault {
            Some(Fault::LoseAnswer) if any => Err(unanswered("publish", &queue)),
            _ if any => Ok(()),
            _ => answer,
        }
    }
}
