//! Gives disk space back: copies what is left in the oldest log file to the log's head, then
//! removes that file. Only ever the oldest.
//!
//! # Why nothing comes back to life
//! A record that ends or changes a message stands behind every copy of that message: copies are
//! made only of messages that still exist. Files are removed from the front only. So when the
//! record that ended a message is removed, every copy of the message has been removed before it or
//! goes with it in the same file; and while a copy exists, so do all records behind it. A file's
//! removal begins only after a durable record has said that the log begins behind it, and a start
//! ignores what lies before that; so a removal that is cut short, or reaches the disk out of order,
//! changes nothing either.

use crate::files::ReadError;
use std::time::{Duration, Instant};

use crate::index::{Index, Place};
use crate::log::Log;
use crate::log::record::{self, BODY_PREFIX, Meta, Span};
use crate::store::Store;

/// Bytes copied along with a group of other work: twice as many as that has, within these.
const BUSY_BYTES: std::ops::RangeInclusive<usize> = 32 << 10..=512 << 10;

/// Bytes copied in a group when nothing else is to be done.
const IDLE_BYTES: usize = 2 << 20;

/// Bodies read in one go.
const BODIES: usize = 256;

/// How long to wait after there was no room.
const PAUSE: Duration = Duration::from_secs(1);

/// Slots looked at with the index locked.
const STRIDE: u32 = 16_384;

/// A message that has been copied to the group that is being built.
pub(crate) struct Moved {
    pub(crate) slot: u32,
    pub(crate) position: u64,
    pub(crate) from: Place,
    pub(crate) span: Span,
}

/// The work on one file.
struct Victim {
    id: u32,
    /// Slots looked at so far.
    looked: u32,
    /// What is left in it: slots and positions, highest offset first.
    left: Vec<(u32, u32, u64)>,
    sorted: bool,
}

/// The cleaning under way.
#[derive(Default)]
pub(crate) struct Cleaner {
    victim: Option<Victim>,
    /// A body could not be read: nothing is cleaned any more, so that it is not lost.
    stuck: bool,
    /// There was no room; not to be tried again before this.
    not_before: Option<Instant>,
}

impl Cleaner {
    /// Whether there is something to copy or to look for.
    pub(crate) fn is_busy(&self) -> bool {
        self.victim.is_some()
    }

    /// Whether it rests for want of room and is to be tried again.
    pub(crate) fn is_paused(&self) -> bool {
        self.not_before.is_some()
    }

    /// Begins with the oldest file where that is worth it.
    pub(crate) fn plan(&mut self, store: &Store, log: &Log, idle: bool) {
        self.not_before = self.not_before.filter(|moment| Instant::now() < *moment);
        if self.victim.is_some() || self.stuck || self.is_paused() {
            return;
        }
        let Some(id) = log.sealed.keys().next().copied() else { return };
        if wants_cleaning(store, log, idle) {
            self.victim = Some(Victim { id, looked: 0, left: Vec::new(), sorted: false });
        }
    }

    /// Whether the file that is being appended to holds what is to be cleaned.
    pub(crate) fn wants_rotation(&self, store: &Store, log: &Log) -> bool {
        !self.stuck && log.sealed.is_empty() && wants_cleaning(store, log, true)
    }

