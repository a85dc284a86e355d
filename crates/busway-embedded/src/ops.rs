//! What waits for the committer: bounded, settles apart from publications, so that a flood of
//! publications never keeps an acknowledgement waiting for more than the group under way.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use busway_core::{Queue, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::buffers::Buffers;
use crate::index::{Cached, Token};
use crate::log::record::{Meta, Span, Waiting};

/// Tells a caller what became of its operation.
pub(crate) type Reply = oneshot::Sender<Result<()>>;

/// A message ready to be appended.
pub(crate) struct Prepared {
    pub(crate) meta: Meta,
    pub(crate) span: Span,
    /// It is for the same queue, destination and account as the one before it in its batch.
    pub(crate) same: bool,
    /// The message itself, where it is likely to be read soon.
    pub(crate) message: Option<Box<Cached>>,
}

/// Messages to append, all or none.
pub(crate) struct PublishOp {
    pub(crate) batch: Vec<Prepared>,
    /// Their records, behind the room for a group's header: they may be a group by themselves.
    pub(crate) bytes: Vec<u8>,
    pub(crate) reply: Reply,
    pub(crate) room: OwnedSemaphorePermit,
}

/// What becomes of one message in hand.
pub(crate) enum Settled {
    Gone,
    Waits(Waiting),
    /// It moves to another queue, as this record.
    Moves {
        bytes: Vec<u8>,
        prepared: Prepared,
    },
}

/// Messages in hand and what becomes of them.
pub(crate) struct SettleOp {
    pub(crate) items: Vec<(Token, u64, Settled)>,
    /// About how many bytes their records have.
    pub(crate) bytes: usize,
    pub(crate) reply: Reply,
    /// Kept by the first of the operations that one batch became.
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

/// Everything but publications.
pub(crate) enum Op {
    Settle(SettleOp),
    Declare {
        queues: Vec<Queue>,
        reply: Reply,
    },
    /// Messages that were seized, by slot and position, to be removed.
    Purge {
        seized: Vec<(u32, u64)>,
        reply: Reply,
    },
    /// Write delivery counts now, without a sync.
    Count {
        reply: Option<Reply>,
    },
    Close {
        reply: Option<Reply>,
    },
}

/// What the committer does next.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) ops: Vec<Op>,
    pub(crate) publications: Vec<PublishOp>,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.publications.is_empty()
    }
}

#[derive(Default)]
struct Queued {
    ops: VecDeque<Op>,
    publications: VecDeque<PublishOp>,
    /// Nobody will take anything any more.
    abandoned: bool,
}

/// The way to the committer.
pub(crate) struct Ops {
    pub(crate) buffers: Buffers,
    queued: Mutex<Queued>,
    bell: Condvar,
    publish_room: Arc<Semaphore>,
    publish_units: u32,
    settle_room: Arc<Semaphore>,
}

/// Bytes that one permit of the publication room stands for.
const UNIT: usize = 1024;

/// Receipts that may wait to be settled.
const SETTLE_ROOM: u32 = 1 << 16;

impl Ops {
    pub(crate) fn new(backlog_bytes: usize) -> Self {
        let publish_units = (backlog_bytes / UNIT).max(1) as u32;
        Self {
            buffers: Buffers::default(),
            queued: Mutex::default(),
            bell: Condvar::new(),
            publish_room: Arc::new(Semaphore::new(publish_units as usize)),
            publish_units,
            settle_room: Arc::new(Semaphore::new(SETTLE_ROOM as usize)),
        }
    }

    /// Waits for room for this many bytes; `None` once the store is closed.
    pub(crate) async fn publish_room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = bytes.div_ceil(UNIT).clamp(1, self.publish_units as usize) as u32;
        self.publish_room.clone().acquire_many_owned(units).await.ok()
    }

    /// Waits for room for this many receipts; `None` once the store is closed.
    pub(crate) async fn settle_room(&self, receipts: usize) -> Option<OwnedSemaphorePermit> {
        let units = receipts.clamp(1, SETTLE_ROOM as usize) as u32;
        self.settle_room.clone().acquire_many_owned(units).await.ok()
    }

    /// Hands an operation to the committer. Where there is none any more it is dropped, and with it
    /// its reply.
    pub(crate) fn push(&self, op: Op) {
        let mut queued = self.lock();
        if !queued.abandoned {
            queued.ops.push_back(op);
            self.bell.notify_one();
        }
    }

    /// Hands publications to the committer.
    pub(crate) fn publish(&self, op: PublishOp) {
        let mut queued = self.lock();
        if !queued.abandoned {
            queued.publications.push_back(op);
            self.bell.notify_one();
        }
    }

    /// Refuses everybody who waits for room.
    pub(crate) fn close_rooms(&self) {
        self.publish_room.close();
        self.settle_room.close();
    }

    /// What waits, up to about `bytes`, publications last; empty when `wait` is over.
    pub(crate) fn next(&self, bytes: usize, wait: Option<Duration>) -> Batch {
        let mut queued = self.lock();
        if queued.ops.is_empty() && queued.publications.is_empty() {
            queued = match wait {
                Some(Duration::ZERO) => queued,
                Some(wait) => self.bell.wait_timeout(queued, wait).unwrap_or_else(PoisonError::into_inner).0,
                None => self.bell.wait(queued).unwrap_or_else(PoisonError::into_inner),
            };
        }
        let mut batch = Batch::default();
        let mut size = 0;
        while size < bytes
            && let Some(op) = queued.ops.pop_front()
        {
            size += if let Op::Settle(op) = &op { op.bytes } else { 0 };
            batch.ops.push(op);
        }
        while size < bytes
            && let Some(op) = queued.publications.pop_front()
        {
            size += op.bytes.len();
            batch.publications.push(op);
        }
        batch
    }

    /// Lets go of everything that waits and of all that comes.
    pub(crate) fn abandon(&self) {
        self.close_rooms();
        let dropped = {
            let mut queued = self.lock();
            // In one hold of the lock: what came in between would wait for ever.
            queued.abandoned = true;
            (std::mem::take(&mut queued.ops), std::mem::take(&mut queued.publications))
        };
        drop(dropped);
    }

    fn lock(&self) -> MutexGuard<'_, Queued> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
