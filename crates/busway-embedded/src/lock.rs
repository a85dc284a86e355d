//! Who holds a store: a lock on `<path>/lock` that the kernel lets go of when its holder dies,
//! however it dies. The file's content names the holder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use busway_core::clock::{format_rfc3339, now_ms};
use busway_core::{Error, ErrorKind, Result};

use crate::error::io_error;

const FILE: &str = "lock";

/// The process that has a store open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process id; 0 where the lock file does not say.
    pub pid: u32,
    /// Its program's name.
    pub program: String,
    /// When it opened the store (RFC 3339).
    pub since: String,
}

/// Who has the store at `path` open now; `None` where nobody has, or there is no store.
///
/// Something to tell people: by the time it is read it may have changed.
#[must_use]
pub fn is_held(path: &Path) -> Option<Holder> {
    let mut file = File::open(path.join(FILE)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(read_holder(&mut file)),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// The lock on a store, let go of when dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        let lock = path.join(FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock)
            .map_err(|error| io_error("open", &lock, error))?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(io_error("open", &lock, error)),
                Err(TryLockError::WouldBlock) => {
                    let holder = read_holder(&mut file);
                    if begun.elapsed() > patience(&holder) {
                        return Err(held(path, &holder));
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
        // The name is for people, and a full disk must not keep a store shut that is emptied by
        // being open.
        if let Err(error) = name_holder(&mut file) {
            tracing::warn!(path = %lock.display(), %error, "the lock does not say who holds the store");
        }
        Ok(Self { _file: file })
    }
}

/// How long to wait for a lock that is held. One that this very process has just dropped is let go
/// of as soon as its committer has finished; one of another process may be no more than a look
/// by [`is_held`].
fn patience(holder: &Holder) -> Duration {
    let own = holder.pid == std::process::id();
    Duration::from_millis(if own { 500 } else { 50 })
}

fn held(path: &Path, holder: &Holder) -> Error {
    let Holder { pid, program, since } = holder;
    Error::new("open", ErrorKind::Held, format!("held by process {pid} ({program}) since {since}"))
        .at(path.display())
        .advise("stop that process, or ask it over its socket")
}

fn name_holder(file: &mut File) -> io::Result<()> {
    let program = std::env::current_exe()
        .ok()
        .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "unknown".to_owned());
    let text = format!("{}\n{}\n{}\n", std::process::id(), program, format_rfc3339(now_ms()));
    // Over what is there, whose room is kept so.
    io::Seek::seek(file, io::SeekFrom::Start(0))?;
    let written = file.write_all(text.as_bytes());
    // A name that is half written, or that of the one before, would mislead.
    file.set_len(if written.is_ok() { text.len() as u64 } else { 0 })?;
    written
}

fn read_holder(file: &mut File) -> Holder {
    let mut text = String::new();
    let read = io::Seek::seek(file, io::SeekFrom::Start(0))
        .and_then(|_| io::Read::by_ref(file).take(4096).read_to_string(&mut text));
    if read.is_err() {
        text.clear();
    }
    let mut lines = text.lines();
    let mut line = || lines.next().map(str::to_owned);
    let pid = line().and_then(|pid| pid.parse().ok()).unwrap_or(0);
    let unknown = || "unknown".to_owned();
    Holder { pid, program: line().unwrap_or_else(unknown), since: line().unwrap_or_else(unknown) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_that_finds_no_room_for_its_name_holds_the_store() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", directory.path().join(FILE)).unwrap();
        Lock::take(directory.path()).unwrap();
    }

    #[test]
    fn a_shorter_name_leaves_nothing_of_a_longer_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        std::fs::write(&path, "1\n".repeat(1000)).unwrap();
        Lock::take(directory.path()).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 3);
    }

    #[test]
    fn a_second_holder_is_told_who_the_first_is() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(is_held(directory.path()), None);
        let lock = Lock::take(directory.path()).unwrap();
        assert_eq!(is_held(directory.path()).unwrap().pid, std::process::id());
        let error = Lock::take(directory.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Held);
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        drop(lock);
        assert_eq!(is_held(directory.path()), None);
        Lock::take(directory.path()).unwrap();
    }
}