    /// Copies some of what is left to the group, in proportion to the other bytes `beside` it;
    /// answers what it copied.
    pub(crate) fn copy(&mut self, store: &Store, group: &mut Vec<u8>, beside: Option<usize>) -> Vec<Moved> {
        let mut moved = Vec::new();
        let Some(victim) = &mut self.victim else { return moved };
        if !victim.sorted {
            victim.look(store, if beside.is_some() { 4 * STRIDE } else { u32::MAX });
            return moved;
        }
        let most = match beside {
            Some(bytes) => (2 * bytes).clamp(*BUSY_BYTES.start(), *BUSY_BYTES.end()),
            None => IDLE_BYTES,
        };
        let end = group.len() + most;
        while group.len() < end && !victim.left.is_empty() {
            let exports = victim.next(store, end - group.len());
            let places: Vec<Place> = exports.iter().map(|(_, _, export)| export.place).collect();
            for ((slot, position, export), bytes) in exports.into_iter().zip(store.files.read_raw(&places)) {
                match bytes {
                    Ok(bytes) => moved.push(export.copy(slot, position, &bytes, group)),
                    Err(error) => {
                        self.give_up(&error);
                        return moved;
                    }
                }
            }
        }
        if moved.is_empty() {
            let id = victim.id;
            self.victim = None;
            if store.with(|index, _| index.live_bytes(Some(id))) > 0 {
                self.stuck = true;
                tracing::error!(file = id, "cleaning has ended: messages are left in a file that has none");
            }
        }
        moved
    }

    /// There was no room for what cleaning writes: begin anew later.
    pub(crate) fn pause(&mut self) {
        self.victim = None;
        self.not_before = Some(Instant::now() + PAUSE);
    }

    fn give_up(&mut self, error: &ReadError) {
        self.stuck = true;
        self.victim = None;
        if let ReadError::Failed(error) = error {
            tracing::error!(%error, "cleaning has ended, so that a message that cannot be read is not lost");
        }
    }
}

impl Victim {
    /// What is known of the next messages that are left, up to about so many bytes.
    fn next(&mut self, store: &Store, bytes: usize) -> Vec<(u32, u64, Export)> {
        store.with(|index, _| {
            let (mut exports, mut size) = (Vec::new(), 0);
            while size < bytes
                && exports.len() < BODIES
                && let Some((_, slot, position)) = self.left.pop()
            {
                let export = index.export(slot, position);
                if let Some(export) = export.filter(|export| export.place.segment == self.id) {
                    size += export.place.length as usize;
                    exports.push((slot, position, export));
                }
            }
            exports
        })
    }

    /// Collects what is left in the file.
    fn look(&mut self, store: &Store, most: u32) {
        let stop = self.looked.saturating_add(most);
        while self.looked < stop {
            let end = self.looked.saturating_add(STRIDE);
            let more = store.with(|index, _| {
                for slot in self.looked..end.min(index.entries.slots()) {
                    if let Some(entry) = index.entries.get(slot).filter(|entry| entry.segment == self.id) {
                        self.left.push((entry.offset, slot, entry.position));
                    }
                }
                end < index.entries.slots()
            });
            self.looked = end;
            if !more {
                self.left.sort_unstable_by(|a, b| b.cmp(a));
                self.sorted = true;
                return;
            }
        }
    }
}

fn wants_cleaning(store: &Store, log: &Log, idle: bool) -> bool {
    let live = store.with(|index, _| index.live_bytes(None));
    let limit = if idle { store.config.idle_garbage_bytes } else { store.config.garbage_bytes };
    log.bytes().saturating_sub(live) > live.max(limit)
}

/// The lowest file that still holds messages, or the one that is being appended to.
pub(crate) fn first_needed(index: &Index, log: &Log) -> u32 {
    log.sealed.keys().copied().find(|id| index.live_bytes(Some(*id)) > 0).unwrap_or(log.active.id)
}

/// All that is known of a message, for its copy.
pub(crate) struct Export {
    pub(crate) meta: Meta,
    pub(crate) place: Place,
    pub(crate) waited: Option<(u64, busway_core::Reason)>,
    pub(crate) deliveries: u32,
}

impl Export {
    fn copy(&self, slot: u32, position: u64, bytes: &[u8], group: &mut Vec<u8>) -> Moved {
        debug_assert_eq!(bytes.len(), BODY_PREFIX + self.place.length as usize);
        let waited = self.waited.as_ref().map(|(parked, reason)| (*parked, reason));
        let span = record::put_moved(group, &self.meta, position, waited, self.deliveries, bytes);
        Moved { slot, position, from: self.place, span }
    }
}
