//! The bytes of one record: a head of a fixed length with the hash of the id, then what is there.

use std::time::Duration;

use busway_core::clock::Millis;
use busway_core::journal::{Entry, Event, Noted};

/// Length, hash, time, attempt, kind, flags.
const HEAD: usize = 2 + 4 + 8 + 4 + 1 + 2;

/// Entries for which there was no room; their number stands in place of the attempt.
const MISSED: u8 = 254;
/// The process closed the journal in order.
const END: u8 = 255;

const UUID: u16 = 1;
const TYPE: u16 = 1 << 1;
const ACCOUNT: u16 = 1 << 2;
const DESTINATION: u16 = 1 << 3;
const STATUS: u16 = 1 << 4;
const REASON: u16 = 1 << 5;
const DUE: u16 = 1 << 6;
const TOOK: u16 = 1 << 7;

/// A record, without its texts.
pub(crate) struct Record<'a> {
    pub(crate) at: Millis,
    pub(crate) what: What,
    hash: u32,
    attempt: u32,
    flags: u16,
    rest: &'a [u8],
}

/// What a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// What became of a message.
    Event(Event),
    /// So many entries found no room.
    Missed(u32),
    /// The process closed the journal.
    End,
}

/// What a record of the message that is looked for has.
pub(crate) struct Told {
    pub(crate) noted: Noted,
    pub(crate) r#type: Option<String>,
    pub(crate) account: Option<String>,
}

/// The id that is looked for, in the forms in which it is compared.
pub(crate) struct Wanted {
    id: Vec<u8>,
    uuid: bool,
    hash: u32,
}

impl Wanted {
    pub(crate) fn new(id: &str) -> Self {
        let (id, uuid) = match packed(id) {
            Some(bytes) => (bytes.to_vec(), true),
            None => (id.as_bytes().to_vec(), false),
        };
        let hash = crc32fast::hash(&id);
        Self { id, uuid, hash }
    }
}

/// Adds an entry; whether it could be told in one record.
pub(crate) fn write(entry: &Entry<'_>, buffer: &mut Vec<u8>) -> bool {
    let start = buffer.len();
    let packed = packed(entry.id);
    let mut flags = if packed.is_some() { UUID } else { 0 };
    buffer.resize(start + HEAD, 0);
    let hash = match &packed {
        Some(bytes) => {
            buffer.extend_from_slice(bytes);
            crc32fast::hash(bytes)
        }
        None => {
            text(entry.id, buffer);
            crc32fast::hash(entry.id.as_bytes())
        }
    };
    for (flag, value) in [
        (TYPE, entry.r#type),
        (ACCOUNT, entry.account),
        (DESTINATION, entry.destination),
        (STATUS, entry.status),
        (REASON, entry.reason),
    ] {
        if let Some(value) = value {
            flags |= flag;
            text(value, buffer);
        }
    }
    if let Some(due) = entry.due {
        flags |= DUE;
        buffer.extend_from_slice(&due.to_le_bytes());
    }
    if let Some(took) = entry.took {
        flags |= TOOK;
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        buffer.extend_from_slice(&micros.to_le_bytes());
    }
    let kind = Event::ALL.iter().position(|event| *event == entry.event).unwrap_or_default();
    let kind = u8::try_from(kind).unwrap_or_default();
    let whole = head(buffer, start, hash, entry.at, entry.attempt, kind, flags);
    if !whole {
        buffer.truncate(start);
    }
    whole
}

/// Adds that so many entries found no room.
pub(crate) fn write_missed(at: Millis, count: u64, buffer: &mut Vec<u8>) {
    let start = buffer.len();
    buffer.resize(start + HEAD, 0);
    head(buffer, start, 0, at, u32::try_from(count).unwrap_or(u32::MAX), MISSED, 0);
}

/// Adds that the journal is closed.
pub(crate) fn write_end(at: Millis, buffer: &mut Vec<u8>) {
    let start = buffer.len();
    buffer.resize(start + HEAD, 0);
    head(buffer, start, 0, at, 0, END, 0);
}

/// The next record of these bytes, which move on behind it; `None` at their end, and where they are
/// no record.
pub(crate) fn next<'a>(bytes: &mut &'a [u8]) -> Option<Record<'a>> {
    let length = usize::from(u16::from_le_bytes(*bytes.first_chunk()?));
    let (record, behind) = bytes.split_at_checked(length)?;
    let mut rest = record.get(2..)?;
    let hash = u32::from_le_bytes(take(&mut rest)?);
    let at = u64::from_le_bytes(take(&mut rest)?);
    let attempt = u32::from_le_bytes(take(&mut rest)?);
    let [kind] = take(&mut rest)?;
    let flags = u16::from_le_bytes(take(&mut rest)?);
    let what = match kind {
        MISSED => What::Missed(attempt),
        END => What::End,
        kind => What::Event(*Event::ALL.get(usize::from(kind))?),
    };
    *bytes = behind;
    Some(Record { at, what, hash, attempt, flags, rest })
}

