//! Runs the cases beside each other, each under its deadline, and gathers the report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use busway_core::{Capabilities, Result};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::bed::Ground;
use super::{Bed, Case, CaseReport, Factory, Features, Report, Task, Verdict};

/// How long cleaning up after a case may take.
const CLEANING: Duration = Duration::from_secs(30);

/// Runs all cases whose full name contains `filter` (all where it is empty).
///
/// # Errors
/// Where the transport cannot be opened at all.
pub async fn run(factory: impl Factory, features: Features, filter: &str) -> Result<Report> {
    Suite::new(factory).features(features).filter(filter).run().await
}

/// A run of the suite being set up.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// use busway_conformance::{MemoryFactory, Suite};
///
/// let report = Suite::new(MemoryFactory::new()).filter("publish/empty").run().await?;
/// report.assert_green();
/// # Ok::<(), busway_core::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Suite {
    factory: Arc<dyn Factory>,
    features: Option<Features>,
    filter: String,
    on_done: Box<dyn Fn(&CaseReport) + Send + Sync>,
}

impl Suite {
    /// All cases, with features after the transport's capabilities.
    #[must_use]
    pub fn new(factory: impl Factory) -> Self {
        Self { factory: Arc::new(factory), features: None, filter: String::new(), on_done: Box::new(|_| {}) }
    }

    /// Sets what cannot be read from the capabilities.
    #[must_use]
    pub fn features(mut self, features: Features) -> Self {
        self.features = Some(features);
        self
    }

    /// Runs only cases whose full name contains this text.
    #[must_use]
    pub fn filter(mut self, filter: &str) -> Self {
        filter.clone_into(&mut self.filter);
        self
    }

    /// Is told of each case when it is done, in the order in which they end.
    #[must_use]
    pub fn on_done(mut self, tell: impl Fn(&CaseReport) + Send + Sync + 'static) -> Self {
        self.on_done = Box::new(tell);
        self
    }

    /// Runs them. Needs a tokio runtime with time and whatever the transport needs.
    ///
    /// Cancelling it ends the cases under way and leaves their namespaces as they are.
    ///
    /// # Errors
    /// Where the transport cannot be opened at all.
    pub async fn run(self) -> Result<Report> {
        let begun = Instant::now();
        let run = format!("cf{:05x}", fastrand::u32(..0x10_0000));
        let capabilities = self.capabilities(&run).await?;
        let features = self.features.clone().unwrap_or_else(|| Features::of(&capabilities));
        let ground = Arc::new(Ground { factory: Arc::clone(&self.factory), features, capabilities });
        let mut cases = self.run_cases(&ground, &run).await;
        cases.sort_by_key(|(index, _)| *index);
        let cases = cases.into_iter().map(|(_, report)| report).collect();
        Ok(Report { cases, took: begun.elapsed() })
    }

    async fn capabilities(&self, run: &str) -> Result<Capabilities> {
        let namespace = format!("{run}-probe");
        let probe = self.factory.open(&namespace).await?;
        let capabilities = probe.capabilities().clone();
        probe.close().await?;
        drop(probe);
        self.factory.remove(&namespace).await?;
        Ok(capabilities)
    }

    async fn run_cases(&self, ground: &Arc<Ground>, run: &str) -> Vec<(usize, CaseReport)> {
        let slots = Arc::new(Semaphore::new(ground.features.width.max(1)));
        let mut tasks = JoinSet::new();
        let mut done = Vec::new();
        for (index, case) in crate::cases::cases().into_iter().enumerate() {
            if !case.full_name().contains(&self.filter) {
                continue;
            }
            let bed = Bed::new(Arc::clone(ground), format!("{run}-{index}"));
            let slots = Arc::clone(&slots);
            tasks.spawn(async move {
                let _slot = slots.acquire_owned().await;
                (index, run_case(case, bed).await)
            });
        }
        while let Some(ended) = tasks.join_next().await {
            if let Ok((index, report)) = ended {
                (self.on_done)(&report);
                done.push((index, report));
            }
        }
        done
    }
}

