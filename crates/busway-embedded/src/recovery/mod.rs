//! Opens the log: reads every file, rebuilds the index, cuts off what was never confirmed, and
//! refuses to guess about anything else.
//!
//! | found | done |
//! |---|---|
//! | bytes without a whole group at the end of the last file, and no later group that says they were durable | cut off, synced, a warning |
//! | zeros behind the last group of a file, and nothing else | room that was laid out; kept in the last file |
//! | bytes as in the first row, but a later group says that they were durable | `Corrupt` |
//! | a damaged group anywhere else, a missing file, a file of another log | `Corrupt` |
//! | a newer format | `Version` |
//! | a last file without any group of its own, after one that does not say it ends | removed: it had just been made |
//! | files below the first one that the log names | removed: they were being removed |

mod replay;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use busway_core::clock::now_ms;
use busway_core::{Error, ErrorKind, Result};

use crate::config::EmbeddedConfig;
use crate::disk::{Disk, DiskFile};
use crate::error::{corrupt, io_error};
use crate::index::pool::NumberMap;
use crate::index::{Index, Now};
use crate::layout;
use crate::log::frame::{BadHeader, FILE_HEADER, FORMAT, FileHeader, GROUP_HEADER};
use crate::log::scan::{Scan, Scanned, Tail};
use crate::log::{Active, Log, SEGMENTS, create_segment, salt, segment_path};

/// An opened log and what it says.
pub(crate) struct Recovered {
    pub(crate) log: Log,
    pub(crate) index: Index,
    /// Whether the store had been closed in order.
    pub(crate) orderly: bool,
}

/// Opens the log of the store at `path`, which is locked; makes it where there is none.
pub(crate) fn recover(disk: Arc<dyn Disk>, config: &EmbeddedConfig, now: Now) -> Result<Recovered> {
    let path = config.path.as_path();
    let exists = layout::check_version(path)?;
    let directory = path.join(SEGMENTS);
    if !exists {
        layout::make_directory(disk.as_ref(), &directory, layout::PRIVATE)?;
    }
    layout::sync_names(disk.as_ref(), path)?;
    let files = layout::list_segments(path)?;
    let mut replay = Replay::new(Index::new(config.cache_bytes), directory.clone());
    let log = if exists {
        replay.read(&files)?;
        replay.into_log(&disk, config, now)?
    } else {
        replay.check_unfinished(&files)?;
        let log = make_log(disk.clone(), directory, &files, config)?;
        layout::write_version(disk.as_ref(), path)?;
        Recovered { log, index: replay.index, orderly: true }
    };
    Ok(log)
}

fn make_log(disk: Arc<dyn Disk>, directory: PathBuf, files: &[u32], config: &EmbeddedConfig) -> Result<Log> {
    for id in files {
        let file = segment_path(&directory, *id);
        disk.remove(&file).map_err(|error| io_error("open", &file, error))?;
    }
    let header =
        FileHeader { id: 1, salt: salt(), oldest: 1, sequence: 1, next_position: 1, created: now_ms() };
    let active = create_segment(disk.as_ref(), &directory, &header, &mut [0; GROUP_HEADER])
        .map_err(|error| io_error("open", &segment_path(&directory, 1), error))?;
    let (segment_bytes, ahead) = (config.segment_bytes, config.ahead());
    Ok(Log { disk, directory, active, sealed: BTreeMap::new(), sequence: 2, segment_bytes, ahead })
}

/// One file that was read.
struct Read {
    header: FileHeader,
    scanned: Scanned,
    file_length: u64,
    /// The file that it says it goes on in.
    next: Option<u32>,
}

struct Replay {
    index: Index,
    directory: PathBuf,
    slots: NumberMap<u64, u32>,
    numbers: NumberMap<u16, u16>,
    oldest: u32,
    orderly: bool,
    read: BTreeMap<u32, Read>,
    /// A last file that had only just been made.
    unused: Option<u32>,
}

