//! Reads records back.

use busway_core::reason::Reason;
use busway_core::transport::Group;

use super::{MessageRecord, Meta, Record, Waiting, flag, kind};
use crate::codec::{Input, Malformed};

/// Checks the bytes before a body and the body itself; answers when it was enqueued.
pub(crate) fn check_body(prefix_and_body: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let mut from = Input(prefix_and_body);
    let enqueued = from.u64()?;
    let length = from.u32()?;
    let crc = from.u32()?;
    if from.0.len() != length as usize || crc32fast::hash(from.0) != crc {
        return Err(Malformed("its checksum is wrong"));
    }
    Ok((enqueued, from.0))
}

/// Reads the records of a group one after another.
pub(crate) struct Records<'a> {
    whole: usize,
    rest: Input<'a>,
}

impl<'a> Records<'a> {
    /// The records in `payload`, a group without its header.
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self { whole: payload.len(), rest: Input(payload) }
    }

    /// The next record; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Record<'a>>, Malformed> {
        if self.rest.0.is_empty() {
            return Ok(None);
        }
        let from = &mut self.rest;
        Ok(Some(match from.u8()? {
            kind::MESSAGE => Record::Message(read_message(from, self.whole)?),
            kind::SETTLED => {
                let count = from.u32()? as usize;
                Record::Settled(Positions(from.take(count.saturating_mul(8))?))
            }
            kind::WAITS => {
                let position = from.u64()?;
                let due = from.u64()?;
                let attempt = from.u32()?;
                let parked = from.u64()?;
                let reason = Reason::parse(from.text()?);
                Record::Waits { position, waiting: Waiting { due, attempt, parked, reason } }
            }
            kind::COUNTS => {
                let count = from.u32()? as usize;
                Record::Counts(Counts(from.take(count.saturating_mul(12))?))
            }
            kind::QUEUE => Record::Queue { number: from.u16()?, name: from.text()? },
            kind::OLDEST => Record::Oldest(from.u32()?),
            kind::ENDS => Record::Ends { next: from.u32()? },
            kind::CLOSED => Record::Closed,
            _ => return Err(Malformed("a record has an unknown kind")),
        }))
    }
}

fn read_message<'a>(from: &mut Input<'a>, whole: usize) -> Result<MessageRecord<'a>, Malformed> {
    let flags = from.u8()?;
    let queue = from.u16()?;
    let priority = from.u8()?;
    let weight = from.u32()?;
    let position = from.u64()?;
    let due = from.u64()?;
    let accepted = from.u64()?;
    let attempt = from.u32()?;
    let mut group = None;
    if flags & flag::GROUPED != 0 {
        let key = from.u64()?;
        let placed = from.u8()? != 0;
        let at = from.u64()?;
        group = Some(Group { key, position: placed.then_some(at) });
    }
    let mut waited = None;
    if flags & flag::WAITED != 0 {
        waited = Some((from.u64()?, Reason::parse(from.text()?)));
    }
    let deliveries = if flags & flag::COUNTED != 0 { from.u32()? } else { 0 };
    let _enqueued = from.u64()?;
    let length = from.u32()? as usize;
    let _crc = from.u32()?;
    let body_at = whole - from.0.len();
    let body = from.take(length)?;
    let meta = Meta { queue, priority, weight, attempt, due, accepted, group };
    Ok(MessageRecord { position, meta, waited, deliveries, body, body_at })
}

/// The positions of a [`Record::Settled`].
#[derive(Debug)]
pub(crate) struct Positions<'a>(&'a [u8]);

impl Positions<'_> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes))
    }
}

/// The rows of a [`Record::Counts`].
#[derive(Debug)]
pub(crate) struct Counts<'a>(&'a [u8]);

impl Counts<'_> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u32)> {
        self.0.as_chunks::<12>().0.iter().filter_map(|bytes| {
            let mut from = Input(bytes);
            Some((from.u64().ok()?, from.u32().ok()?))
        })
    }
}
