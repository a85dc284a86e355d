//! The journal: a bounded buffer, the thread that writes it, and the search.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use busway_core::clock::{self, Millis};
use busway_core::journal::{Entry, Event, Found, Journal};
use busway_core::{Error, ErrorKind, Result};

use crate::frame;
use crate::record::{self, Wanted, What};
use crate::segments::{self, Current, Segment};

/// How long an entry may lie in memory.
const LATEST: Duration = Duration::from_millis(200);
/// The buffer is written before that where it has so many bytes.
const ENOUGH: usize = 1 << 20;
/// The most bytes that wait.
const BUFFER: usize = 4 << 20;
/// The most events of one message that are told.
const EVENTS: usize = 10_000;

/// Where a journal lies, and how much it keeps.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// Its directory; made when something is to be kept.
    pub directory: PathBuf,
    /// The bus it is of.
    pub bus: String,
    /// How long entries are kept.
    pub keep: Duration,
    /// The most bytes on disk; at least 1 MiB.
    pub max_bytes: u64,
}

/// A journal in files of its own. Dropped, what was noted is written.
pub struct FileJournal {
    shared: Arc<Shared>,
    searching: tokio::sync::Mutex<()>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

struct Shared {
    options: JournalOptions,
    pending: Mutex<Pending>,
    more: Condvar,
    writer: Mutex<Writer>,
}

struct Pending {
    buffer: Vec<u8>,
    missed: u64,
    closed: bool,
}

#[derive(Default)]
struct Writer {
    current: Option<Current>,
    spare: Vec<u8>,
    failing: bool,
}

impl FileJournal {
    /// A journal of this bus. Nothing is opened before there is something to keep, and a directory
    /// that cannot be written to makes entries missing and nothing worse.
    ///
    /// # Errors
    /// `Internal` where there is no thread.
    pub fn open(options: JournalOptions) -> Result<Self> {
        let options = JournalOptions { max_bytes: options.max_bytes.max(1 << 20), ..options };
        let mut buffer = Vec::new();
        frame::begin(&mut buffer);
        let shared = Arc::new(Shared {
            pending: Mutex::new(Pending { buffer, missed: 0, closed: false }),
            more: Condvar::new(),
            writer: Mutex::default(),
            options,
        });
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(format!("busway-{}-journal", shared.options.bus))
            .spawn(move || own.write_until_closed())
            .map_err(|e| Error::new("open journal", ErrorKind::Internal, "no thread for it").caused_by(e))?;
        Ok(Self { shared, searching: tokio::sync::Mutex::default(), thread: Mutex::new(Some(thread)) })
    }

    /// Tells the thread to end; it is to be waited for where the caller may block.
    fn end(&self) -> Option<std::thread::JoinHandle<()>> {
        self.shared.pending().closed = true;
        self.shared.more.notify_all();
        self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for FileJournal {
    fn drop(&mut self) {
        if let Some(thread) = self.end() {
            wait_for(thread);
        }
    }
}

fn wait_for(thread: std::thread::JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("the thread of the journal did not end well");
    }
}

#[async_trait]
impl Journal for FileJournal {
    fn note(&self, entry: &Entry<'_>) {
        let first = {
            let mut pending = self.shared.pending();
            let pending = &mut *pending;
            let first = frame::is_blank(&pending.buffer) && pending.missed == 0;
            let room = !pending.closed && pending.buffer.len() < BUFFER;
            if !room || !record::write(entry, &mut pending.buffer) {
                pending.missed += 1;
            }
            first || pending.buffer.len() >= ENOUGH
        };
        if first {
            self.shared.more.notify_one();
        }
    }

    async fn find(&self, id: &str) -> Result<Found> {
        // One at a time: each goes through all that is kept.
        let _alone = self.searching.lock().await;
        let (shared, wanted) = (Arc::clone(&self.shared), Wanted::new(id));
        let search = tokio::task::spawn_blocking(move || {
            shared.flush();
            shared.search(&wanted)
        });
        let failed = |kind| Error::new("trace", kind, "the journal cannot be read");
        match search.await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(failed(ErrorKind::Io)
                .at(self.shared.options.directory.display().to_string())
                .caused_by(error)),
            Err(error) => Err(failed(ErrorKind::Internal).caused_by(error)),
        }
    }

