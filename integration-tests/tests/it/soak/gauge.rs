//! What the process and its store take, over the run.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::{Bed, Daemon, Usage};

/// A store with nothing in it is smaller, in bytes.
pub(super) const EMPTY: u64 = 48 << 20;
/// How much the last third of a run may take over the one before it: a part, and something besides.
const PART: f64 = 1.25;
const BESIDES: Sample = Sample { resident: 24 << 20, files: 40, store: 96 << 20 };

/// The highest of one moment or of many.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    resident: u64,
    files: u64,
    store: u64,
}

impl Sample {
    fn most(self, other: Self) -> Self {
        Self {
            resident: self.resident.max(other.resident),
            files: self.files.max(other.files),
            store: self.store.max(other.store),
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / (1 << 20) as f64;
        write!(
            f,
            "{:.1} MiB resident, {} files, {:.1} MiB stored",
            mib(self.resident),
            self.files,
            mib(self.store)
        )
    }
}

/// Looks and remembers.
pub(super) struct Gauge {
    store: PathBuf,
    samples: Vec<(Duration, Sample)>,
}

impl Gauge {
    pub(super) fn new(bed: &Bed) -> Self {
        Self { store: bed.path("var/queues"), samples: Vec::new() }
    }

    /// Looks at the process and its store.
    pub(super) fn look(&mut self, at: Duration, daemon: &Daemon) {
        let Usage { resident, files, .. } = daemon.usage();
        self.samples.push((at, Sample { resident, files, store: size(&self.store) }));
    }

    /// Holds the last third of a run of this length against the one before it.
    #[track_caller]
    pub(super) fn assert_flat(&self, length: Duration) {
        let (before, last) = (self.third(length, 1), self.third(length, 2));
        let allowed = |before: u64, besides: u64| (before as f64 * PART) as u64 + besides;
        let flat = last.resident <= allowed(before.resident, BESIDES.resident)
            && last.files <= allowed(before.files, BESIDES.files)
            && last.store <= allowed(before.store, BESIDES.store);
        assert!(flat, "it grows: {before}, then {last}");
    }

    fn third(&self, length: Duration, number: u32) -> Sample {
        let part = length / 3;
        let inside = self.samples.iter().filter(|(at, _)| *at >= part * number && *at < part * (number + 1));
        inside.fold(Sample::default(), |most, (_, sample)| most.most(*sample))
    }
}

impl fmt::Display for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.samples.last().map_or(Duration::ZERO, |(at, _)| *at + Duration::from_nanos(3));
        for number in 0..3 {
            writeln!(f, "at most, in third {}: {}", number + 1, self.third(length, number))?;
        }
        Ok(())
    }
}

/// The disk that the files of a folder take, in bytes; one that is removed meanwhile is not counted.
pub(super) fn size(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}
