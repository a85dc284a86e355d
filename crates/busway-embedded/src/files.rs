//! Reads bodies from the log: neighbours in one call, checked before they are believed.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use busway_core::{Error, ErrorClass, ErrorKind, Message, Result};

use crate::codec;
use crate::index::Place;
use crate::log::record::{BODY_PREFIX, check_body};
use crate::log::segment_path;

/// Files kept open for reading.
const OPEN_FILES: usize = 64;

/// The most bytes read in one call for several bodies.
const RUN: u64 = 1 << 20;

/// Bytes between two bodies that are read for nothing rather than calling twice.
const GAP: u64 = 4096;

/// The log's files, open for reading as they are needed.
pub(crate) struct Files {
    directory: PathBuf,
    /// Lately used last.
    open: Mutex<VecDeque<(u32, Arc<File>)>>,
}

/// Why a body could not be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// Its file is gone: the message has been copied elsewhere meanwhile, or is gone itself.
    Gone,
    Failed(Error),
}

/// A message as it stands in the log.
pub(crate) struct Stored {
    pub(crate) message: Message,
    pub(crate) enqueued: u64,
}

impl Files {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, open: Mutex::default() }
    }

    /// Reads the messages at these places; a result for each, in order. Blocks on the disk.
    pub(crate) fn read(&self, places: &[Place]) -> Vec<Result<Stored, ReadError>> {
        self.read_each(places, |bytes| {
            let (enqueued, body) = check_body(bytes)?;
            Ok(Stored { message: codec::decode(body)?, enqueued })
        })
    }

    /// The bytes of these bodies with those before each, checked. Blocks on the disk.
    pub(crate) fn read_raw(&self, places: &[Place]) -> Vec<Result<Vec<u8>, ReadError>> {
        self.read_each(places, |bytes| check_body(bytes).map(|_| bytes.to_vec()))
    }

    fn read_each<T>(
        &self,
        places: &[Place],
        decode: impl Fn(&[u8]) -> Result<T, codec::Malformed>,
    ) -> Vec<Result<T, ReadError>> {
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_unstable_by_key(|at| (places[*at].segment, places[*at].offset));
        let mut results: Vec<Option<Result<T, ReadError>>> = places.iter().map(|_| None).collect();
        let mut rest = order.as_slice();
        let mut buffer = Vec::new();
        while !rest.is_empty() {
            let (run, after) = rest.split_at(run_length(places, rest));
            let start = start_of(places[run[0]]);
            buffer.resize((end_of(places[run[run.len() - 1]]) - start) as usize, 0);
            let filled = self.fill(places[run[0]].segment, &mut buffer, start);
            for at in run {
                let place = places[*at];
                let bytes = (start_of(place) - start) as usize..(end_of(place) - start) as usize;
                results[*at] = Some(match &filled {
                    Ok(()) => decode(&buffer[bytes]).map_err(|error| self.damaged(place, error)),
                    Err(error) => Err(self.failed(place, io::Error::new(error.kind(), error.to_string()))),
                });
            }
            rest = after;
        }
        results.into_iter().map(|result| result.unwrap_or(Err(ReadError::Gone))).collect()
    }

    /// Closes a file that is about to be removed.
    pub(crate) fn forget(&self, segment: u32) {
        self.lock().retain(|(id, _)| *id != segment);
    }

    fn fill(&self, segment: u32, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file(segment)?.read_exact_at(bytes, offset)
    }

    fn file(&self, segment: u32) -> io::Result<Arc<File>> {
        let mut open = self.lock();
        if let Some(at) = open.iter().rposition(|(id, _)| *id == segment)
            && let Some(found) = open.remove(at)
        {
            open.push_back(found.clone());
            return Ok(found.1);
        }
        let file = Arc::new(File::open(segment_path(&self.directory, segment))?);
        if open.len() >= OPEN_FILES {
            open.pop_front();
        }
        open.push_back((segment, file.clone()));
        Ok(file)
    }

    fn failed(&self, place: Place, error: io::Error) -> ReadError {
        if error.kind() == io::ErrorKind::NotFound {
            return ReadError::Gone;
        }
        let path = segment_path(&self.directory, place.segment);
        ReadError::Failed(
            Error::new(
                "receive",
                ErrorKind::Io,
                format!("the message at byte {} cannot be read", place.offset),
            )
            .at(path.display())
            .class_of(ErrorClass::Retry)
            .caused_by(error),
        )
    }

    fn damaged(&self, place: Place, error: codec::Malformed) -> ReadError {
        let path = segment_path(&self.directory, place.segment);
        ReadError::Failed(
            Error::new("receive", ErrorKind::Corrupt, format!("at byte {}: {error}", place.offset))
                .at(path.display())
                .advise("the message is kept and tried again; check the disk"),
        )
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(u32, Arc<File>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many of the places from the first on are read in one call.
fn run_length(places: &[Place], order: &[usize]) -> usize {
    let first = places[order[0]];
    let mut length = 1;
    while let Some(next) = order.get(length).map(|at| places[*at]) {
        let end = end_of(places[order[length - 1]]);
        let near = next.segment == first.segment && start_of(next) <= end + GAP;
        if !near || end_of(next) - start_of(first) > RUN {
            break;
        }
        length += 1;
    }
    length
}

fn start_of(place: Place) -> u64 {
    u64::from(place.offset) - BODY_PREFIX as u64
}

fn end_of(place: Place) -> u64 {
    u64::from(place.offset) + u64::from(place.length)
}
