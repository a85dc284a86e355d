//! Lays the file that is appended to out ahead of what is written: a sync of a file that does not
//! grow writes the group alone, where one that grows costs the file system a change of its length
//! and of its map of blocks each time.
//!
//! Zeros are written rather than room allocated: ext4 and XFS would note at each sync which part of
//! allocated room has been written by then, which saves nothing. Zeros cost as many bytes again, so
//! large groups go without: for them the bytes decide.

use std::io;

use super::{Active, AppendError, means_full};

/// Groups above this size are appended without laying the file out.
const LARGE: usize = 128 << 10;

/// The least that is laid out at once; more with the size of the file.
const LEAST: u32 = 64 << 10;

const PAGE: u64 = 4096;

static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

impl Active {
    /// Makes room for a group of so many bytes, and up to `most` bytes more, where that pays. A disk
    /// without room for it is no error: the group may fit by itself.
    pub(super) fn lay_out(&mut self, group: usize, most: u32) -> Result<(), AppendError> {
        let end = u64::from(self.length) + group as u64;
        if most == 0 || group > LARGE || end <= self.laid_out {
            return Ok(());
        }
        let more = self.length.max(LEAST).min(most);
        let until = (end + u64::from(more)).next_multiple_of(PAGE);
        match self.write_zeros(until) {
            Ok(()) => self.laid_out = until,
            Err(error) if means_full(&error) => {
                self.file.set_length(self.laid_out).map_err(AppendError::Broken)?;
            }
            Err(error) => return Err(AppendError::Broken(error)),
        }
        Ok(())
    }

    /// Gives the room behind the last group back.
    pub(super) fn trim(&mut self) -> io::Result<()> {
        if self.laid_out > u64::from(self.length) {
            self.file.set_length(self.length.into())?;
            self.laid_out = self.length.into();
        }
        Ok(())
    }

    fn write_zeros(&self, until: u64) -> io::Result<()> {
        let mut at = self.laid_out;
        while at < until {
            let length = (until - at).min(ZEROS.len() as u64);
            self.file.write_at(&ZEROS[..length as usize], at)?;
            at += length;
        }
        Ok(())
    }
}
