//! The splitter of JSON lines, for the fuzz targets alone: no part of the interface.

use actix_web::web::Bytes;

use crate::ingest::splitter::{Line, Splitter};

/// The lines of a stream that comes in these pieces, of at most `max` bytes each; `None` for one that was
/// over it.
#[must_use]
pub fn lines<'a>(pieces: impl Iterator<Item = &'a [u8]>, max: usize) -> Vec<Option<Bytes>> {
    let mut splitter = Splitter::new(max);
    let mut lines = Vec::new();
    for piece in pieces {
        splitter.feed(Bytes::copy_from_slice(piece));
        while let Some(line) = splitter.next_line() {
            lines.push(line);
        }
    }
    lines.extend(splitter.finish());
    let text = |line| match line {
        Line::Text(text) => Some(text),
        Line::TooLong => None,
    };
    lines.into_iter().map(text).collect()
}
