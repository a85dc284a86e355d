//! The files of a journal: one after the other, each named by its bus and the moment it began, so
//! that several processes can keep their own in one directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use busway_core::clock::{self, Millis};

use crate::frame::MAGIC;
use crate::journal::JournalOptions;

const ENDING: &str = ".journal";
const SMALLEST: u64 = 64 << 10;
const LARGEST: u64 = 32 << 20;
/// So many segments make up the whole.
const PARTS: u64 = 16;

/// One file as it is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Segment {
    pub(crate) began: Millis,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

/// The file that is written to.
pub(crate) struct Current {
    pub(crate) path: PathBuf,
    file: File,
    began: Millis,
    bytes: u64,
}

impl Current {
    /// Begins a new file, after those that are to go have gone.
    pub(crate) fn begin(options: &JournalOptions) -> io::Result<Self> {
        std::fs::create_dir_all(&options.directory)?;
        make_room(options)?;
        let began = clock::now_ms();
        let mut number = 0_u32;
        loop {
            let name = format!("{}.{began:014}.{}.{number}{ENDING}", options.bus, std::process::id());
            let path = options.directory.join(name);
            match OpenOptions::new().append(true).create_new(true).mode(0o640).open(&path) {
                Ok(mut file) => {
                    file.write_all(&MAGIC)?;
                    return Ok(Self { path, file, began, bytes: MAGIC.len() as u64 });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 1000 => number += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Adds a frame.
    pub(crate) fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        self.bytes += frame.len() as u64;
        self.file.write_all(frame)
    }

    /// Whether the next one is to be begun.
    pub(crate) fn is_full(&self, options: &JournalOptions) -> bool {
        let age = Duration::from_millis(clock::now_ms().saturating_sub(self.began));
        self.bytes >= part(options) || age >= options.keep / 8
    }
}

/// The files of this bus, oldest first.
pub(crate) fn list(directory: &Path, bus: &str) -> io::Result<Vec<Segment>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut segments = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let began = name.to_str().and_then(|name| {
            let rest = name.strip_prefix(bus)?.strip_prefix('.')?.strip_suffix(ENDING)?;
            rest.split('.').next()?.parse().ok()
        });
        if let Some(began) = began {
            let bytes = match entry.metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata?.len(),
            };
            segments.push(Segment { began, path: entry.path(), bytes });
        }
    }
    segments.sort();
    Ok(segments)
}

/// Removes what is too old, and the oldest until a further segment fits.
pub(crate) fn make_room(options: &JournalOptions) -> io::Result<()> {
    let segments = list(&options.directory, &options.bus)?;
    let oldest = oldest(options);
    let mut bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
    for (at, segment) in segments.iter().enumerate() {
        // All in it is older than the next one's beginning.
        let over = segments.get(at + 1).map_or_else(|| last_change(&segment.path), |next| Some(next.began));
        let too_old = over.is_some_and(|over| over < oldest);
        if !too_old && bytes + part(options) <= options.max_bytes {
            break;
        }
        match std::fs::remove_file(&segment.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => bytes -= segment.bytes,
        }
    }
    Ok(())
}

/// The moment from which on entries are kept.
pub(crate) fn oldest(options: &JournalOptions) -> Millis {
    clock::now_ms().saturating_sub(u64::try_from(options.keep.as_millis()).unwrap_or(u64::MAX))
}

fn part(options: &JournalOptions) -> u64 {
    (options.max_bytes / PARTS).clamp(SMALLEST, LARGEST)
}

fn last_change(path: &Path) -> Option<Millis> {
    let changed = std::fs::metadata(path).and_then(|found| found.modified()).ok()?;
    let since = changed.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}
