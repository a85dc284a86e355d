//! A file of lines that is appended to durably. Everything here blocks.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use busway_core::{DeliveryError, Error, ErrorKind, Result};

use super::FileConfig;

/// How long a line can be that is found torn.
const MAX_TORN_BYTES: u64 = 64 * 1024 * 1024;
/// How much is read at once, looking for the last line's begin.
const STEP_BYTES: u64 = 64 * 1024;
/// How often a lock that another process holds is tried.
const LOCK_EVERY: Duration = Duration::from_millis(1);
/// How often a file may be replaced while it is opened.
const MAX_REPLACED: usize = 8;

/// The file at a path, whichever that is at the time.
#[derive(Debug)]
pub(super) struct LineFile {
    name: String,
    path: PathBuf,
    open: Option<File>,
}

impl LineFile {
    pub(super) fn new(config: &FileConfig) -> Result<Self> {
        if config.path.file_name().is_none() {
            let detail = format!("{:?} names no file", config.path);
            return Err(Error::new("configure", ErrorKind::Configuration, detail)
                .at(format!("endpoints.{}.path", config.name)));
        }
        Ok(Self { name: config.name.clone(), path: config.path.clone(), open: None })
    }

    /// Removes a torn last line from the file if it is there and nobody is writing it.
    pub(super) fn mend_existing(&mut self) -> io::Result<()> {
        let file = match OpenOptions::new().read(true).append(true).open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        };
        match file.try_lock() {
            Ok(()) => mend(&file, &self.path).map(drop),
            Err(TryLockError::WouldBlock) => Ok(()),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }

    /// Appends lines that end in a newline; `Ok` once they are on the disk. After an error none of
    /// them is in the file, as far as the disk still obeys.
    pub(super) fn append(&mut self, lines: &[u8], deadline: Instant) -> Result<(), DeliveryError> {
        let written = self.locked(deadline, |mut file, path| {
            let end = mend(file, path)?;
            file.write_all(lines).and_then(|()| file.sync_data()).inspect_err(|_| take_back(file, end))
        });
        if written.is_err() {
            self.open = None;
        }
        written.map_err(|e| self.failure(&e))
    }

    /// Opens the file as for a delivery, and says what is there.
    pub(super) fn test(&mut self, deadline: Instant) -> Result<String, DeliveryError> {
        let length = self.locked(deadline, mend);
        length
            .map(|n| format!("{} can be written; {n} bytes", self.path.display()))
            .map_err(|e| self.failure(&e))
    }

    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// Calls `work` with the file at the path, while no other process writes it.
    fn locked<T>(
        &mut self,
        deadline: Instant,
        work: impl FnOnce(&File, &Path) -> io::Result<T>,
    ) -> io::Result<T> {
        for _ in 0..MAX_REPLACED {
            let file = match &mut self.open {
                Some(file) => file,
                None => self.open.insert(create(&self.path)?),
            };
            let lock = Lock::take(file, deadline)?;
            if is_at(&file.metadata()?, &self.path)? {
                return work(file, &self.path);
            }
            drop(lock);
            self.open = None;
        }
        Err(io::Error::other("the file is replaced all the time"))
    }

    fn failure(&self, error: &io::Error) -> DeliveryError {
        let detail = format!("{} ({}): {error}", self.name, self.path.display());
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                DeliveryError::retry("full", detail).overload()
            }
            io::ErrorKind::WouldBlock => DeliveryError::retry("held", detail).overload(),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                DeliveryError::retry("denied", detail)
            }
            _ => DeliveryError::retry("io", detail),
        }
    }
}

/// Removes what was written behind `end`. Where that fails too, a torn line is mended when the file
/// is opened next, and whole lines stay as repeats.
fn take_back(file: &File, end: u64) {
    if let Err(e) = file.set_len(end).and_then(|()| file.sync_data()) {
        tracing::warn!(error = %e, "lines that were not synced may stay in the file");
    }
}

