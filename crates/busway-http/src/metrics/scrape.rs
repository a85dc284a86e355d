//! Asks the bus for its figures at most once a second, however many scrape.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::gauges::render;
use crate::context::Context;
use crate::deadline::Deadline;

/// How long figures count as fresh.
const FRESH: Duration = Duration::from_secs(1);

/// How long the bus may take to answer a scrape.
const PATIENCE: Duration = Duration::from_secs(5);

/// The last figures in their text form.
#[derive(Debug, Default)]
pub(crate) struct Scrape(Mutex<Option<(Instant, String)>>);

impl Scrape {
    /// The gauges of the bus; those that ask while it is being asked wait for the same answer.
    pub(super) async fn gauges(&self, context: &Context) -> String {
        let mut last = self.0.lock().await;
        if let Some((at, text)) = last.as_ref()
            && at.elapsed() < FRESH
        {
            return text.clone();
        }
        let deadline = Deadline::after(context.config.deadline.min(PATIENCE));
        let readiness = deadline.within(context.admin.readiness()).await;
        let report = match deadline.within(context.admin.queues()).await {
            Ok(Ok(report)) => Some(report),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the bus has no figures for metrics");
                None
            }
            Err(_) => None,
        };
        let text = render(readiness.is_ok_and(|readiness| readiness.ready), report.as_ref());
        last.insert((Instant::now(), text)).1.clone()
    }
}
