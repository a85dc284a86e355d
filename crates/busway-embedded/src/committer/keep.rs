//! Keeps the log in order: begins new files, cleans old ones, bears witness of what is durable.

use super::Committer;
use super::build::{Built, put_queues};
use crate::clean::first_needed;
use crate::log::frame::GROUP_HEADER;
use crate::log::{AppendError, record};
use crate::ops::Batch;

impl Committer {
    /// Copies out of the oldest file, and removes files that hold nothing any more.
    pub(super) fn clean(&mut self, idle: bool) {
        self.cleaner.plan(&self.store, &self.log, idle);
        if idle && self.cleaner.is_busy() {
            self.group.clear();
            self.group.resize(GROUP_HEADER, 0);
            let moved = self.cleaner.copy(&self.store, &mut self.group, None);
            if !moved.is_empty() {
                match self.log.append(&mut self.group, true) {
                    Ok(at) => {
                        let built = Built { moved, ..Built::default() };
                        self.apply(Batch::default(), &built, Some(at));
                    }
                    Err(AppendError::Full(_)) => self.cleaner.pause(),
                    Err(AppendError::Broken(error)) => {
                        return self.break_down(&error.to_string(), Batch::default());
                    }
                }
                if self.log.wants_rotation(0) {
                    self.rotate();
                }
            }
        }
        self.remove_empty();
        self.cleaner.plan(&self.store, &self.log, idle);
    }

    fn remove_empty(&mut self) {
        let Some(first) = self.log.sealed.keys().next().copied() else { return };
        let needed = self.store.with(|index, _| first_needed(index, &self.log));
        if needed == first {
            return;
        }
        let mut group = vec![0; GROUP_HEADER];
        record::put_oldest(&mut group, needed);
        let mut said = self.log.append(&mut group, true);
        if matches!(said, Err(AppendError::Full(_))) && self.reserve.give_up() {
            said = self.log.append(&mut group, true);
        }
        match said {
            Ok(_) => {}
            Err(AppendError::Full(_)) => return self.cleaner.pause(),
            Err(AppendError::Broken(error)) => return self.break_down(&error.to_string(), Batch::default()),
        }
        while self.log.sealed.keys().next().is_some_and(|id| *id < needed) {
            if let Some(id) = self.log.sealed.keys().next() {
                self.store.files.forget(*id);
            }
            if let Err(error) = self.log.remove_oldest() {
                tracing::warn!(%error, "a log file that is no longer needed could not be removed");
                return;
            }
        }
    }

    pub(super) fn rotate(&mut self) {
        match self.try_rotate() {
            Ok(()) | Err(AppendError::Full(_)) => {}
            Err(AppendError::Broken(error)) => self.break_down(&error.to_string(), Batch::default()),
        }
    }

    pub(super) fn try_rotate(&mut self) -> Result<(), AppendError> {
        let mut preamble = vec![0; GROUP_HEADER];
        self.store.with(|index, _| put_queues(index, &mut preamble));
        self.log.rotate(preamble, self.next_position)
    }

    /// Writes an empty group, without a sync, that says that all before it is durable.
    pub(super) fn bear_witness(&mut self) {
        if self.log.active.witnessed {
            return;
        }
        let mut group = vec![0; GROUP_HEADER];
        match self.log.append(&mut group, false) {
            Ok(_) | Err(AppendError::Full(_)) => {}
            Err(AppendError::Broken(error)) => self.break_down(&error.to_string(), Batch::default()),
        }
    }
}