/// An advisory lock on a file, released with the value.
struct Lock<'a>(&'a File);

impl<'a> Lock<'a> {
    fn take(file: &'a File, deadline: Instant) -> io::Result<Self> {
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::Error(e)) => return Err(e),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    let held = "another process holds the lock on the file";
                    return Err(io::Error::new(io::ErrorKind::WouldBlock, held));
                }
                Err(TryLockError::WouldBlock) => sleep(LOCK_EVERY),
            }
        }
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        if let Err(e) = self.0.unlock() {
            tracing::warn!(error = %e, "the lock on a file was not released");
        }
    }
}

/// Opens the file for appending; it and its directories last once this has returned.
fn create(path: &Path) -> io::Result<File> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_directory(directory)?;
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    sync_directory(directory)?;
    Ok(file)
}

fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_directory(parent)?;
    match fs::create_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    sync_directory(parent)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Whether the path still leads to this file.
fn is_at(file: &Metadata, path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (file.dev(), file.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Cuts off a last line without a newline: it was never confirmed. Returns the length then.
fn mend(file: &File, path: &Path) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let end = last_line_end(file, length)?;
    if end == length {
        return Ok(length);
    }
    let mut first = [0_u8];
    file.read_exact_at(&mut first, end)?;
    if !matches!(first[0], b'{' | 0) {
        let text = "its last line is not from here and has no end; add a newline or move the file away";
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    file.set_len(end)?;
    file.sync_data()?;
    tracing::warn!(path = %path.display(), bytes = length - end, "a torn last line was removed");
    Ok(end)
}

/// The offset behind the last newline.
fn last_line_end(file: &File, length: u64) -> io::Result<u64> {
    let mut buffer = Vec::new();
    let mut end = length;
    while end > 0 {
        if length - end >= MAX_TORN_BYTES {
            let text = format!("it has no line end within its last {MAX_TORN_BYTES} bytes; move it away");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        // One byte is enough where the last line is whole.
        let step = if end == length { 1 } else { STEP_BYTES.min(end) };
        buffer.resize(usize::try_from(step).unwrap_or(0), 0);
        file.read_exact_at(&mut buffer, end - step)?;
        if let Some(at) = buffer.iter().rposition(|b| *b == b'\n') {
            return Ok(end - step + at as u64 + 1);
        }
        end -= step;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn mended(text: &[u8]) -> io::Result<Vec<u8>> {
        let mut temporary = tempfile::NamedTempFile::new().unwrap();
        temporary.write_all(text).unwrap();
        let file = OpenOptions::new().read(true).append(true).open(temporary.path()).unwrap();
        let end = mend(&file, temporary.path())?;
        let left = fs::read(temporary.path()).unwrap();
        assert_eq!(end, left.len() as u64);
        Ok(left)
    }

    #[test]
    fn only_an_unended_line_is_removed() {
        let long = format!("{{\"a\":\"{}\"}}\n", "x".repeat(200_000));
        let torn = &long[..150_000];
        for (before, after) in [
            (String::new(), String::new()),
            ("{}\n".to_owned(), "{}\n".to_owned()),
            ("{}\n{}\n{\"a\":".to_owned(), "{}\n{}\n".to_owned()),
            ("{\"a\":".to_owned(), String::new()),
            ("{}\n\0\0\0\0".to_owned(), "{}\n".to_owned()),
            (long.clone(), long.clone()),
            (format!("{long}{torn}"), long.clone()),
            (torn.to_owned(), String::new()),
            (format!("\n{torn}"), "\n".to_owned()),
        ] {
            let left = mended(before.as_bytes()).unwrap();
            assert!(left == after.as_bytes(), "{} bytes left of {}", left.len(), before.len());
        }
    }

    #[test]
    fn a_foreign_line_is_left_alone() {
        for text in ["my diary", "{}\nmy diary"] {
            assert_eq!(mended(text.as_bytes()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