    async fn close(&self) {
        let Some(thread) = self.end() else { return };
        if let Err(error) = tokio::task::spawn_blocking(move || wait_for(thread)).await {
            tracing::error!(%error, "the end of the journal was not waited for");
        }
    }
}

impl Shared {
    fn write_until_closed(&self) {
        loop {
            let closed = {
                let blank = |pending: &mut Pending| {
                    frame::is_blank(&pending.buffer) && pending.missed == 0 && !pending.closed
                };
                let pending =
                    self.more.wait_while(self.pending(), blank).unwrap_or_else(PoisonError::into_inner);
                let few = |pending: &mut Pending| pending.buffer.len() < ENOUGH && !pending.closed;
                let (pending, _) = self
                    .more
                    .wait_timeout_while(pending, LATEST, few)
                    .unwrap_or_else(PoisonError::into_inner);
                pending.closed
            };
            self.flush();
            if closed {
                return self.finish();
            }
        }
    }

    /// Writes what waits.
    fn flush(&self) {
        let mut writer = self.writer();
        let mut buffer = std::mem::take(&mut writer.spare);
        frame::begin(&mut buffer);
        let missed = {
            let mut pending = self.pending();
            std::mem::swap(&mut pending.buffer, &mut buffer);
            std::mem::take(&mut pending.missed)
        };
        if missed > 0 {
            record::write_missed(clock::now_ms(), missed, &mut buffer);
        }
        if !frame::is_blank(&buffer) {
            self.append(&mut writer, &mut buffer);
        }
        writer.spare = buffer;
    }

    /// Writes a frame; where that fails, what it has is missing, and a new segment is tried next.
    fn append(&self, writer: &mut Writer, buffer: &mut [u8]) {
        frame::seal(buffer);
        match writer.write(&self.options, buffer) {
            Ok(()) => writer.failing = false,
            Err(error) => {
                writer.current = None;
                self.pending().missed += entries(buffer);
                if !std::mem::replace(&mut writer.failing, true) {
                    let directory = self.options.directory.display();
                    tracing::warn!(%error, %directory, "the journal cannot be written; its entries are missing until it can");
                }
            }
        }
    }

    /// Says at the end of the file that nothing was cut off.
    fn finish(&self) {
        let mut writer = self.writer();
        if let Some(current) = &mut writer.current {
            end(current);
        }
        writer.current = None;
    }

