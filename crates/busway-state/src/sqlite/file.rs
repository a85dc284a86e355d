//! The file itself: made durable before it is used, and how it is connected to.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};

use super::Limits;

/// Makes the file and the directories above it where they are missing, for this user alone.
/// SQLite gives its companions (`-wal`, `-shm`) the mode of the file.
///
/// What is there may have been made by a process that was killed before it synced the name. So the
/// file's name is synced always, and those above it until there is something in the file: by then a
/// process has come past here.
pub(super) fn prepare(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    make_directories(directory)?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => {
            file.sync_all()?;
            sync_directory(directory)?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            OpenOptions::new().write(true).open(path)?;
            sync_found(directory)?;
        }
        Err(error) => return Err(error),
    }
    if std::fs::metadata(path)?.len() == 0 {
        directory.ancestors().skip(1).try_for_each(sync_found)?;
    }
    Ok(())
}

/// How every connection is opened. The file is there by then: one that is removed while it is in
/// use is an error, not a reason to begin a new one.
pub(super) fn options(path: &Path, limits: Limits) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(limits.lock)
        .thread_name(|id| format!("busway-state-{id}"))
        .disable_statement_logging()
}

/// Makes each missing directory and syncs the one that holds it.
fn make_directories(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let Some(parent) = directory.parent() else { return Ok(()) };
    make_directories(parent)?;
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_directory(parent),
    }
}

/// Syncs a directory that was there, as far as this process may and the file system can: one that
/// nobody may list, or that lies on an image, is not of its making.
fn sync_found(directory: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    match sync_directory(directory) {
        Err(error)
            if matches!(error.kind(), PermissionDenied | InvalidInput | ReadOnlyFilesystem | Unsupported) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
