//! How often a second this disk syncs: the bound of all that is durable.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How long the probe takes.
const WINDOW: Duration = Duration::from_millis(250);
/// Bytes of each append: a block.
const BLOCK: usize = 4096;

/// Appends of a block with `fdatasync` after each, a second.
///
/// # Errors
/// Where the directory cannot be written to.
pub fn fsync_rate(directory: &Path) -> Result<f64> {
    let path = directory.join("fsync-probe");
    let rate = probe(&path).with_context(|| format!("{}: the disk cannot be probed", path.display()));
    let removed = std::fs::remove_file(&path);
    let rate = rate?;
    removed.with_context(|| path.display().to_string())?;
    Ok(rate)
}

fn probe(path: &Path) -> std::io::Result<f64> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let block = [b'.'; BLOCK];
    let begun = Instant::now();
    let mut syncs = 0.0;
    while begun.elapsed() < WINDOW {
        file.write_all(&block)?;
        file.sync_data()?;
        syncs += 1.0;
    }
    Ok(syncs / begun.elapsed().as_secs_f64())
}
