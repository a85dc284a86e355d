//! The frames of a log file: one header a file, then groups. A group is what one write and one
//! sync to disk make durable together; it counts whole or not at all.
//!
//! A group's checksum is seeded with the file's random salt and covers its own offset and
//! sequence number, so that a copy of old log bytes inside a message is never taken for a group.

use crate::codec::Input;

/// The version of everything under the store's directory.
pub(crate) const FORMAT: u32 = 1;

/// Bytes of a file's header.
pub(crate) const FILE_HEADER: usize = 56;

/// Bytes of a group's header.
pub(crate) const GROUP_HEADER: usize = 32;

/// What a group begins with.
pub(crate) const GROUP_MAGIC: [u8; 4] = *b"bwG1";

/// Above every position and sequence number that a log comes to: one that says so is damaged.
pub(crate) const HIGHEST: u64 = 1 << 62;

const FILE_MAGIC: [u8; 8] = *b"BUSWAYQ\n";

/// What a log file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) id: u32,
    pub(crate) salt: u64,
    /// The lowest file that the log had when this one was begun.
    pub(crate) oldest: u32,
    /// The sequence number of its first group.
    pub(crate) sequence: u64,
    /// The lowest position not yet given away.
    pub(crate) next_position: u64,
    pub(crate) created: u64,
}

/// Why a file header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadHeader {
    Damaged,
    Newer(u32),
}

impl FileHeader {
    pub(crate) fn encode(&self) -> [u8; FILE_HEADER] {
        let mut out = Vec::with_capacity(FILE_HEADER);
        out.extend_from_slice(&FILE_MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.next_position.to_le_bytes());
        out.extend_from_slice(&self.created.to_le_bytes());
        out.extend_from_slice(&self.oldest.to_le_bytes());
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        let mut header = [0; FILE_HEADER];
        header.copy_from_slice(&out);
        header
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, BadHeader> {
        Self::read(bytes).map_err(|_| BadHeader::Damaged)?
    }

    /// What a header says, whatever its checksum; `None` where the bytes are too few.
    pub(crate) fn read_unchecked(bytes: &[u8]) -> Option<Self> {
        let mut from = Input(bytes.get(FILE_MAGIC.len() + 4..FILE_HEADER)?);
        Some(Self {
            id: from.u32().ok()?,
            salt: from.u64().ok()?,
            sequence: from.u64().ok()?,
            next_position: from.u64().ok()?,
            created: from.u64().ok()?,
            oldest: from.u32().ok()?,
        })
    }

    fn read(bytes: &[u8]) -> Result<Result<Self, BadHeader>, crate::codec::Malformed> {
        let mut from = Input(bytes);
        let magic = from.array::<8>()?;
        let version = from.u32()?;
        let header = Self {
            id: from.u32()?,
            salt: from.u64()?,
            sequence: from.u64()?,
            next_position: from.u64()?,
            created: from.u64()?,
            oldest: from.u32()?,
        };
        if magic != FILE_MAGIC || from.u32()? != crc32fast::hash(&bytes[..FILE_HEADER - 4]) {
            return Ok(Err(BadHeader::Damaged));
        }
        if header.sequence > HIGHEST || header.next_position > HIGHEST {
            return Ok(Err(BadHeader::Damaged));
        }
        Ok(if version == FORMAT { Ok(header) } else { Err(BadHeader::Newer(version)) })
    }
}

/// What stands before a group's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupHeader {
    /// Bytes of records that follow.
    pub(crate) length: u32,
    /// Its own offset in the file.
    pub(crate) offset: u32,
    /// All of the file before this offset was known to be durable when the group was written: a
    /// later group bears witness that earlier bytes had been confirmed.
    pub(crate) durable: u32,
    pub(crate) sequence: u64,
    crc: u32,
}

impl GroupHeader {
    /// Fills in the header of `group`, whose first [`GROUP_HEADER`] bytes are kept free for it.
    pub(crate) fn seal(group: &mut [u8], salt: u64, offset: u32, durable: u32, sequence: u64) {
        let length = (group.len() - GROUP_HEADER) as u32;
        group[..4].copy_from_slice(&GROUP_MAGIC);
        group[4..8].copy_from_slice(&length.to_le_bytes());
        group[8..12].copy_from_slice(&offset.to_le_bytes());
        group[12..16].copy_from_slice(&durable.to_le_bytes());
        group[16..24].copy_from_slice(&sequence.to_le_bytes());
        group[24..28].copy_from_slice(&[0; 4]);
        let crc = checksum(group, salt);
        group[28..32].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads a header; `None` where these bytes are none.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Input(bytes);
        let magic = from.array::<4>().ok()?;
        let length = from.u32().ok()?;
        let offset = from.u32().ok()?;
        let durable = from.u32().ok()?;
        let sequence = from.u64().ok()?;
        let spare = from.u32().ok()?;
        let crc = from.u32().ok()?;
        (magic == GROUP_MAGIC && spare == 0).then_some(Self { length, offset, durable, sequence, crc })
    }

    /// Whether the whole group, header included, is as it was written.
    pub(crate) fn verify(&self, group: &[u8], salt: u64) -> bool {
        group.len() == GROUP_HEADER + self.length as usize && checksum(group, salt) == self.crc
    }
}

fn checksum(group: &[u8], salt: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&group[4..28]);
    hasher.update(&group[GROUP_HEADER..]);
    hasher.finalize()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_bit_anywhere_is_noticed() {
        let mut group = vec![0; GROUP_HEADER];
        group.extend_from_slice(b"some records");
        GroupHeader::seal(&mut group, 7, 4096, 4000, 99);
        let header = GroupHeader::decode(&group).unwrap();
        assert_eq!((header.offset, header.durable, header.sequence), (4096, 4000, 99));
        assert!(header.verify(&group, 7));
        assert!(!header.verify(&group, 8), "another file's salt");
        for bit in 0..group.len() * 8 {
            let mut damaged = group.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let good = GroupHeader::decode(&damaged).is_some_and(|h| h.verify(&damaged, 7));
            assert!(!good, "bit {bit}");
        }
    }

    #[test]
    fn a_file_header_is_read_back_and_its_damage_noticed() {
        let header = FileHeader { id: 3, salt: 9, oldest: 2, sequence: 5, next_position: 77, created: 1 };
        let bytes = header.encode();
        assert_eq!(FileHeader::decode(&bytes), Ok(header));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FileHeader::decode(&damaged), Err(BadHeader::Damaged), "bit {bit}");
        }
    }
}
