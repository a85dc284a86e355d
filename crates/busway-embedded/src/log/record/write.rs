//! Appends records to a group.

use busway_core::reason::Reason;
use busway_core::transport::Publication;

use super::{BODY_PREFIX, FIXED, Meta, POSITION_AT, Waiting, flag, kind};
use crate::codec;

/// Where a record and its body begin within the buffer it was written to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) record: usize,
    pub(crate) body: usize,
    pub(crate) length: usize,
}

/// Appends a message that is new to the log, with position 0; [`set_position`] fills it in.
pub(crate) fn put_publication(
    out: &mut Vec<u8>,
    publication: &Publication,
    queue: u16,
    now: u64,
) -> (Meta, Span) {
    let message = &publication.message;
    let meta = Meta {
        queue,
        priority: message.priority,
        weight: u32::try_from(message.weight()).unwrap_or(u32::MAX),
        attempt: message.attempt,
        due: message.deliver_at.unwrap_or(0),
        accepted: message.accepted.unwrap_or(now),
        group: publication.group,
    };
    let record = out.len();
    put_head(out, &meta, 0, None, 0);
    let body = out.len() + BODY_PREFIX;
    out.extend_from_slice(&[0; BODY_PREFIX]);
    codec::encode(message, out);
    let length = out.len() - body;
    let crc = crc32fast::hash(&out[body..]);
    fill_prefix(&mut out[body - BODY_PREFIX..body], now, length, crc);
    (meta, Span { record, body, length })
}

/// Appends a message that stood elsewhere in the log, with what has become of it since.
pub(crate) fn put_moved(
    out: &mut Vec<u8>,
    meta: &Meta,
    position: u64,
    waited: Option<(u64, &Reason)>,
    deliveries: u32,
    prefix_and_body: &[u8],
) -> Span {
    let record = out.len();
    put_head(out, meta, position, waited, deliveries);
    let body = out.len() + BODY_PREFIX;
    out.extend_from_slice(prefix_and_body);
    Span { record, body, length: prefix_and_body.len() - BODY_PREFIX }
}

/// Gives the message record at `record` its position.
pub(crate) fn set_position(out: &mut [u8], record: usize, position: u64) {
    out[record + POSITION_AT..record + POSITION_AT + 8].copy_from_slice(&position.to_le_bytes());
}

/// Appends that these positions are gone.
pub(crate) fn put_settled(out: &mut Vec<u8>, positions: &[u64]) {
    out.push(kind::SETTLED);
    out.extend_from_slice(&(positions.len() as u32).to_le_bytes());
    for position in positions {
        out.extend_from_slice(&position.to_le_bytes());
    }
}

/// Appends that a message waits again.
pub(crate) fn put_waits(out: &mut Vec<u8>, position: u64, waiting: &Waiting) {
    out.push(kind::WAITS);
    out.extend_from_slice(&position.to_le_bytes());
    out.extend_from_slice(&waiting.due.to_le_bytes());
    out.extend_from_slice(&waiting.attempt.to_le_bytes());
    out.extend_from_slice(&waiting.parked.to_le_bytes());
    codec::write_text(out, &waiting.reason.to_string());
}

/// Appends how often each of these positions has been handed out.
pub(crate) fn put_counts(out: &mut Vec<u8>, counts: &[(u64, u32)]) {
    out.push(kind::COUNTS);
    out.extend_from_slice(&(counts.len() as u32).to_le_bytes());
    for (position, deliveries) in counts {
        out.extend_from_slice(&position.to_le_bytes());
        out.extend_from_slice(&deliveries.to_le_bytes());
    }
}

/// Appends a queue's number and name.
pub(crate) fn put_queue(out: &mut Vec<u8>, number: u16, name: &str) {
    out.push(kind::QUEUE);
    out.extend_from_slice(&number.to_le_bytes());
    codec::write_text(out, name);
}

/// Appends which file is the log's first.
pub(crate) fn put_oldest(out: &mut Vec<u8>, oldest: u32) {
    out.push(kind::OLDEST);
    out.extend_from_slice(&oldest.to_le_bytes());
}

/// Appends that the log goes on in file `next`.
pub(crate) fn put_ends(out: &mut Vec<u8>, next: u32) {
    out.push(kind::ENDS);
    out.extend_from_slice(&next.to_le_bytes());
}

/// Appends that the store was closed in order.
pub(crate) fn put_closed(out: &mut Vec<u8>) {
    out.push(kind::CLOSED);
}

fn put_head(out: &mut Vec<u8>, meta: &Meta, position: u64, waited: Option<(u64, &Reason)>, deliveries: u32) {
    let flags = if meta.group.is_some() { flag::GROUPED } else { 0 }
        | if waited.is_some() { flag::WAITED } else { 0 }
        | if deliveries > 0 { flag::COUNTED } else { 0 };
    let mut head = [0; FIXED];
    head[0] = kind::MESSAGE;
    head[1] = flags;
    head[2..4].copy_from_slice(&meta.queue.to_le_bytes());
    head[4] = meta.priority;
    head[5..9].copy_from_slice(&meta.weight.to_le_bytes());
    head[9..17].copy_from_slice(&position.to_le_bytes());
    head[17..25].copy_from_slice(&meta.due.to_le_bytes());
    head[25..33].copy_from_slice(&meta.accepted.to_le_bytes());
    head[33..37].copy_from_slice(&meta.attempt.to_le_bytes());
    out.extend_from_slice(&head);
    if let Some(group) = meta.group {
        out.extend_from_slice(&group.key.to_le_bytes());
        out.push(u8::from(group.position.is_some()));
        out.extend_from_slice(&group.position.unwrap_or(0).to_le_bytes());
    }
    if let Some((parked, reason)) = waited {
        out.extend_from_slice(&parked.to_le_bytes());
        codec::write_text(out, &reason.to_string());
    }
    if deliveries > 0 {
        out.extend_from_slice(&deliveries.to_le_bytes());
    }
}

fn fill_prefix(prefix: &mut [u8], enqueued: u64, length: usize, crc: u32) {
    prefix[..8].copy_from_slice(&enqueued.to_le_bytes());
    prefix[8..12].copy_from_slice(&(length as u32).to_le_bytes());
    prefix[12..16].copy_from_slice(&crc.to_le_bytes());
}
