//! Frames: the bytes of one write, with their length and checksum, so that a torn end is seen.

use std::io::{self, Read};

/// What a segment begins with; another version of the format has another one.
pub(crate) const MAGIC: [u8; 8] = *b"BWJRNL01";

/// The most bytes of a frame.
pub(crate) const LARGEST: usize = 16 << 20;

const HEAD: usize = 8;

/// Where the records of a frame begin in its buffer.
pub(crate) fn begin(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.resize(HEAD, 0);
}

/// Whether there is no record yet in a frame that was begun.
pub(crate) fn is_blank(buffer: &[u8]) -> bool {
    buffer.len() <= HEAD
}

/// Puts length and checksum to the records.
pub(crate) fn seal(buffer: &mut [u8]) {
    let Some((head, records)) = buffer.split_at_mut_checked(HEAD) else { return };
    let length = u32::try_from(records.len()).unwrap_or(u32::MAX);
    let (first, last) = head.split_at_mut(4);
    first.copy_from_slice(&length.to_le_bytes());
    last.copy_from_slice(&crc32fast::hash(records).to_le_bytes());
}

/// Reads the records of the next frame into `records`; whether there was a whole one.
pub(crate) fn next(from: &mut impl Read, records: &mut Vec<u8>) -> io::Result<bool> {
    let mut head = [0; HEAD];
    if !filled(from, &mut head)? {
        return Ok(false);
    }
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let length = word(0) as usize;
    if length > LARGEST {
        return Ok(false);
    }
    records.resize(length, 0);
    Ok(filled(from, records)? && crc32fast::hash(records) == word(4))
}

/// Fills the buffer; false where the file ends before.
pub(crate) fn filled(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
