//! Disks that are faster, fuller or more broken than the real one.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use busway_embedded::disk::{Disk, DiskFile, RealDisk};

/// A disk that never syncs, for tests that do not cut its power, and that can be held still.
#[derive(Clone, Default)]
pub(crate) struct Unsynced(Arc<RwLock<()>>);

struct UnsyncedFile(Unsynced, Box<dyn DiskFile>);

impl Unsynced {
    /// Nothing changes on the disk while `work` runs.
    pub(crate) fn still<T>(&self, work: impl FnOnce() -> T) -> T {
        let _still = self.0.write().unwrap();
        work()
    }
}

impl Disk for Unsynced {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let _going = self.0.read().unwrap();
        Ok(Box::new(UnsyncedFile(self.clone(), RealDisk.create(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(UnsyncedFile(self.clone(), RealDisk.open(path)?)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let _going = self.0.read().unwrap();
        RealDisk.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let _going = self.0.read().unwrap();
        RealDisk.rename(from, to)
    }

    fn sync_directory(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for UnsyncedFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let _going = self.0.0.read().unwrap();
        self.1.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let _going = self.0.0.read().unwrap();
        self.1.set_length(length)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.1.read_at(bytes, offset)
    }
}

/// A disk that has so much room and no more, and whose syncs can fail.
#[derive(Clone, Default)]
pub(crate) struct Faulty(Arc<Mutex<Faults>>);

/// What a [`Faulty`] disk does next.
#[derive(Default)]
pub(crate) struct Faults {
    /// Bytes that can still be written; `None` for any number.
    pub(crate) room: Option<u64>,
    /// The next sync fails.
    pub(crate) sync_fails: bool,
    /// Files cannot be cut.
    pub(crate) cut_fails: bool,
    /// No file can be made.
    pub(crate) create_fails: bool,
    /// Syncs so far.
    pub(crate) syncs: u64,
    /// Writes so far, those that found no room included.
    pub(crate) writes: u64,
    /// A directory that may not be opened, and so not be synced.
    pub(crate) denied: Option<PathBuf>,
    /// Directories synced so far.
    pub(crate) directories: Vec<PathBuf>,
    /// What was written to each file so far.
    pub(crate) written: HashMap<PathBuf, u64>,
}

struct FaultyFile(Faulty, Box<dyn DiskFile>, AtomicU64, PathBuf);

impl Faulty {
    pub(crate) fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.0.lock().unwrap());
    }

    fn give_room(&self, bytes: u64) {
        self.set(|faults| faults.room = faults.room.map(|room| room + bytes));
    }
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

impl Disk for Faulty {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        if self.0.lock().unwrap().create_fails {
            return Err(full());
        }
        Ok(Box::new(FaultyFile(self.clone(), RealDisk.create(path)?, AtomicU64::new(0), path.into())))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let length = std::fs::metadata(path)?.len();
        Ok(Box::new(FaultyFile(self.clone(), RealDisk.open(path)?, AtomicU64::new(length), path.into())))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let length = std::fs::metadata(path)?.len();
        RealDisk.remove(path)?;
        self.give_room(length);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut denied = false;
        self.set(|faults| {
            denied = faults.denied.as_deref() == Some(path);
            faults.directories.push(path.into());
        });
        if denied {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        RealDisk.sync_directory(path)
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let length = self.2.load(Ordering::SeqCst);
        let end = offset + bytes.len() as u64;
        let mut allowed = bytes.len() as u64;
        self.0.set(|faults| {
            faults.writes += 1;
            if let Some(room) = &mut faults.room {
                let grows = end.saturating_sub(length.max(offset));
                let fits = grows.min(*room);
                *room -= fits;
                allowed -= grows - fits;
            }
        });
        self.1.write_at(&bytes[..allowed as usize], offset)?;
        self.0.set(|faults| *faults.written.entry(self.3.clone()).or_default() += allowed);
        self.2.fetch_max(offset + allowed, Ordering::SeqCst);
        if allowed < bytes.len() as u64 { Err(full()) } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut fails = false;
        self.0.set(|faults| {
            faults.syncs += 1;
            fails = std::mem::take(&mut faults.sync_fails);
        });
        if fails { Err(io::Error::other("the sync fails")) } else { self.1.sync() }
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        if self.0.0.lock().unwrap().cut_fails {
            return Err(io::Error::other("the file cannot be cut"));
        }
        self.1.set_length(length)?;
        let before = self.2.swap(length, Ordering::SeqCst);
        self.0.give_room(before.saturating_sub(length));
        Ok(())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.1.read_at(bytes, offset)
    }
}
