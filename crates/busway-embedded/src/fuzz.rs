//! The readers of stored and received bytes, for the fuzz targets alone: no part of the interface.

use std::io;

use busway_core::Message;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::codec;
use crate::log::frame::{FILE_HEADER, FileHeader, GROUP_HEADER, GroupHeader};
use crate::log::record::{Record, Records, check_body};
use crate::socket::frame;

/// Reads a stored message; `None` where the bytes are none.
#[must_use]
pub fn message(bytes: &[u8]) -> Option<Message> {
    codec::decode(bytes).ok()
}

/// Writes a message as it is stored.
#[must_use]
pub fn encode_message(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    codec::encode(message, &mut out);
    out
}

/// The account and the destination of a stored message; `None` where the bytes are none.
#[must_use]
pub fn party(bytes: &[u8]) -> Option<(Option<&str>, Option<&str>)> {
    codec::decode_party(bytes).ok()
}

/// Reads the records of a group and all that is in them; how many there are, and how many bytes of bodies.
///
/// # Errors
/// Why the rest cannot be read.
pub fn records(payload: &[u8]) -> Result<(usize, usize), String> {
    let (mut count, mut bodies) = (0, 0);
    let mut records = Records::new(payload);
    while let Some(record) = records.next().map_err(|error| error.to_string())? {
        count += match record {
            Record::Message(record) => {
                bodies += record.body.len();
                let from = record.body_at.saturating_sub(crate::log::record::BODY_PREFIX);
                drop(check_body(&payload[from..record.body_at + record.body.len()]));
                1
            }
            Record::Settled(positions) => 1 + positions.iter().count(),
            Record::Counts(counts) => 1 + counts.iter().count(),
            _ => 1,
        };
    }
    Ok((count, bodies))
}

/// Makes every header and checksum of a log file right again, so that what stands behind them is read: the
/// groups that the lengths tell of, the last one to the end of the file.
pub fn reseal(file: &mut [u8]) {
    let header = FileHeader::read_unchecked(file).map(|header| FileHeader { id: 1, ..header });
    let Some(header) = header else { return };
    file[..FILE_HEADER].copy_from_slice(&header.encode());
    let (mut at, mut sequence) = (FILE_HEADER, header.sequence);
    while at + GROUP_HEADER <= file.len() {
        let word = |from: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| file[at + from + byte]));
        let (length, durable) = (word(4) as usize, word(12));
        let end = (at + GROUP_HEADER).saturating_add(length).min(file.len());
        GroupHeader::seal(&mut file[at..end], header.salt, at as u32, durable, sequence);
        (at, sequence) = (end, sequence.wrapping_add(1));
    }
}

/// Reads a document after its length; `None` at the end of the stream.
///
/// # Errors
/// Where it is over the limit or the stream ends within it.
pub async fn read_frame(from: &mut (impl AsyncRead + Unpin), largest: usize) -> io::Result<Option<Vec<u8>>> {
    match frame::read_length(from).await? {
        Some(length) => frame::read_body(from, length, largest).await.map(Some),
        None => Ok(None),
    }
}

/// Writes a document with its length.
///
/// # Errors
/// Where it is over the limit.
pub async fn write_frame(to: &mut (impl AsyncWrite + Unpin), body: &[u8]) -> io::Result<()> {
    frame::write(to, body).await
}
