//! The thread that alone writes the log: it takes all that waits, writes it as one group, syncs
//! once, changes the index and answers the callers.

mod apply;
mod build;
mod keep;
mod refuse;

use std::sync::Arc;
use std::time::Duration;

use busway_core::Result;

use crate::clean::Cleaner;
use crate::error::io_error;
use crate::lock::Lock;
use crate::log::frame::GROUP_HEADER;
use crate::log::{AppendError, Appended, Log, record};
use crate::ops::{Batch, Op, Reply};
use crate::reserve::Reserve;
use crate::store::Store;
use build::{Built, put_counts};

/// How long the store is quiet before the last group gets a witness behind it.
const QUIET: Duration = Duration::from_millis(50);

/// How long it is quiet before it is idle.
const IDLE: Duration = Duration::from_secs(1);

/// The committer's thread and what it alone owns.
pub(crate) struct Committer {
    store: Arc<Store>,
    log: Log,
    reserve: Reserve,
    cleaner: Cleaner,
    next_position: u64,
    group: Vec<u8>,
    /// Held for as long as the log may be written.
    _lock: Lock,
}

impl Committer {
    pub(crate) fn new(store: Arc<Store>, log: Log, reserve: Reserve, lock: Lock) -> Self {
        let next_position = store.with(|index, _| index.next_position);
        Self {
            store,
            log,
            reserve,
            cleaner: Cleaner::default(),
            next_position,
            group: Vec::new(),
            _lock: lock,
        }
    }

    /// Marks the log as open, so that a start after a kill knows that it was not closed in order.
    pub(crate) fn begin(&mut self) {
        self.log.active.witnessed = false;
        self.bear_witness();
    }

    /// Runs until the store is closed.
    pub(crate) fn run(mut self) {
        let _end = End(self.store.clone());
        let mut quiet = Some(QUIET);
        let mut closing = None;
        while !self.store.is_broken() {
            let wait = match self.cleaner.is_busy() || closing.is_some() {
                true => Some(Duration::ZERO),
                false => quiet,
            };
            let mut batch = self.store.ops.next(self.store.config.group_bytes, wait);
            closing = closing.or(take_close(&mut batch));
            if !batch.is_empty() {
                self.commit(batch);
                self.clean(false);
                quiet = Some(QUIET);
            } else if let Some(reply) = closing.take() {
                return self.close(reply);
            } else {
                quiet = self.rest(quiet);
            }
        }
    }

    /// Nothing waits: uses the time. Answers how long to wait for more.
    fn rest(&mut self, quiet: Option<Duration>) -> Option<Duration> {
        if self.cleaner.is_busy() {
            self.clean(true);
            return Some(IDLE);
        }
        if quiet == Some(QUIET) {
            self.bear_witness();
            return Some(IDLE);
        }
        if quiet == Some(IDLE) {
            if self.cleaner.wants_rotation(&self.store, &self.log) {
                self.rotate();
            }
            self.clean(true);
        }
        // Others may make room on the disk, and nobody tells.
        self.cleaner.is_paused().then_some(IDLE)
    }

    /// Writes a batch and answers its callers.
    fn commit(&mut self, mut batch: Batch) {
        self.refuse_declarations(&mut batch);
        if !batch.publications.is_empty() && !self.reserve.restore() {
            self.refuse_publications(&mut batch, std::io::ErrorKind::StorageFull.into());
        }
        match self.write(&mut batch) {
            Ok((built, at)) => return self.apply(batch, &built, at),
            Err(AppendError::Broken(error)) => return self.break_down(&error.to_string(), batch),
            Err(AppendError::Full(error)) => {
                self.cleaner.pause();
                self.refuse_publications(&mut batch, error);
            }
        }
        if batch.ops.is_empty() {
            return;
        }
        self.reserve.give_up();
        match self.write(&mut batch) {
            Ok((built, at)) => self.apply(batch, &built, at),
            Err(AppendError::Broken(error)) => self.break_down(&error.to_string(), batch),
            Err(AppendError::Full(error)) => self.refuse(batch, error),
        }
    }

    /// Builds the batch's group and appends it.
    fn write(&mut self, batch: &mut Batch) -> Result<(Built, Option<Appended>), AppendError> {
        let built = self.build(batch);
        let appended = self.append(&built);
        self.give_back(&built, batch);
        if appended.is_err() {
            self.forget_counts(&built);
        }
        Ok((built, appended?))
    }

    fn append(&mut self, built: &Built) -> Result<Option<Appended>, AppendError> {
        if self.group.len() == GROUP_HEADER {
            return Ok(None);
        }
        if self.log.wants_rotation(self.group.len()) {
            let group = std::mem::take(&mut self.group);
            let rotated = self.try_rotate();
            self.group = group;
            match rotated {
                Err(AppendError::Full(error)) if self.log.active.length > u32::MAX / 2 => {
                    return Err(AppendError::Full(error));
                }
                Err(AppendError::Broken(error)) => return Err(AppendError::Broken(error)),
                Ok(()) | Err(AppendError::Full(_)) => {}
            }
        }
        self.log.append(&mut self.group, built.sync).map(Some)
    }

    fn close(mut self, reply: Option<Reply>) {
        let mut group = vec![0; GROUP_HEADER];
        put_counts(&self.store, &mut group, 0);
        record::put_closed(&mut group);
        let result = match self.log.append(&mut group, true) {
            Ok(_) | Err(AppendError::Full(_)) => {
                self.log.trim();
                Ok(())
            }
            Err(AppendError::Broken(error)) => Err(io_error("close", &self.store.config.path, error)),
        };
        drop(self);
        if let Some(reply) = reply {
            answer(reply, result);
        }
    }
}

/// When the committer ends, in whatever way, nobody is left waiting for it.
struct End(Arc<Store>);

impl Drop for End {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set_broken("its committer failed".to_owned());
        }
        self.0.ops.abandon();
        self.0.timer.stop();
    }
}

fn take_close(batch: &mut Batch) -> Option<Option<Reply>> {
    let at = batch.ops.iter().position(|op| matches!(op, Op::Close { .. }))?;
    match batch.ops.swap_remove(at) {
        Op::Close { reply } => Some(reply),
        _ => None,
    }
}

/// A caller that has gone away is told nothing.
fn answer(reply: Reply, result: Result<()>) {
    drop(reply.send(result));
}
