//! Messages from JSON lines, read by a thread of their own a few chunks ahead.

use std::fs::{File, Metadata};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use busway::core::{Message, envelope};
use tokio::sync::mpsc;

use crate::exit::{Failure, Outcome};

/// The longest line, in bytes.
const LONGEST: usize = 16 << 20;

/// The most bytes of lines in a chunk, but for its last line.
const CHUNK_BYTES: usize = 1 << 20;

/// The most lines in a chunk.
const CHUNK_LINES: usize = 1_000;

/// Chunks that are read ahead.
const AHEAD: usize = 2;

/// One line of the input.
pub(super) struct Line {
    /// Its number, counted from 1; `None` for a message that comes from no line.
    pub(super) number: Option<u64>,
    /// How many bytes of the input end with it.
    pub(super) end: u64,
    /// Its message, or why it is none.
    pub(super) message: Result<Message, String>,
}

/// Lines that are published together.
pub(super) type Chunk = Vec<Line>;

/// The input, chunk by chunk.
pub(super) struct Lines {
    chunks: mpsc::Receiver<std::io::Result<Chunk>>,
    /// How many bytes there are, where that is known.
    pub(super) size: Option<u64>,
}

impl Lines {
    /// The lines of a file; `-` is standard input.
    pub(super) fn open(path: &Path) -> Outcome<Self> {
        if path.as_os_str() == "-" {
            return Self::read(Box::new(std::io::stdin()));
        }
        let wrong = |error| Failure::Usage(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(wrong)?;
        let size = file.metadata().ok().filter(Metadata::is_file).map(|metadata| metadata.len());
        Ok(Self { size, ..Self::read(Box::new(file))? })
    }

    /// A single message.
    pub(super) fn of_one(message: Message) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        // The channel is new and has room.
        sender.try_send(Ok(vec![Line { number: None, end: 0, message: Ok(message) }])).ok();
        Self { chunks: receiver, size: None }
    }

    /// The next chunk; `None` at the end of the input. A chunk is given out before the next read
    /// that could wait.
    pub(super) async fn next(&mut self) -> Outcome<Option<Chunk>> {
        let failed = |error| Failure::Failed(format!("the input cannot be read: {error}"));
        self.chunks.recv().await.transpose().map_err(failed)
    }

    fn read(input: Box<dyn Read + Send>) -> Outcome<Self> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let reader = Reader { input: BufReader::with_capacity(256 << 10, input), number: 0, end: 0 };
        std::thread::Builder::new()
            .name("lines".to_owned())
            .spawn(move || reader.run(&sender))
            .map_err(|error| Failure::Failed(format!("no thread for reading: {error}")))?;
        Ok(Self { chunks: receiver, size: None })
    }
}

struct Reader {
    input: BufReader<Box<dyn Read + Send>>,
    number: u64,
    end: u64,
}

impl Reader {
    fn run(mut self, sender: &mpsc::Sender<std::io::Result<Chunk>>) {
        loop {
            match self.chunk() {
                Ok(chunk) if chunk.is_empty() => return,
                chunk => {
                    let last = chunk.is_err();
                    if sender.blocking_send(chunk).is_err() || last {
                        return;
                    }
                }
            }
        }
    }

    /// The lines that are there, at least one unless the input has ended.
    fn chunk(&mut self) -> std::io::Result<Chunk> {
        let mut chunk = Chunk::new();
        let mut bytes = 0;
        while bytes < CHUNK_BYTES && chunk.len() < CHUNK_LINES {
            if !chunk.is_empty() && !self.input.buffer().contains(&b'\n') {
                break;
            }
            let Some(text) = self.line()? else { break };
            let number = Some(self.number);
            let message = match text {
                None => Err(format!("is longer than {} MiB", LONGEST >> 20)),
                Some(text) if text.trim_ascii().is_empty() => continue,
                Some(text) => {
                    bytes += text.len();
                    envelope::json::decode(text.trim_ascii_end()).map_err(|error| error.to_string())
                }
            };
            chunk.push(Line { number, end: self.end, message });
        }
        Ok(chunk)
    }

    /// The next line; `Some(None)` for one that is too long, of which the rest is skipped.
    fn line(&mut self) -> std::io::Result<Option<Option<Vec<u8>>>> {
        let mut text = Vec::new();
        let read = self.input.by_ref().take(LONGEST as u64 + 1).read_until(b'\n', &mut text)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.end += read as u64;
        if read > LONGEST && text.last() != Some(&b'\n') {
            self.end += self.input.skip_until(b'\n')? as u64;
            return Ok(Some(None));
        }
        Ok(Some(Some(text)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn all(text: Vec<u8>) -> Vec<(Option<u64>, Result<String, String>)> {
        let mut lines = Lines::read(Box::new(std::io::Cursor::new(text))).unwrap();
        let mut all = Vec::new();
        while let Some(chunk) = lines.next().await.unwrap() {
            all.extend(chunk.into_iter().map(|line| (line.number, line.message.map(|m| m.r#type))));
        }
        all
    }

    #[tokio::test]
    async fn lines_keep_their_numbers_and_bad_ones_say_why() {
        let text = "{\"type\":\"a\"}\n\n  \r\n{\"type\":\"b\",\"time\":\"noon\"}\n{\"type\":\"c\"}";
        let lines = all(text.into()).await;
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0], (Some(1), Ok("a".into())));
        assert_eq!(lines[1].0, Some(4));
        assert!(lines[1].1.as_ref().unwrap_err().starts_with("time:"), "{lines:?}");
        assert_eq!(lines[2], (Some(5), Ok("c".into())));
    }

    #[tokio::test]
    async fn a_line_over_the_limit_is_refused_and_the_next_one_read() {
        let mut text = vec![b'x'; LONGEST + 5];
        text.extend(b"\n{\"type\":\"a\"}\n");
        let lines = all(text).await;
        assert_eq!(lines[0], (Some(1), Err("is longer than 16 MiB".into())));
        assert_eq!(lines[1], (Some(2), Ok("a".into())));
    }

    #[tokio::test]
    async fn the_last_line_ends_where_the_file_does() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = format!("{{\"type\":\"a\"}}\n\n{}\n{{\"type\":\"b\"}}", "x".repeat(LONGEST + 9));
        std::fs::write(file.path(), &text).unwrap();
        let mut lines = Lines::open(file.path()).unwrap();
        let mut last = 0;
        while let Some(chunk) = lines.next().await.unwrap() {
            last = chunk.last().unwrap().end;
        }
        assert_eq!((lines.size, last), (Some(text.len() as u64), text.len() as u64));
    }

    #[tokio::test]
    async fn many_lines_come_in_order_whatever_the_chunks() {
        let text: String = (0..5_000).map(|n| format!("{{\"type\":\"t{n}\"}}\n")).collect();
        let lines = all(text.into()).await;
        let expected: Vec<_> = (0..5_000).map(|n| (Some(n + 1), Ok(format!("t{n}")))).collect();
        assert_eq!(lines, expected);
    }
}
