//! What a case is given: it takes measures, which are judged and printed as they come.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::disk;
use crate::pairs::{Pairs, Side, lower_bound, spread, upper_bound};
use crate::row::{Figures, Row};
use crate::run::Run;

/// Fewer pairs than these decide nothing.
const PAIRS_TO_JUDGE: usize = 15;

/// How the cases are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Pairs of each measure.
    pub pairs: usize,
    /// The shortest form: a hundredth of the messages. Shows that a case works, not how fast.
    pub quick: bool,
    /// Where stores are put: on the disk that is to be measured.
    pub directory: PathBuf,
    /// The one measure that is taken; all where there is none.
    pub measure: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { pairs: PAIRS_TO_JUDGE, quick: false, directory: PathBuf::from("."), measure: None }
    }
}

/// What a measure must not miss. It is missed only where the median of the pairs does so with 90 %
/// confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// Subject over twin, at least.
    Ratio(f64),
    /// The subject's messages a second, at least.
    Rate(f64),
    /// Microseconds of CPU a message of the subject, at most.
    CpuMicroseconds(f64),
    /// The subject's 99th percentile, at most.
    P99Milliseconds(f64),
    /// The subject's 99th percentile, at most, in those of the twin's syncs in the run beside it.
    P99Syncs(f64),
}

/// What is measured, in words.
#[derive(Clone, Debug)]
pub struct Measure {
    name: String,
    subject: String,
    twin: Option<String>,
    body_bytes: u64,
    durable: bool,
    limit: Option<Limit>,
    broker: Option<String>,
    notes: String,
}

impl Measure {
    /// A measure of a subject beside a twin.
    #[must_use]
    pub fn new(name: impl Into<String>, subject: impl Into<String>, twin: impl Into<String>) -> Self {
        Self { twin: Some(twin.into()), ..Self::alone(name, subject) }
    }

    /// One that nothing can be put beside.
    #[must_use]
    pub fn alone(name: impl Into<String>, subject: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            subject: subject.into(),
            twin: None,
            body_bytes: 0,
            durable: false,
            limit: None,
            broker: None,
            notes: String::new(),
        }
    }

    /// Bytes of one message's data.
    #[must_use]
    pub fn body_bytes(mut self, bytes: u64) -> Self {
        self.body_bytes = bytes;
        self
    }

    /// It waits for the disk, whose fsync rate is printed beside it.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// What it must not miss.
    #[must_use]
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The broker and its version.
    #[must_use]
    pub fn broker(mut self, broker: impl Into<String>) -> Self {
        self.broker = Some(broker.into());
        self
    }

    /// What must be known to read the figures: batches, windows, how the twin is tuned.
    #[must_use]
    pub fn notes(mut self, notes: impl Into<String>) -> Self {
        self.notes = notes.into();
        self
    }
}

/// What the measures of a run came to, worst last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// No limit was missed.
    #[default]
    Met,
    /// There were too few pairs to judge one.
    Inconclusive,
    /// One was missed.
    Missed,
    /// A message was lost.
    Lost,
}

/// What a case takes its measures by.
pub struct Bench<'a> {
    name: &'static str,
    options: &'a Options,
    print: &'a mut dyn FnMut(&Row),
    verdict: Verdict,
}

impl<'a> Bench<'a> {
    /// For the case of this name; each row goes to `print` as soon as it is there.
    pub fn new(name: &'static str, options: &'a Options, print: &'a mut dyn FnMut(&Row)) -> Self {
        Self { name, options, print, verdict: Verdict::Met }
    }

    /// How the cases are run.
    #[must_use]
    pub fn options(&self) -> &Options {
        self.options
    }

    /// So many messages, or a hundredth of them (at least one) in the shortest form.
    #[must_use]
    pub fn scale(&self, messages: u64) -> u64 {
        if self.options.quick { (messages / 100).max(1) } else { messages }
    }

    /// A new directory on the disk that is measured, gone when dropped.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn scratch(&self) -> Result<TempDir> {
        let directory = &self.options.directory;
        std::fs::create_dir_all(directory)
            .and_then(|()| TempDir::with_prefix_in("bench-", directory))
            .with_context(|| format!("a directory in {} cannot be made", directory.display()))
    }

    /// Whether a measure of this name is asked for.
    #[must_use]
    pub fn wants(&self, measure: &str) -> bool {
        self.options.measure.as_ref().is_none_or(|wanted| wanted == measure)
    }

    /// Runs both sides in turns, prints the row and judges it. `run` runs one side once: it prepares,
    /// starts a [`Stopwatch`](crate::Stopwatch), works, stops it and counts.
    ///
    /// # Errors
    /// Those of a run, and of the disk's probe.
    pub fn measure(&mut self, measure: &Measure, run: impl FnMut(Side) -> Result<Run>) -> Result<()> {
        if !self.wants(&measure.name) {
            return Ok(());
        }
        let fsync = if measure.durable { Some(disk::fsync_rate(self.scratch()?.path())?) } else { None };
        let pairs = Pairs::interleave(self.options.pairs, measure.twin.is_some(), run)
            .with_context(|| format!("{}: {}", self.name, measure.name))?;
        let row = self.row(measure, &pairs, fsync);
        let verdict =
            if row.lost > 0 { Verdict::Lost } else { judge(measure.limit, &pairs, &row, self.options.pairs) };
        self.verdict = self.verdict.max(verdict);
        (self.print)(&row);
        Ok(())
    }

    /// What all measures so far came to.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    fn row(&self, measure: &Measure, pairs: &Pairs, fsync: Option<f64>) -> Row {
        let median = |side, figure: fn(&Run) -> f64| spread(&each(pairs, side, figure)).map(|s| s.median);
        let figures = match pairs.latency(Side::Subject) {
            Some(latency) => Figures::Latencies {
                subject_ms: latency.percentiles(),
                twin_ms: pairs.latency(Side::Twin).map(|latency| latency.percentiles()),
            },
            None => Figures::Rates {
                subject_rate: median(Side::Subject, Run::rate).unwrap_or_default(),
                twin_rate: median(Side::Twin, Run::rate),
            },
        };
        let runs = || pairs.of(Side::Subject).iter().chain(pairs.of(Side::Twin));
        Row {
            bench: self.name,
            measure: measure.name.clone(),
            subject: measure.subject.clone(),
            twin: measure.twin.clone(),
            messages: pairs.of(Side::Subject).first().map_or(0, |run| run.messages),
            body_bytes: measure.body_bytes,
            ratio: spread(&pairs.ratios()),
            figures,
            cpu_us: median(Side::Subject, Run::cpu_us).unwrap_or_default(),
            twin_cpu_us: median(Side::Twin, Run::cpu_us),
            lost: runs().map(|run| run.lost).sum(),
            duplicated: runs().map(|run| run.duplicated).sum(),
            fsync_per_s: fsync,
            broker: measure.broker.clone(),
            notes: measure.notes.clone() + &syncs_note(pairs),
        }
    }
}

