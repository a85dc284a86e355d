//! A write-ahead log as small as it can be: the subject on which the power-loss library is itself tested.
//!
//! It does all that a log must do to survive a power cut (sync the data, sync the folder, rename only what
//! is synced, mend a torn tail), and can be told to leave out each of these.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes of a segment, all reserved when it is made.
const SEGMENT: u64 = 8 * 1024;
/// Segments that are kept before the oldest is removed.
const KEPT: usize = 4;
const MAGIC: &[u8; 8] = b"WAL-0001";
const HEADER: usize = 24;

/// A step that a careless log leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Careless {
    /// Nothing is left out.
    No,
    /// The records are confirmed before they are synced.
    Data,
    /// The folder is not synced when a segment is made.
    Folder,
    /// A segment gets its name before its beginning is synced.
    Rename,
    /// The folder is not synced when a segment is removed.
    Removal,
    /// What is found at the start is taken for durable.
    Reopen,
}

impl Careless {
    /// By the name that a command line gives.
    ///
    /// # Errors
    /// Where there is no such step.
    pub fn by_name(name: &str) -> Result<Self, String> {
        match name {
            "no" => Ok(Self::No),
            "data" => Ok(Self::Data),
            "folder" => Ok(Self::Folder),
            "rename" => Ok(Self::Rename),
            "removal" => Ok(Self::Removal),
            "reopen" => Ok(Self::Reopen),
            other => Err(format!("no such carelessness: {other}")),
        }
    }
}

/// A log that is open for writing.
#[derive(Debug)]
pub struct Wal {
    folder: PathBuf,
    careless: Careless,
    file: File,
    number: u64,
    end: u64,
    /// The segments before, oldest first, and the ids in them.
    older: Vec<(PathBuf, Vec<u64>)>,
    current: Vec<u64>,
}

impl Wal {
    /// Opens the log in an existing folder, mending a torn tail.
    ///
    /// # Errors
    /// What the disk says, and a segment that does not begin as one.
    pub fn open(folder: &Path, careless: Careless) -> io::Result<Self> {
        for unfinished in paths(folder, "tmp")? {
            fs::remove_file(unfinished)?;
        }
        let mut older = Vec::new();
        let mut last = None;
        for path in paths(folder, "log")? {
            let (ids, end) = scan(&path)?;
            let file = OpenOptions::new().read(true).write(true).open(&path)?;
            // What lies behind the tail must never become readable by what is written before it.
            file.set_len(end)?;
            file.set_len(SEGMENT)?;
            if careless != Careless::Reopen {
                file.sync_data()?;
            }
            older.push((path.clone(), ids));
            last = Some(number_of(&path)?);
        }
        let number = last.map_or(0, |last| last + 1);
        let file = create(folder, number, careless)?;
        let end = MAGIC.len() as u64;
        Ok(Self { folder: folder.to_path_buf(), careless, file, number, end, older, current: Vec::new() })
    }

    /// Appends records; once it returns they are durable, unless the log is careless.
    ///
    /// # Errors
    /// What the disk says.
    pub fn append(&mut self, ids: &[u64]) -> io::Result<()> {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| record(*id)).collect();
        if self.end + bytes.len() as u64 > SEGMENT {
            self.rotate()?;
        }
        self.file.write_all_at(&bytes, self.end)?;
        self.end += bytes.len() as u64;
        self.current.extend(ids);
        if self.careless != Careless::Data {
            self.file.sync_data()?;
        }
        Ok(())
    }

    /// The ids that were found when it was opened, durable from then on.
    pub fn found(&self) -> Vec<u64> {
        self.older.iter().flat_map(|(_, ids)| ids.iter().copied()).collect()
    }

    /// The ids that the next [`Wal::trim`] removes.
    pub fn oldest(&self) -> &[u64] {
        if self.older.len() < KEPT { &[] } else { &self.older[0].1 }
    }

    /// Removes the oldest segment where there are too many.
    ///
    /// # Errors
    /// What the disk says.
    pub fn trim(&mut self) -> io::Result<()> {
        if self.older.len() >= KEPT {
            let (path, _) = self.older.remove(0);
            fs::remove_file(path)?;
            if self.careless != Careless::Removal {
                File::open(&self.folder)?.sync_all()?;
            }
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let path = self.folder.join(name(self.number, "log"));
        self.older.push((path, std::mem::take(&mut self.current)));
        self.number += 1;
        self.file = create(&self.folder, self.number, self.careless)?;
        self.end = MAGIC.len() as u64;
        Ok(())
    }
}

/// The ids of all whole records in the folder's log.
///
/// # Errors
/// What the disk says, and a segment that does not begin as one.
pub fn read(folder: &Path) -> io::Result<BTreeSet<u64>> {
    let mut ids = BTreeSet::new();
    for path in paths(folder, "log")? {
        ids.extend(scan(&path)?.0);
    }
    Ok(ids)
}

fn create(folder: &Path, number: u64, careless: Careless) -> io::Result<File> {
    let unfinished = folder.join(name(number, "tmp"));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&unfinished)?;
    file.set_len(SEGMENT)?;
    file.write_all_at(MAGIC, 0)?;
    if careless != Careless::Rename {
        file.sync_all()?;
    }
    fs::rename(&unfinished, folder.join(name(number, "log")))?;
    if careless != Careless::Folder {
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}

/// Length, id and check sum, and a body of a length that the id gives.
fn record(id: u64) -> Vec<u8> {
    let body = vec![(id % 251) as u8; (id.wrapping_mul(0x9e37_79b9) % 700) as usize + 1];
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend((body.len() as u64).to_le_bytes());
    bytes.extend(id.to_le_bytes());
    bytes.extend(check_sum(id, &body).to_le_bytes());
    bytes.extend(body);
    bytes
}

/// FNV-1a.
fn check_sum(id: u64, body: &[u8]) -> u64 {
    let bytes = id.to_le_bytes().into_iter().chain(body.iter().copied());
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The ids of the segment, and where its last whole record ends.
fn scan(path: &Path) -> io::Result<(Vec<u64>, u64)> {
    let bytes = fs::read(path)?;
    if !bytes.starts_with(MAGIC) {
        return Err(io::Error::other(format!("{} does not begin as a segment", path.display())));
    }
    let mut ids = Vec::new();
    let mut at = MAGIC.len();
    while let Some((id, length)) = bytes.get(at..).and_then(parse) {
        ids.push(id);
        at += length;
    }
    Ok((ids, at as u64))
}

fn parse(bytes: &[u8]) -> Option<(u64, usize)> {
    let field = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let length = usize::try_from(field(0)?).ok().filter(|length| *length > 0)?;
    let id = field(8)?;
    let body = bytes.get(HEADER..HEADER.checked_add(length)?)?;
    (check_sum(id, body) == field(16)?).then_some((id, HEADER + length))
}

fn name(number: u64, kind: &str) -> String {
    format!("{number:08}.{kind}")
}

fn number_of(path: &Path) -> io::Result<u64> {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
    stem.ok_or_else(|| io::Error::other(format!("{} is no segment's name", path.display())))
}

fn paths(folder: &Path, kind: &str) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == kind) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