    fn search(&self, wanted: &Wanted) -> io::Result<Found> {
        let current = self.writer().current.as_ref().map(|current| current.path.clone());
        let oldest = segments::oldest(&self.options);
        let mut search = Search { wanted, oldest, found: Found::default(), gaps: Vec::new() };
        for segment in segments::list(&self.options.directory, &self.options.bus)? {
            match search.look_into(&segment, current.as_ref() == Some(&segment.path)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let mut found = search.finish();
        found.missing += self.pending().missed;
        Ok(found)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    fn write(&mut self, options: &JournalOptions, frame: &[u8]) -> io::Result<()> {
        if let Some(current) = self.current.as_mut().filter(|current| current.is_full(options)) {
            end(current);
            self.current = None;
        }
        let current = match &mut self.current {
            Some(current) => current,
            none => none.insert(Current::begin(options)?),
        };
        current.append(frame)
    }
}

fn end(current: &mut Current) {
    let mut buffer = Vec::new();
    frame::begin(&mut buffer);
    record::write_end(clock::now_ms(), &mut buffer);
    frame::seal(&mut buffer);
    if let Err(error) = current.append(&buffer) {
        tracing::debug!(%error, "the end of a journal's file was not written");
    }
}

/// How many entries a frame has, those that it counts as missing included.
fn entries(frame: &[u8]) -> u64 {
    let mut records = frame.get(8..).unwrap_or_default();
    let mut count = 0;
    while let Some(record) = record::next(&mut records) {
        count += match record.what {
            What::Missed(missed) => u64::from(missed),
            What::Event(_) => 1,
            What::End => 0,
        };
    }
    count
}

/// One search through all files.
struct Search<'a> {
    wanted: &'a Wanted,
    oldest: Millis,
    found: Found,
    /// When entries found no room and how many, or `None` where a file was cut off.
    gaps: Vec<(Millis, Option<u32>)>,
}

impl Search<'_> {
    fn look_into(&mut self, segment: &Segment, current: bool) -> io::Result<()> {
        let mut file = BufReader::with_capacity(256 << 10, File::open(&segment.path)?);
        let mut magic = [0; 8];
        let mut records = Vec::new();
        let (mut last, mut ended) = (segment.began, false);
        if frame::filled(&mut file, &mut magic)? && magic == frame::MAGIC {
            while frame::next(&mut file, &mut records)? {
                let mut bytes = &records[..];
                while let Some(record) = record::next(&mut bytes) {
                    last = record.at;
                    ended = self.see(&record);
                }
            }
        }
        if !ended && !current {
            self.gaps.push((last, None));
        }
        Ok(())
    }

    /// Looks at one record; whether it is the end of its file.
    fn see(&mut self, record: &record::Record<'_>) -> bool {
        match record.what {
            What::End => return true,
            What::Missed(count) => self.gaps.push((record.at, Some(count))),
            What::Event(_) if record.at < self.oldest => {}
            What::Event(_) => {
                self.found.since = Some(self.found.since.map_or(record.at, |since| since.min(record.at)));
                if let Some(told) = record.of(self.wanted).filter(|_| self.found.events.len() < EVENTS) {
                    self.found.r#type = told.r#type.or_else(|| self.found.r#type.take());
                    self.found.account = told.account.or_else(|| self.found.account.take());
                    self.found.events.push(told.noted);
                }
            }
        }
        false
    }

    /// In order, each event once: one that is accepted is read again after a restart.
    fn finish(mut self) -> Found {
        self.found.events.sort_by_key(|noted| (noted.at, rank(noted.event)));
        self.found.events.dedup();
        let from = self.found.events.first().map(|noted| noted.at).or(self.found.since).unwrap_or_default();
        for (_, gap) in self.gaps.iter().filter(|(at, _)| *at >= from) {
            match gap {
                Some(count) => self.found.missing += u64::from(*count),
                None => self.found.cut_off += 1,
            }
        }
        self.found
    }
}

/// What comes first within a moment; the rest is in the order in which it was noted.
fn rank(event: Event) -> u8 {
    match event {
        Event::Accepted => 0,
        Event::Diverted => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use busway_core::Message;

    use super::*;

    #[tokio::test]
    async fn what_finds_the_buffer_full_is_counted_and_told() {
        let place = tempfile::tempdir().unwrap();
        let journal = FileJournal::open(JournalOptions {
            directory: place.path().join("journal"),
            bus: "shop".to_owned(),
            keep: Duration::from_secs(3600),
            max_bytes: 64 << 20,
        })
        .unwrap();
        let message = Message::new("item.updated", "").id("7");
        let note = || journal.note(&Entry::new(clock::now_ms(), Event::Delivered, &message));
        note();
        let full = {
            // The thread is kept from writing, as by a disk that hangs.
            let _held = journal.shared.writer();
            while journal.shared.pending().missed < 3 {
                note();
            }
            journal.shared.pending().buffer.len()
        };
        assert!(full <= BUFFER + 1024, "{full} bytes wait");
        let other = journal.find("8").await.unwrap();
        assert_eq!((other.events.len(), other.missing), (0, 3));
        let found = journal.find("7").await.unwrap();
        assert_eq!(found.missing, 3);
        assert!(!found.events.is_empty() && found.events.len() <= EVENTS);
    }
}
