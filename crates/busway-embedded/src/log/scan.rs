//! Reads a log file from its beginning and says how it ends.
//!
//! Bytes that are no group may be the tail of a write that power loss or a kill cut short: never
//! confirmed to anybody, safe to cut off. Or they were confirmed and are damaged. What tells the
//! two apart is whether any later group of the same file bears witness that the bytes were
//! durable (its `durable` lies beyond them): everything between two syncs is written, and may be
//! lost, in any order, but nothing after a sync is written before that sync has succeeded.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::frame::{BadHeader, FILE_HEADER, FileHeader, GROUP_HEADER, GROUP_MAGIC, GroupHeader};

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// With its last group.
    Whole,
    /// With zeros, from `at` on: room that was laid out and not used.
    Ahead,
    /// With bytes that were never confirmed, from `at` on.
    Torn,
    /// There are confirmed bytes that cannot be read, from `at` on.
    Damaged,
}

/// What was found in a file.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// Bytes of whole groups.
    pub(crate) length: u32,
    /// All before this offset was durable when the last group was written.
    pub(crate) durable: u32,
    /// The sequence number that the next group would have.
    pub(crate) sequence: u64,
    pub(crate) groups: u64,
    pub(crate) tail: Tail,
}

/// A log file being read.
pub(crate) struct Scan {
    window: Window,
    pub(crate) header: FileHeader,
}

impl Scan {
    /// Reads the file's header.
    pub(crate) fn open(file: File) -> io::Result<Result<Self, BadHeader>> {
        let mut window = Window::new(file)?;
        let header = match window.bytes(0, FILE_HEADER)? {
            Some(bytes) => FileHeader::decode(bytes),
            None => Err(BadHeader::Damaged),
        };
        Ok(header.map(|header| Self { window, header }))
    }

    /// Calls `each` with every group's offset of its records and the records' bytes.
    pub(crate) fn groups<E: From<io::Error>>(
        &mut self,
        mut each: impl FnMut(u32, &[u8]) -> Result<(), E>,
    ) -> Result<Scanned, E> {
        let mut offset = FILE_HEADER as u64;
        let mut sequence = self.header.sequence;
        let mut durable = 0;
        let mut groups = 0;
        let tail = loop {
            if offset == self.window.length {
                break Tail::Whole;
            }
            let Some((header, group)) = self.group(offset)? else {
                break self.tail(offset)?;
            };
            if header.sequence != sequence {
                break Tail::Damaged;
            }
            each((offset + GROUP_HEADER as u64) as u32, &group[GROUP_HEADER..])?;
            durable = header.durable;
            groups += 1;
            sequence += 1;
            offset += GROUP_HEADER as u64 + u64::from(header.length);
        };
        Ok(Scanned { length: offset as u32, durable, sequence, groups, tail })
    }

    /// The group at `offset`, where there is a whole one.
    fn group(&mut self, offset: u64) -> io::Result<Option<(GroupHeader, &[u8])>> {
        let salt = self.header.salt;
        let Some(bytes) = self.window.bytes(offset, GROUP_HEADER)? else { return Ok(None) };
        let Some(header) = GroupHeader::decode(bytes) else { return Ok(None) };
        if u64::from(header.offset) != offset {
            return Ok(None);
        }
        let Some(group) = self.window.bytes(offset, GROUP_HEADER + header.length as usize)? else {
            return Ok(None);
        };
        Ok(header.verify(group, salt).then_some((header, group)))
    }

    /// What the bytes from `offset` on are, where no whole group is.
    fn tail(&mut self, offset: u64) -> io::Result<Tail> {
        Ok(match () {
            () if self.is_zero(offset)? => Tail::Ahead,
            () if self.confirmed(offset)? => Tail::Damaged,
            () => Tail::Torn,
        })
    }

    /// Whether there are only zeros from here to the end.
    fn is_zero(&mut self, mut from: u64) -> io::Result<bool> {
        const STEP: u64 = 1 << 16;
        while from < self.window.length {
            let length = STEP.min(self.window.length - from);
            let Some(bytes) = self.window.bytes(from, length as usize)? else { break };
            if bytes.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            from += length;
        }
        Ok(true)
    }

    /// Whether a whole group after `bad` says that the bytes at `bad` were durable.
    fn confirmed(&mut self, bad: u64) -> io::Result<bool> {
        const STEP: usize = 1 << 16;
        let mut from = bad + 1;
        while from < self.window.length {
            let length = STEP.min((self.window.length - from) as usize);
            let Some(bytes) = self.window.bytes(from, length)? else { break };
            let candidates: Vec<u64> = bytes
                .windows(GROUP_MAGIC.len())
                .enumerate()
                .filter(|(_, window)| *window == GROUP_MAGIC)
                .map(|(at, _)| from + at as u64)
                .collect();
            for at in candidates {
                if self.group(at)?.is_some_and(|(header, _)| u64::from(header.durable) > bad) {
                    return Ok(true);
                }
            }
            if length < STEP {
                break;
            }
            from += (STEP - GROUP_MAGIC.len() + 1) as u64;
        }
        Ok(false)
    }
}

/// A file read through a buffer that moves forward.
struct Window {
    file: File,
    length: u64,
    start: u64,
    buffer: Vec<u8>,
}

impl Window {
    fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { file, length, start: 0, buffer: Vec::new() })
    }

    /// These bytes of the file; `None` where it is too short.
    fn bytes(&mut self, offset: u64, length: usize) -> io::Result<Option<&[u8]>> {
        const READ: u64 = 1 << 20;
        let end = offset + length as u64;
        if end > self.length {
            return Ok(None);
        }
        if offset < self.start || end > self.start + self.buffer.len() as u64 {
            let wanted = (length as u64).max(READ).min(self.length - offset);
            self.buffer.resize(wanted as usize, 0);
            self.start = offset;
            self.file.read_exact_at(&mut self.buffer, offset)?;
        }
        let at = (offset - self.start) as usize;
        Ok(Some(&self.buffer[at..at + length]))
    }
}
