//! The files of a store's directory beside the log itself, and how a store comes to be.
//!
//! | name | holds |
//! |---|---|
//! | `VERSION` | the format's version; written last when a store is made |
//! | `lock` | who holds the store |
//! | `segments/` | the log |
//! | `reserve` | room kept back for acknowledgements on a full disk |
//! | `busway.sock` | where the holder answers |

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use busway_core::{Error, ErrorKind, Result};

use crate::disk::Disk;
use crate::error::{corrupt, io_error};
use crate::log::frame::FORMAT;
use crate::log::{SEGMENTS, segment_path};

/// The mode of the store's own directories: what lies in them is nobody else's business.
pub(crate) const PRIVATE: u32 = 0o700;

const VERSION: &str = "VERSION";
/// More than any version takes, in bytes.
const LONGEST_VERSION: u64 = 128;
const PROGRAM: &str = "busway-embedded";

/// How many bytes the disk that a directory is on has in all; where it does not say, any number.
pub(crate) fn disk_bytes(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(u64::MAX, |disk| disk.f_blocks.saturating_mul(disk.f_frsize))
}

/// Makes the store's directory and those above it where they are missing, durably.
///
/// One that is there may have been made by a process that was killed before it synced the name, so
/// its name is synced here as well: that of the store always, those above it until there is a store.
pub(crate) fn make_directories(disk: &dyn Disk, path: &Path) -> Result<()> {
    let mut missing: Vec<&Path> = Vec::new();
    for directory in path.ancestors().filter(|directory| !directory.as_os_str().is_empty()) {
        match fs::metadata(directory) {
            Ok(found) if found.is_dir() => break,
            Ok(_) => {
                return Err(Error::new("open", ErrorKind::Configuration, "there is a file in its place")
                    .at(directory.display())
                    .advise("name a directory"));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(directory),
            Err(error) => return Err(io_error("open", directory, error)),
        }
    }
    let new = !path.join(VERSION).exists();
    let names = path.ancestors().take(if new { usize::MAX } else { 1 });
    for directory in names.filter(|directory| !missing.contains(directory)) {
        sync_name(disk, directory)?;
    }
    for directory in missing.into_iter().rev() {
        let mode = if directory == path { PRIVATE } else { 0o777 };
        make_directory(disk, directory, mode)?;
    }
    Ok(())
}

/// Makes the name of a directory that was found durable, as far as this process may and the file
/// system can: a directory that nobody may list, or that lies on an image, is not of its making.
fn sync_name(disk: &dyn Disk, directory: &Path) -> Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    let Some(above) = above(directory) else { return Ok(()) };
    match disk.sync_directory(above) {
        Err(error)
            if matches!(error.kind(), PermissionDenied | InvalidInput | ReadOnlyFilesystem | Unsupported) =>
        {
            tracing::debug!(path = %above.display(), %error, "a directory above the store cannot be synced");
            Ok(())
        }
        synced => synced.map_err(|error| io_error("open", above, error)),
    }
}

/// The directory that holds this one's name; `None` for the root and the working directory.
fn above(directory: &Path) -> Option<&Path> {
    if directory.as_os_str().is_empty() {
        return None;
    }
    let above = directory.parent()?;
    Some(if above.as_os_str().is_empty() { Path::new(".") } else { above })
}

/// Makes durable which files the store has: the process before may have been killed between a
/// change of names and their sync, and what is confirmed from now on is built upon them.
pub(crate) fn sync_names(disk: &dyn Disk, path: &Path) -> Result<()> {
    let segments = path.join(SEGMENTS);
    let directories = [path, &segments].into_iter().filter(|directory| directory.is_dir());
    for directory in directories {
        disk.sync_directory(directory).map_err(|error| io_error("open", directory, error))?;
    }
    Ok(())
}

/// Makes one directory, durably; one that is there already is fine.
pub(crate) fn make_directory(disk: &dyn Disk, directory: &Path, mode: u32) -> Result<()> {
    match fs::DirBuilder::new().mode(mode).create(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(io_error("open", directory, error)),
    }
    let Some(above) = above(directory) else { return Ok(()) };
    disk.sync_directory(above).map_err(|error| io_error("open", above, error))
}

/// Whether there is a store of this program's version.
///
/// # Errors
/// `Version` where it is another's, `Corrupt` where the file cannot be read.
pub(crate) fn check_version(path: &Path) -> Result<bool> {
    let file = path.join(VERSION);
    let mut text = String::new();
    let read = fs::File::open(&file).and_then(|file| file.take(LONGEST_VERSION).read_to_string(&mut text));
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(corrupt(&file, 0, "no text")),
        Err(error) => return Err(io_error("open", &file, error)),
    }
    let version = text
        .strip_suffix('\n')
        .and_then(|line| line.split_once(' '))
        .filter(|(program, _)| *program == PROGRAM)
        .and_then(|(_, version)| version.parse::<u32>().ok());
    match version {
        Some(FORMAT) => Ok(true),
        Some(other) => Err(Error::new(
            "open",
            ErrorKind::Version,
            format!("the store has format {other}, this program knows {FORMAT}"),
        )
        .at(file.display())
        .advise("use the program that wrote it, or a newer one")),
        None => Err(corrupt(&file, 0, format!("{text:?} is no version"))),
    }
}

/// Writes the version, durably, as the last step of making a store.
pub(crate) fn write_version(disk: &dyn Disk, path: &Path) -> Result<()> {
    let unfinished = path.join("VERSION.new");
    let write = || -> io::Result<()> {
        remove_if_there(disk, &unfinished)?;
        let file = disk.create(&unfinished)?;
        file.write_at(format!("{PROGRAM} {FORMAT}\n").as_bytes(), 0)?;
        file.sync()?;
        disk.rename(&unfinished, &path.join(VERSION))?;
        disk.sync_directory(path)
    };
    write().map_err(|error| io_error("open", &path.join(VERSION), error))
}

/// The numbers of the log files there are, lowest first.
pub(crate) fn list_segments(path: &Path) -> Result<Vec<u32>> {
    let directory = path.join(SEGMENTS);
    let failed = |error| io_error("open", &directory, error);
    let mut found = Vec::new();
    for file in fs::read_dir(&directory).map_err(failed)? {
        let name = file.map_err(failed)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log")?.parse::<u32>().ok());
        match number {
            Some(id) if segment_path(&directory, id).file_name() == Some(&name) => found.push(id),
            _ => tracing::warn!(file = ?name, "a file that is not part of the log lies in its directory"),
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Removes a file that may not be there.
pub(crate) fn remove_if_there(disk: &dyn Disk, file: &Path) -> io::Result<()> {
    match disk.remove(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Where the reserve lies.
pub(crate) fn reserve_path(path: &Path) -> PathBuf {
    path.join("reserve")
}
