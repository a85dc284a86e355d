//! Room kept back on the disk. When the disk is full, publications are refused, and the reserve is
//! given up so that acknowledgements can still be written: they empty log files, which can then be
//! removed, and the disk heals by itself. Publications go on once the reserve is back.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::disk::Disk;
use crate::layout::{remove_if_there, reserve_path};

/// The file that keeps room.
pub(crate) struct Reserve {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    bytes: u64,
    kept: bool,
    /// When it was last tried to get it back.
    tried: Option<Instant>,
}

/// How long to wait between two tries to get the reserve back.
const PAUSE: Duration = Duration::from_millis(200);

impl Reserve {
    /// Makes the reserve where it is missing; a disk without room for it is no error.
    pub(crate) fn open(disk: Arc<dyn Disk>, store: &Path, bytes: u64) -> io::Result<Self> {
        let path = reserve_path(store);
        let there = std::fs::metadata(&path).is_ok_and(|file| file.len() == bytes);
        let mut reserve = Self { disk, path, bytes, kept: there, tried: None };
        if !there {
            remove_if_there(reserve.disk.as_ref(), &reserve.path)?;
            reserve.restore();
        }
        Ok(reserve)
    }

    /// Whether there is room kept; tries to get it back where it was given up.
    pub(crate) fn restore(&mut self) -> bool {
        if self.bytes == 0 || self.kept {
            return true;
        }
        if self.tried.is_some_and(|tried| tried.elapsed() < PAUSE) {
            return false;
        }
        self.tried = Some(Instant::now());
        self.kept = self.write().is_ok();
        if !self.kept
            && let Err(error) = remove_if_there(self.disk.as_ref(), &self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "an unfinished reserve could not be removed");
        }
        self.kept
    }

    /// Gives the room up; whether there was any.
    pub(crate) fn give_up(&mut self) -> bool {
        if self.bytes == 0 || !self.kept {
            return false;
        }
        self.kept = false;
        match remove_if_there(self.disk.as_ref(), &self.path) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "the reserve could not be given up");
                false
            }
        }
    }

    fn write(&self) -> io::Result<()> {
        const BLOCK: u64 = 1 << 16;
        let file = self.disk.create(&self.path)?;
        let block = vec![0; BLOCK as usize];
        let mut at = 0;
        while at < self.bytes {
            let length = BLOCK.min(self.bytes - at);
            file.write_at(&block[..length as usize], at)?;
            at += length;
        }
        file.sync()
    }
}
