//! Errors of the store, in the words of `busway_core`.

use std::io;
use std::path::Path;

use busway_core::{Error, ErrorClass, ErrorKind};

/// A file operation failed.
pub(crate) fn io_error(operation: &'static str, path: &Path, error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        _ if crate::log::means_full(&error) => ErrorKind::Full,
        _ => ErrorKind::Io,
    };
    let advice = match kind {
        ErrorKind::Denied => Some("give this user the right to write there"),
        ErrorKind::Full => Some("free space on the disk"),
        _ => None,
    };
    let what = match kind {
        ErrorKind::Denied => "not allowed",
        ErrorKind::Full => "there is no room",
        _ => "the operating system refused",
    };
    let error = Error::new(operation, kind, what).at(path.display()).caused_by(error);
    match advice {
        Some(advice) => error.advise(advice),
        None => error,
    }
}

/// Stored bytes are not what was written.
pub(crate) fn corrupt(path: &Path, offset: u64, detail: impl std::fmt::Display) -> Error {
    Error::new("open", ErrorKind::Corrupt, format!("at byte {offset}: {detail}"))
        .at(path.display())
        .advise("restore the store from a copy; nothing was changed")
}

/// The transport, or a part of it, was closed.
pub(crate) fn closed(operation: &'static str, place: &str) -> Error {
    Error::new(operation, ErrorKind::Closed, "it was closed before").at(place)
}

/// A write or sync failed in a way that leaves open what is on the disk.
pub(crate) fn broken(operation: &'static str, place: &str, why: &str, class: ErrorClass) -> Error {
    Error::new(operation, ErrorKind::Io, format!("the log cannot be written any more: {why}"))
        .at(place)
        .class_of(class)
        .advise("check the disk, then open the store again")
}
