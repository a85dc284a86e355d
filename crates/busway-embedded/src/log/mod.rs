//! The log: files `segments/00000001.log`, `00000002.log`… that are only ever appended to at the
//! end of the last and removed at the front.
//!
//! A new file exists, header and queue names included, durably, before the old one says that it
//! ends: so a file that ends bears witness to its successor, and a missing file is noticed.

mod ahead;
pub(crate) mod frame;
pub(crate) mod record;
pub(crate) mod scan;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use busway_core::clock::now_ms;

use crate::disk::{Disk, DiskFile};
use frame::{FILE_HEADER, FileHeader, GROUP_HEADER, GroupHeader};

/// The directory of the log's files within a store.
pub(crate) const SEGMENTS: &str = "segments";

/// Where a log file lies.
pub(crate) fn segment_path(directory: &Path, id: u32) -> PathBuf {
    directory.join(format!("{id:08}.log"))
}

/// Why a group was not appended.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// Nothing was written; the log is as it was and can be appended to.
    Full(io::Error),
    /// It is not known what is on the disk; nothing may be appended any more.
    Broken(io::Error),
}

/// Where a group's first byte after its header stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appended {
    pub(crate) segment: u32,
    pub(crate) payload_at: u32,
}

/// The file that is appended to.
pub(crate) struct Active {
    pub(crate) id: u32,
    pub(crate) file: Box<dyn DiskFile>,
    pub(crate) salt: u64,
    /// Bytes of whole groups.
    pub(crate) length: u32,
    /// The length of the file itself; what lies behind the last group is zero.
    pub(crate) laid_out: u64,
    /// Bytes of these known to be durable.
    pub(crate) durable: u32,
    /// Whether a later group bears witness of what is durable, or nothing was appended yet.
    pub(crate) witnessed: bool,
}

/// The log, open for appending.
pub(crate) struct Log {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) directory: PathBuf,
    pub(crate) active: Active,
    /// Lengths of the files that have ended.
    pub(crate) sealed: BTreeMap<u32, u64>,
    pub(crate) sequence: u64,
    pub(crate) segment_bytes: u32,
    /// Bytes that are laid out ahead at the most.
    pub(crate) ahead: u32,
}

impl Log {
    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.sealed.values().sum::<u64>() + u64::from(self.active.length)
    }

    /// Whether a group of this many bytes belongs into a new file.
    pub(crate) fn wants_rotation(&self, group: usize) -> bool {
        let length = u64::from(self.active.length) + group as u64;
        length > u64::from(self.segment_bytes) && self.active.length > self.segment_bytes / 4
            || length > u64::from(u32::MAX)
    }

    /// Appends a group, whose first [`GROUP_HEADER`] bytes are free for the header, and makes it
    /// durable where `sync` says so.
    pub(crate) fn append(&mut self, group: &mut [u8], sync: bool) -> Result<Appended, AppendError> {
        let active = &mut self.active;
        let offset = active.length;
        active.lay_out(group.len(), self.ahead)?;
        GroupHeader::seal(group, active.salt, offset, active.durable, self.sequence);
        if let Err(error) = active.file.write_at(group, u64::from(offset)) {
            if !means_full(&error) {
                return Err(AppendError::Broken(error));
            }
            return Err(match active.file.set_length(u64::from(offset)) {
                Ok(()) => {
                    active.laid_out = offset.into();
                    AppendError::Full(error)
                }
                Err(second) => AppendError::Broken(second),
            });
        }
        active.witnessed = true;
        active.length += group.len() as u32;
        active.laid_out = active.laid_out.max(active.length.into());
        self.sequence += 1;
        if sync {
            active.file.sync().map_err(AppendError::Broken)?;
            active.durable = active.length;
            active.witnessed = false;
        }
        Ok(Appended { segment: active.id, payload_at: offset + GROUP_HEADER as u32 })
    }

    /// Goes on in a new file that begins with the records of `preamble` (a group with room for its
    /// header).
    pub(crate) fn rotate(&mut self, mut preamble: Vec<u8>, next_position: u64) -> Result<(), AppendError> {
        let next = self.active.id + 1;
        let header = FileHeader {
            id: next,
            salt: salt(),
            oldest: self.sealed.keys().next().copied().unwrap_or(self.active.id),
            sequence: self.sequence + 1,
            next_position,
            created: now_ms(),
        };
        let new =
            create_segment(self.disk.as_ref(), &self.directory, &header, &mut preamble).map_err(|error| {
                if means_full(&error) { AppendError::Full(error) } else { AppendError::Broken(error) }
            })?;
        let mut end = vec![0; GROUP_HEADER];
        record::put_ends(&mut end, next);
        if let Err(error) = self.append(&mut end, true) {
            if let AppendError::Full(_) = error {
                self.disk.remove(&segment_path(&self.directory, next)).map_err(AppendError::Broken)?;
            }
            return Err(error);
        }
        self.sequence += 1;
        self.trim();
        self.sealed.insert(self.active.id, u64::from(self.active.length));
        self.active = new;
        Ok(())
    }

    /// Gives back what was laid out behind the last group; where that fails it stays, and harms
    /// nobody.
    pub(crate) fn trim(&mut self) {
        if let Err(error) = self.active.trim() {
            tracing::warn!(file = self.active.id, %error, "room at the end of a log file could not be given back");
        }
    }

    /// Removes the first file, which a durable record has declared to be no longer part of the
    /// log; answers how many bytes it had.
    pub(crate) fn remove_oldest(&mut self) -> io::Result<u64> {
        let Some((id, bytes)) = self.sealed.pop_first() else { return Ok(0) };
        self.disk.remove(&segment_path(&self.directory, id))?;
        self.disk.sync_directory(&self.directory)?;
        Ok(bytes)
    }
}

/// Makes a log file with its header and first group, durably, its name included.
pub(crate) fn create_segment(
    disk: &dyn Disk,
    directory: &Path,
    header: &FileHeader,
    preamble: &mut [u8],
) -> io::Result<Active> {
    let path = segment_path(directory, header.id);
    let made = write_segment(disk, &path, header, preamble).and_then(|active| {
        disk.sync_directory(directory)?;
        Ok(active)
    });
    if made.is_err() {
        match disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "an unfinished log file could not be removed");
            }
            _ => {}
        }
    }
    made
}

fn write_segment(
    disk: &dyn Disk,
    path: &Path,
    header: &FileHeader,
    preamble: &mut [u8],
) -> io::Result<Active> {
    let file = disk.create(path)?;
    let offset = FILE_HEADER as u32;
    GroupHeader::seal(preamble, header.salt, offset, 0, header.sequence);
    let mut bytes = header.encode().to_vec();
    bytes.extend_from_slice(preamble);
    file.write_at(&bytes, 0)?;
    file.sync()?;
    let length = bytes.len() as u32;
    let (laid_out, salt) = (length.into(), header.salt);
    Ok(Active { id: header.id, file, salt, length, laid_out, durable: length, witnessed: true })
}

/// Whether an error means that there is no room rather than that the disk is broken.
pub(crate) fn means_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// A number that no other log file has: from the process's hash keys, the clock and a counter.
pub(crate) fn salt() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one((std::time::SystemTime::now(), std::process::id()))
}
