//! Answers for what was not done.

use busway_core::{Error, ErrorKind};

use super::{Committer, answer};
use crate::ops::{Batch, Op, SettleOp};

/// Queues that a log can number.
const MOST_QUEUES: usize = u16::MAX as usize;

impl Committer {
    /// A log has numbers for so many queues and no more.
    pub(super) fn refuse_declarations(&self, batch: &mut Batch) {
        let mut count = self.store.with(|index, _| index.queues().count());
        for op in std::mem::take(&mut batch.ops) {
            match op {
                Op::Declare { queues, reply } if count + queues.len() > MOST_QUEUES => {
                    let text = format!("a store has at most {MOST_QUEUES} queues");
                    let error = Error::new("declare", ErrorKind::Configuration, text);
                    answer(reply, Err(error.at(&self.store.config.name)));
                }
                op => {
                    count += if let Op::Declare { queues, .. } = &op { queues.len() } else { 0 };
                    batch.ops.push(op);
                }
            }
        }
    }

    pub(super) fn refuse_publications(&self, batch: &mut Batch, error: std::io::Error) {
        let error = self.full("publish", error);
        for op in batch.publications.drain(..) {
            answer(op.reply, Err(error.duplicate()));
        }
    }

    pub(super) fn refuse(&self, batch: Batch, error: std::io::Error) {
        let error = self.full("settle", error);
        for op in batch.ops {
            self.undo(op, || error.duplicate());
        }
    }

    fn full(&self, operation: &'static str, error: std::io::Error) -> Error {
        Error::new(operation, ErrorKind::Full, "the disk has no room")
            .at(self.store.config.path.display())
            .caused_by(error)
            .advise("free space on the disk; what is stored is safe")
    }

    /// What an operation was about stays as it was.
    fn undo(&self, op: Op, error: impl Fn() -> Error) {
        let wait = self.store.config.backoff_first.as_millis() as u64;
        match op {
            Op::Settle(SettleOp { items, reply, .. }) => {
                self.store.with(|index, now| {
                    items.iter().for_each(|(token, ..)| index.hold(*token, wait, now));
                });
                answer(reply, Err(error()));
            }
            Op::Purge { seized, reply } => {
                self.store.with(|index, now| {
                    seized.iter().for_each(|(slot, _)| index.let_go(*slot, now));
                });
                answer(reply, Err(error()));
            }
            Op::Declare { reply, .. } => answer(reply, Err(error())),
            Op::Count { reply } | Op::Close { reply } => {
                reply.into_iter().for_each(|reply| answer(reply, Err(error())));
            }
        }
    }

    /// The log cannot be written any more.
    pub(super) fn break_down(&self, why: &str, batch: Batch) {
        self.store.set_broken(why.to_owned());
        for op in batch.publications {
            answer(op.reply, Err(self.store.outcome_unknown("publish")));
        }
        for op in batch.ops {
            self.undo(op, || self.store.outcome_unknown("settle"));
        }
    }
}
