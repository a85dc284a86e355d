//! What SQLite's errors mean to a caller.

use std::path::Path;

use busway_core::{Error, ErrorKind};

const WRITABLE: &str = "give this user write access to the file and to its directory";
const DAMAGED: &str = "stop all processes of the bus and restore the file from a backup; moved away, a new one is \
                       made without pauses, subscriptions and phases";

/// The error of an `operation` on the file `path`.
pub(crate) fn from_sqlx(operation: &'static str, path: &Path, error: sqlx::Error) -> Error {
    let (kind, detail, advice) = match &error {
        sqlx::Error::Database(database) => from_code(primary_code(database.code().as_deref())),
        sqlx::Error::Io(_) => (ErrorKind::Io, "the state file cannot be used", Some(WRITABLE)),
        sqlx::Error::RowNotFound | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
            (ErrorKind::Corrupt, "the state file lacks what it must hold", Some(DAMAGED))
        }
        sqlx::Error::Configuration(_) => (ErrorKind::Configuration, "the state file's name is wrong", None),
        _ => (ErrorKind::Internal, "the state store failed", None),
    };
    let mapped = Error::new(operation, kind, detail).at(path.display()).caused_by(error);
    match advice {
        Some(advice) => mapped.advise(advice),
        None => mapped,
    }
}

/// An error of the file system in `operation` on `path`.
pub(crate) fn from_io(operation: &'static str, path: &Path, error: std::io::Error) -> Error {
    let (kind, advice) = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => (ErrorKind::Full, FREE),
        std::io::ErrorKind::IsADirectory => (ErrorKind::Io, "name a file, not a directory"),
        _ => (ErrorKind::Io, WRITABLE),
    };
    Error::new(operation, kind, "the state file cannot be made")
        .at(path.display())
        .caused_by(error)
        .advise(advice)
}

/// A file whose content is not what it must be.
pub(crate) fn damaged(path: &Path, finding: &str) -> Error {
    Error::new("open state", ErrorKind::Corrupt, format!("the state file is damaged: {finding}"))
        .at(path.display())
        .advise(DAMAGED)
}

/// Whether another connection's lock is in the way.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(e) if matches!(primary_code(e.code().as_deref()), Some(BUSY | LOCKED)))
}

const FREE: &str = "free space on the disk";

/// Result codes of SQLite (<https://www.sqlite.org/rescode.html>).
const PERM: u32 = 3;
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const READONLY: u32 = 8;
const IOERR: u32 = 10;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANTOPEN: u32 = 14;
const TOOBIG: u32 = 18;
const NOTADB: u32 = 26;

/// The primary result code, which is the low byte of an extended one.
fn primary_code(extended: Option<&str>) -> Option<u32> {
    Some(extended?.parse::<u32>().ok()? & 0xff)
}

fn from_code(code: Option<u32>) -> (ErrorKind, &'static str, Option<&'static str>) {
    match code {
        Some(BUSY | LOCKED) => (
            ErrorKind::Held,
            "another process has kept the state file locked",
            Some("look for a process that holds a transaction open on it"),
        ),
        Some(READONLY | PERM | CANTOPEN) => {
            (ErrorKind::Io, "the state file cannot be written", Some(WRITABLE))
        }
        Some(IOERR) => (ErrorKind::Io, "the disk failed under the state file", None),
        Some(FULL) => (ErrorKind::Full, "no room for the state file", Some(FREE)),
        Some(CORRUPT | NOTADB) => (ErrorKind::Corrupt, "the state file is damaged", Some(DAMAGED)),
        Some(TOOBIG) => (ErrorKind::TooLarge, "the value is too large for the state file", None),
        _ => (ErrorKind::Internal, "the state store failed", None),
    }
}
