//! The recorder of the process's own metrics, for programs. A library installs none: there is one
//! a process.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use busway_core::{Error, ErrorKind, Result};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::server::RenderMetrics;

/// How often what histograms have gathered is summed up, so that it does not pile up where nobody
/// scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// Bounds of durations, in seconds.
const SECONDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Installs the process's recorder of metrics; what it gives goes to
/// [`HttpServer::start`](crate::HttpServer::start). Histograms whose names end in `_seconds` have
/// buckets, others are summaries.
///
/// # Errors
/// `Conflict` where the process has a recorder.
pub fn install_recorder() -> Result<RenderMetrics> {
    let failed = |e: BuildError| {
        Error::new("install", ErrorKind::Conflict, "the recorder of metrics cannot be set").caused_by(e)
    };
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .map_err(failed)?
        .install_recorder()
        .map_err(failed)?;
    let handle = Arc::new(handle);
    keep_up(&handle)?;
    Ok(Arc::new(move || handle.render()))
}

/// Runs until the handle is dropped.
fn keep_up(handle: &Arc<PrometheusHandle>) -> Result<()> {
    let handle = Arc::downgrade(handle);
    let run = move || {
        while let Some(handle) = handle.upgrade() {
            handle.run_upkeep();
            drop(handle);
            thread::sleep(UPKEEP);
        }
    };
    match thread::Builder::new().name("busway-metrics".to_owned()).spawn(run) {
        Ok(_) => Ok(()),
        Err(e) => {
            Err(Error::new("install", ErrorKind::Io, "the thread for metrics does not start").caused_by(e))
        }
    }
}