impl Record<'_> {
    /// What it tells, where it is of the message that is looked for.
    pub(crate) fn of(&self, wanted: &Wanted) -> Option<Told> {
        let What::Event(event) = self.what else { return None };
        let has = |flag: u16| self.flags & flag != 0;
        if self.hash != wanted.hash || has(UUID) != wanted.uuid {
            return None;
        }
        let mut rest = self.rest;
        let id = if wanted.uuid { &take::<16>(&mut rest)?[..] } else { bytes_of_text(&mut rest)? };
        if *id != *wanted.id {
            return None;
        }
        let mut told = |flag: u16| match has(flag) {
            true => Some(String::from_utf8_lossy(bytes_of_text(&mut rest)?).into_owned()),
            false => None,
        };
        let (r#type, account, destination) = (told(TYPE), told(ACCOUNT), told(DESTINATION));
        let (status, reason) = (told(STATUS), told(REASON));
        let due = if has(DUE) { Some(u64::from_le_bytes(take(&mut rest)?)) } else { None };
        let took = if has(TOOK) { Some(u32::from_le_bytes(take(&mut rest)?)) } else { None };
        let took = took.map(|micros| Duration::from_micros(u64::from(micros)));
        let attempt = self.attempt;
        let noted = Noted { at: self.at, event, destination, attempt, status, reason, due, took };
        Some(Told { noted, r#type, account })
    }
}

/// Fills the head of the record that begins at `start`; whether the record is short enough.
fn head(buffer: &mut [u8], start: usize, hash: u32, at: Millis, attempt: u32, kind: u8, flags: u16) -> bool {
    let Ok(length) = u16::try_from(buffer.len() - start) else { return false };
    let mut fields = [0; HEAD];
    fields[..2].copy_from_slice(&length.to_le_bytes());
    fields[2..6].copy_from_slice(&hash.to_le_bytes());
    fields[6..14].copy_from_slice(&at.to_le_bytes());
    fields[14..18].copy_from_slice(&attempt.to_le_bytes());
    fields[18] = kind;
    fields[19..21].copy_from_slice(&flags.to_le_bytes());
    buffer[start..start + HEAD].copy_from_slice(&fields);
    true
}

/// The 16 bytes of an id that is a UUID in its usual form.
fn packed(id: &str) -> Option<[u8; 16]> {
    if id.len() != 36 {
        return None;
    }
    let uuid = uuid::Uuid::try_parse(id).ok()?;
    let usual = uuid.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()) == id;
    usual.then(|| uuid.into_bytes())
}

/// Text of more than 64 KiB makes the whole record too long, and so it is never read back.
fn text(text: &str, buffer: &mut Vec<u8>) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(text.as_bytes());
}

fn bytes_of_text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::from(u16::from_le_bytes(take(rest)?));
    let (text, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(text)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use busway_core::Message;

    use super::*;

    fn entry<'a>(id: &'a str, long: &'a str) -> Entry<'a> {
        Entry {
            at: 1_700_000_000_123,
            event: Event::Failed,
            id,
            r#type: Some("item.updated"),
            account: Some(long),
            destination: None,
            attempt: 3,
            status: Some("status-503"),
            reason: None,
            due: Some(9),
            took: Some(Duration::from_millis(17)),
        }
    }

    #[test]
    fn what_was_written_is_read_back_for_its_id_and_no_other() {
        let uuid = Message::new("a", "").id;
        let upper = uuid.to_uppercase();
        let mut buffer = Vec::new();
        for id in [&*uuid, &*upper, "7", ""] {
            assert!(write(&entry(id, "acme"), &mut buffer));
        }
        for id in [&*uuid, &*upper, "7", ""] {
            let wanted = Wanted::new(id);
            let mut bytes = &buffer[..];
            let mut told = Vec::new();
            while let Some(record) = next(&mut bytes) {
                told.extend(record.of(&wanted));
            }
            assert_eq!((told.len(), bytes.len()), (1, 0), "{id}");
            let told = told.remove(0);
            let noted = told.noted;
            assert_eq!((noted.at, noted.event, noted.attempt), (1_700_000_000_123, Event::Failed, 3));
            assert_eq!((noted.status.as_deref(), noted.reason), (Some("status-503"), None));
            assert_eq!((noted.due, noted.took), (Some(9), Some(Duration::from_millis(17))));
            assert_eq!(
                (told.r#type.as_deref(), told.account.as_deref()),
                (Some("item.updated"), Some("acme"))
            );
        }
    }

    #[test]
    fn an_entry_that_is_too_long_leaves_nothing() {
        let mut buffer = vec![1, 2, 3];
        assert!(!write(&entry("7", &"x".repeat(70_000)), &mut buffer));
        assert_eq!(buffer, [1, 2, 3]);
    }

    #[test]
    fn bytes_that_are_no_record_end_the_reading() {
        for bytes in [&[][..], &[1], &[0, 0], &[21, 0, 1], &[3, 0, 1, 2, 3]] {
            assert!(next(&mut &*bytes).is_none(), "{bytes:?}");
        }
    }
}