/// What stops the reading of a file.
enum Stop {
    Io(io::Error),
    Record(u64, String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Replay {
    fn new(index: Index, directory: PathBuf) -> Self {
        Self {
            index,
            directory,
            slots: NumberMap::default(),
            numbers: NumberMap::default(),
            oldest: 1,
            orderly: false,
            read: BTreeMap::new(),
            unused: None,
        }
    }

    /// A store whose making was interrupted has at most an empty first file.
    fn check_unfinished(&self, files: &[u32]) -> Result<()> {
        for id in files {
            let path = self.path(*id);
            let length = std::fs::metadata(&path).map_err(|error| io_error("open", &path, error))?.len();
            if *id != 1 || length > (FILE_HEADER + GROUP_HEADER) as u64 {
                return Err(corrupt(&path, 0, "there is a log, but no VERSION beside it"));
            }
        }
        Ok(())
    }

    fn read(&mut self, files: &[u32]) -> Result<()> {
        let Some(last) = files.last().copied() else {
            return Err(corrupt(&self.directory, 0, "the log has no files"));
        };
        for id in files {
            self.read_file(*id, last)?;
        }
        self.check_chain()
    }

    fn read_file(&mut self, id: u32, last: u32) -> Result<()> {
        let path = self.path(id);
        let failed = |error| io_error("open", &path, error);
        let file = File::open(&path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut scan = match Scan::open(file).map_err(failed)? {
            Ok(scan) if scan.header.id == id => scan,
            Ok(scan) => {
                return Err(corrupt(&path, 0, format!("the file says it is number {}", scan.header.id)));
            }
            Err(BadHeader::Newer(version)) => return Err(newer(&path, version)),
            Err(BadHeader::Damaged) if id == last && self.may_be_unused(id) => {
                self.unused = Some(id);
                return Ok(());
            }
            Err(BadHeader::Damaged) => return Err(corrupt(&path, 0, "the header is damaged")),
        };
        let header = scan.header;
        self.check_sequence(&path, &header)?;
        self.oldest = self.oldest.max(header.oldest);
        self.index.next_position = self.index.next_position.max(header.next_position);
        let mut next = None;
        let scanned = scan.groups(|offset, payload| self.replay(id, offset, payload, &mut next));
        let scanned = match scanned {
            Ok(scanned) => scanned,
            Err(Stop::Io(error)) => return Err(failed(error)),
            Err(Stop::Record(offset, detail)) => return Err(corrupt(&path, offset, detail)),
        };
        if scanned.tail == Tail::Damaged {
            return Err(corrupt(&path, scanned.length.into(), "confirmed data is damaged"));
        }
        if id == last && scanned.groups <= 1 && self.may_be_unused(id) {
            self.unused = Some(id);
            return Ok(());
        }
        self.read.insert(id, Read { header, scanned, file_length: length, next });
        Ok(())
    }

    /// Whether the file before does not say that it goes on in this one.
    fn may_be_unused(&self, id: u32) -> bool {
        self.read.last_key_value().is_some_and(|(before, read)| *before + 1 == id && read.next.is_none())
    }

    fn check_sequence(&self, path: &Path, header: &FileHeader) -> Result<()> {
        match self.read.get(&(header.id.wrapping_sub(1))) {
            Some(before) if before.next.is_some() && before.scanned.sequence != header.sequence => {
                Err(corrupt(path, 0, "it does not follow the file before it"))
            }
            _ => Ok(()),
        }
    }

    /// Every file from the oldest to the last is there, and ends as it must.
    fn check_chain(&self) -> Result<()> {
        let Some((last, _)) = self.read.last_key_value() else {
            return Err(corrupt(&self.directory, 0, "the log has no file with a readable header"));
        };
        if self.oldest > *last {
            return Err(corrupt(
                &self.path(self.oldest),
                0,
                "the log says that it begins here, and the file is missing",
            ));
        }
        for id in self.oldest..=*last {
            let Some(read) = self.read.get(&id) else {
                return Err(corrupt(&self.path(id), 0, "the file is missing"));
            };
            let end = u64::from(read.scanned.length);
            if id != *last
                && (read.next != Some(id + 1) || !matches!(read.scanned.tail, Tail::Whole | Tail::Ahead))
            {
                return Err(corrupt(&self.path(id), end, "the file ends too early"));
            }
            if id == *last && read.next.is_some() {
                return Err(corrupt(&self.path(id + 1), 0, "the file is missing"));
            }
        }
        Ok(())
    }

    /// Lets the messages be seen and makes the log ready to be appended to.
    fn into_log(mut self, disk: &Arc<dyn Disk>, config: &EmbeddedConfig, now: Now) -> Result<Recovered> {
        self.drop_removed();
        let mut slots: Vec<(u64, u32)> = std::mem::take(&mut self.slots).into_iter().collect();
        slots.sort_unstable_by_key(|(position, _)| *position);
        for (_, slot) in slots {
            self.index.expose(slot, now);
        }
        drop(self.index.take_bells());
        if let Some(id) = self.unused {
            self.remove(disk.as_ref(), id)?;
        }
        let Some((id, read)) = self.read.pop_last() else {
            return Err(corrupt(&self.directory, 0, "the log has no files"));
        };
        if let Some((before, read)) = self.read.last_key_value() {
            let path = self.path(*before);
            let synced = disk.open(&path).and_then(|file| write_again(file.as_ref(), &read.scanned));
            synced.map_err(|error| io_error("open", &path, error))?;
        }
        let active = self.reopen(disk.as_ref(), id, &read)?;
        for id in self.read.range(..self.oldest).map(|(id, _)| *id).collect::<Vec<_>>() {
            self.remove(disk.as_ref(), id)?;
            self.read.remove(&id);
        }
        let sealed = self.read.iter().map(|(id, read)| (*id, read.scanned.length.into())).collect();
        let sequence = read.scanned.sequence;
        let directory = self.directory;
        let (disk, segment_bytes, ahead) = (disk.clone(), config.segment_bytes, config.ahead());
        let log = Log { disk, directory, active, sealed, sequence, segment_bytes, ahead };
        Ok(Recovered { log, index: self.index, orderly: self.orderly })
    }

    /// Forgets messages in files that are no longer part of the log: all that was left in them had
    /// been copied before the log said so.
    fn drop_removed(&mut self) {
        let oldest = self.oldest;
        let index = &mut self.index;
        self.slots.retain(|_, slot| {
            let keep = index.entries[*slot].segment >= oldest;
            if !keep {
                index.remove(*slot, Now { wall: 0, steady: 0 });
            }
            keep
        });
    }

    /// Opens the last file for appending.
    fn reopen(&self, disk: &dyn Disk, id: u32, read: &Read) -> Result<Active> {
        let path = self.path(id);
        let length = read.scanned.length;
        let mend = || -> io::Result<Box<dyn DiskFile>> {
            let file = disk.open(&path)?;
            if read.scanned.tail == Tail::Torn {
                tracing::warn!(
                    file = %path.display(),
                    offset = length,
                    bytes = read.file_length - u64::from(length),
                    "a write that was cut short, and confirmed to nobody, is removed"
                );
                file.set_length(length.into())?;
            }
            write_again(file.as_ref(), &read.scanned)?;
            Ok(file)
        };
        let file = mend().map_err(|error| io_error("open", &path, error))?;
        let laid_out = if read.scanned.tail == Tail::Ahead { read.file_length } else { length.into() };
        let salt = read.header.salt;
        Ok(Active { id, file, salt, length, laid_out, durable: length, witnessed: true })
    }

    fn remove(&self, disk: &dyn Disk, id: u32) -> Result<()> {
        let path = self.path(id);
        disk.remove(&path)
            .and_then(|()| disk.sync_directory(&self.directory))
            .map_err(|error| io_error("open", &path, error))
    }

    fn path(&self, id: u32) -> PathBuf {
        segment_path(&self.directory, id)
    }
}

/// Writes what may not have reached the disk again, as it stands, and syncs it: a page that the kernel
/// failed to write counts as clean from then on, and a sync alone would pass it over.
fn write_again(file: &dyn DiskFile, scanned: &Scanned) -> io::Result<()> {
    let from = scanned.durable.max(FILE_HEADER as u32);
    let mut tail = vec![0; (scanned.length.saturating_sub(from)) as usize];
    file.read_at(&mut tail, from.into())?;
    file.write_at(&tail, from.into())?;
    file.sync()
}

fn newer(path: &Path, version: u32) -> Error {
    Error::new(
        "open",
        ErrorKind::Version,
        format!("the file has format {version}, this program knows {FORMAT}"),
    )
    .at(path.display())
    .advise("use the program that wrote it, or a newer one")
}