fn syncs_note(pairs: &Pairs) -> String {
    let mut syncs = pairs.of(Side::Twin).iter().filter_map(|run| run.syncs.as_ref());
    let Some(mut all) = syncs.next().cloned() else { return String::new() };
    syncs.for_each(|syncs| all.add(syncs));
    let found = all.percentiles();
    let p99 = |side| {
        spread(&pairs.p99_in_syncs(side))
            .map_or_else(String::new, |s| format!("{:.1} ({:.1}, {:.1})", s.median, s.min, s.max))
    };
    format!(
        "; the twin's syncs: p50 {:.3}, p99 {:.3}, p999 {:.3} ms; p99 of each run in p99s of the syncs beside it: \
         {}, twin {}",
        found.p50,
        found.p99,
        found.p999,
        p99(Side::Subject),
        p99(Side::Twin),
    )
}

fn judge(limit: Option<Limit>, pairs: &Pairs, row: &Row, count: usize) -> Verdict {
    let Some(limit) = limit else { return Verdict::Met };
    if count < PAIRS_TO_JUDGE {
        return Verdict::Inconclusive;
    }
    let subject = |figure: fn(&Run) -> f64| each(pairs, Side::Subject, figure);
    let missed = match limit {
        Limit::Ratio(least) => upper_bound(&pairs.ratios()).is_none_or(|bound| bound < least),
        Limit::Rate(least) => upper_bound(&subject(Run::rate)).is_none_or(|bound| bound < least),
        Limit::CpuMicroseconds(most) => lower_bound(&subject(Run::cpu_us)).is_none_or(|bound| bound > most),
        Limit::P99Milliseconds(most) => lower_bound(&subject(p99)).is_none_or(|bound| bound > most),
        Limit::P99Syncs(most) => {
            lower_bound(&pairs.p99_in_syncs(Side::Subject)).is_none_or(|bound| bound > most)
        }
    };
    if missed {
        eprintln!("{} {}: the limit {limit:?} is missed", row.bench, row.measure);
        return Verdict::Missed;
    }
    Verdict::Met
}

fn p99(run: &Run) -> f64 {
    run.latency.as_ref().map_or(0.0, |latency| latency.percentiles().p99)
}

fn each(pairs: &Pairs, side: Side, figure: fn(&Run) -> f64) -> Vec<f64> {
    pairs.of(side).iter().map(figure).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Stopwatch;

    fn verdict(pairs: usize, limit: Limit, lost: u64) -> Verdict {
        let options = Options { pairs, ..Options::default() };
        let mut print = |_: &Row| {};
        let mut bench = Bench::new("test", &options, &mut print);
        let measure = Measure::new("m", "s", "t").limit(limit);
        let ran = bench.measure(&measure, |side| {
            let mut run = Stopwatch::start().stop(100);
            run.elapsed = Duration::from_millis(if side == Side::Subject { 200 } else { 100 });
            run.cpu = Duration::from_millis(1);
            Ok(run.counted(lost, 0))
        });
        ran.unwrap_or_else(|error| panic!("{error}"));
        bench.verdict()
    }

    #[test]
    fn a_limit_is_missed_by_enough_pairs_alone() {
        assert_eq!(verdict(15, Limit::Ratio(0.5), 0), Verdict::Met);
        assert_eq!(verdict(15, Limit::Ratio(0.51), 0), Verdict::Missed);
        assert_eq!(verdict(14, Limit::Ratio(0.51), 0), Verdict::Inconclusive);
        assert_eq!(verdict(15, Limit::Rate(500.0), 0), Verdict::Met);
        assert_eq!(verdict(15, Limit::Rate(501.0), 0), Verdict::Missed);
        assert_eq!(verdict(15, Limit::CpuMicroseconds(10.0), 0), Verdict::Met);
        assert_eq!(verdict(15, Limit::CpuMicroseconds(9.9), 0), Verdict::Missed);
    }

    #[test]
    fn a_lost_message_outranks_every_figure() {
        assert_eq!(verdict(1, Limit::Ratio(0.1), 1), Verdict::Lost);
    }
}