async fn run_case(case: Case, bed: Bed) -> CaseReport {
    let begun = Instant::now();
    let missing = case.needs.iter().find_map(|need| need.missing(bed.capabilities(), bed.features()));
    let (verdict, left_over) = match missing {
        Some(why) => (Verdict::Skipped(why.to_owned()), None),
        None => (try_case(case, bed.clone()).await, clean(&bed).await),
    };
    CaseReport { name: case.full_name(), about: case.about, verdict, took: begun.elapsed(), left_over }
}

/// Runs it in a task of its own, so that its panic is a verdict and not the end of the run.
async fn try_case(case: Case, bed: Bed) -> Verdict {
    let deadline = bed.features().deadline;
    let task = Task::start((case.run)(bed));
    match tokio::time::timeout(deadline, task.end()).await {
        Ok(Ok(Ok(()))) => Verdict::Passed,
        Ok(Ok(Err(failure)) | Err(failure)) => Verdict::Failed(failure.to_string()),
        Err(_) => Verdict::TimedOut(deadline),
    }
}

async fn clean(bed: &Bed) -> Option<String> {
    match tokio::time::timeout(CLEANING, bed.clean()).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("cleaning up did not end".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::MemoryFactory;
    use crate::suite::case::CaseFuture;
    use crate::suite::{Failure, Need};

    async fn verdict(needs: &'static [Need], run: fn(Bed) -> CaseFuture) -> Verdict {
        let features =
            Features { deadline: Duration::from_millis(50), can_restart: false, ..Features::default() };
        let capabilities = crate::memory::capabilities();
        let ground = Ground { factory: Arc::new(MemoryFactory::new()), features, capabilities };
        let bed = Bed::new(Arc::new(ground), "case".to_owned());
        run_case(Case { section: "test", name: "case", about: "it holds", needs, run }, bed).await.verdict
    }

    #[tokio::test]
    async fn each_end_of_a_case_is_a_verdict() {
        assert_eq!(verdict(&[], |_| Box::pin(async { Ok(()) })).await, Verdict::Passed);
        let failed = verdict(&[], |_| Box::pin(async { Err(Failure::new("it does not")) })).await;
        assert_eq!(failed, Verdict::Failed("it does not".to_owned()));
        let panicked = verdict(&[], |_| Box::pin(async { panic!("it {}", "broke") })).await;
        assert_eq!(panicked, Verdict::Failed("panicked: it broke".to_owned()));
        let hung = verdict(&[], |_| Box::pin(std::future::pending())).await;
        assert_eq!(hung, Verdict::TimedOut(Duration::from_millis(50)));
    }

    #[tokio::test]
    async fn a_case_is_skipped_for_what_it_names_alone() {
        let skipped = verdict(&[Need::Order, Need::Restart], |_| Box::pin(async { Ok(()) })).await;
        assert_eq!(skipped, Verdict::Skipped("it cannot be restarted".to_owned()));
        assert_eq!(verdict(&[Need::Order], |_| Box::pin(async { Ok(()) })).await, Verdict::Passed);
    }

    #[tokio::test]
    async fn full_names_are_unique_and_a_filter_picks_by_them() {
        let cases = crate::cases();
        let names: std::collections::HashSet<_> = cases.iter().map(Case::full_name).collect();
        assert_eq!(names.len(), cases.len());
        let report = Suite::new(MemoryFactory::new()).filter("settle/retry-at").run().await.unwrap();
        assert_eq!(report.cases.len(), 1);
        assert_eq!(report.verdict("settle/retry-at-once"), Some(&Verdict::Passed));
        let nothing = Suite::new(MemoryFactory::new()).filter("no such case").run().await.unwrap();
        assert!(!nothing.is_green(), "a run without a case is green");
    }
}
