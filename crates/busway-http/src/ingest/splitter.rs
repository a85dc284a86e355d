//! Cuts a stream of bytes into lines, however it comes in pieces.

use actix_web::web::{Bytes, BytesMut};

/// Holds at most one piece and one begun line.
#[derive(Debug)]
pub(crate) struct Splitter {
    piece: Bytes,
    begun: BytesMut,
    max: usize,
    skipping: bool,
}

/// A line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Text(Bytes),
    /// It was over the limit; its text is gone.
    TooLong,
}

impl Splitter {
    /// Lines of at most `max` bytes.
    pub(crate) fn new(max: usize) -> Self {
        Self { piece: Bytes::new(), begun: BytesMut::new(), max, skipping: false }
    }

    /// The next piece of the stream; every line of the one before must have been taken.
    pub(crate) fn feed(&mut self, piece: Bytes) {
        debug_assert!(self.is_hungry(), "lines of the piece before are left");
        self.piece = piece;
    }

    /// Whether every line of the last piece has been taken.
    pub(crate) fn is_hungry(&self) -> bool {
        self.piece.is_empty()
    }

    /// The next line that has ended.
    pub(crate) fn next_line(&mut self) -> Option<Line> {
        let Some(end) = self.piece.iter().position(|byte| *byte == b'\n') else {
            let rest = std::mem::take(&mut self.piece);
            self.begin(&rest);
            return None;
        };
        let mut part = self.piece.split_to(end + 1);
        part.truncate(end);
        if self.begun.is_empty() && !self.skipping {
            return Some(if end > self.max { Line::TooLong } else { Line::Text(part) });
        }
        self.begin(&part);
        Some(self.end())
    }

    /// The last line, where the stream ended without a line's end.
    pub(crate) fn finish(mut self) -> Option<Line> {
        (self.skipping || !self.begun.is_empty()).then(|| self.end())
    }

    fn begin(&mut self, part: &[u8]) {
        if self.skipping || self.begun.len() + part.len() > self.max {
            self.skipping = true;
            self.begun = BytesMut::new();
        } else {
            self.begun.extend_from_slice(part);
        }
    }

    fn end(&mut self) -> Line {
        if std::mem::take(&mut self.skipping) {
            return Line::TooLong;
        }
        Line::Text(self.begun.split().freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, piece: usize, max: usize) -> Vec<Line> {
        let mut splitter = Splitter::new(max);
        let mut lines = Vec::new();
        for part in text.as_bytes().chunks(piece) {
            splitter.feed(Bytes::copy_from_slice(part));
            while let Some(line) = splitter.next_line() {
                lines.push(line);
            }
        }
        lines.extend(splitter.finish());
        lines
    }

    #[test]
    fn lines_are_the_same_however_they_come() {
        let text = "one\n\ntwo\r\na line that is too long\nthree";
        let wanted = [
            Line::Text(Bytes::from_static(b"one")),
            Line::Text(Bytes::new()),
            Line::Text(Bytes::from_static(b"two\r")),
            Line::TooLong,
            Line::Text(Bytes::from_static(b"three")),
        ];
        for piece in 1..=text.len() {
            assert_eq!(split(text, piece, 10), wanted, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_last_line_that_is_too_long_is_told() {
        for piece in 1..=12 {
            assert_eq!(split("one\nfour-and-more", piece, 4).last(), Some(&Line::TooLong));
        }
        assert_eq!(split("", 1, 4), []);
        assert_eq!(split("\n", 1, 4), [Line::Text(Bytes::new())]);
    }
}
