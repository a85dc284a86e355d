//! What ran, what failed, what was not run and why; and the closing lines that say so.

use std::fmt::Write as _;

use serde_json::json;

use super::Console;
use super::totals::Totals;
use super::watchdog::Stop;
use crate::Verdict;

/// The outcome of one step.
#[derive(Debug, Default)]
pub(super) struct StepReport {
    pub(super) name: &'static str,
    pub(super) seconds: f64,
    pub(super) passed: usize,
    /// What failed, one line each; the count that the closing line tells.
    failures: Vec<String>,
    pub(super) ignored: usize,
    not_run: Vec<NotRun>,
}

/// How the name of a test ends that a machine need not be able to run, CI's included.
const OPTIONAL: &str = "(optional)";

/// Something that had to run and did not.
#[derive(Debug)]
struct NotRun {
    /// The test; empty for the whole step.
    what: String,
    why: String,
}

impl NotRun {
    fn is_optional(&self) -> bool {
        self.what.ends_with(OPTIONAL)
    }
}

impl StepReport {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    pub(super) fn pass(&mut self) {
        self.passed += 1;
    }

    pub(super) fn fail(&mut self, what: impl Into<String>) {
        self.failures.push(what.into());
    }

    pub(super) fn not_run(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.not_run.push(NotRun { what: what.into(), why: why.into() });
    }

    /// Adds what a test binary told.
    pub(super) fn add(&mut self, binary: &str, totals: &Totals) {
        self.passed += totals.passed;
        self.ignored += totals.ignored;
        for name in &totals.failed {
            self.fail(format!("{binary}: {name}"));
        }
        for (name, why) in &totals.not_run {
            self.not_run(format!("{binary}: {name}"), why.clone());
        }
    }

    fn skipped(&self) -> usize {
        self.ignored + self.not_run.len()
    }

    /// Whether something was not run that CI must run.
    fn lacks(&self) -> bool {
        self.not_run.iter().any(|missed| !missed.is_optional())
    }
}

/// The outcome of the whole run.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) steps: Vec<StepReport>,
    pub(super) stopped: Option<Stop>,
}

impl Report {
    /// The closing lines, the plain count last.
    pub(super) fn print(&self, console: Console) {
        console.line(&self.closing_lines());
        if console.json {
            println!("{}", self.json());
        }
    }

    pub(super) fn verdict(&self, ci: bool) -> Verdict {
        match self.stopped {
            Some(Stop::Signal(_)) => Verdict::Interrupted,
            Some(Stop::Time) => Verdict::Failed,
            None if self.failed() > 0 => Verdict::Failed,
            None if ci && self.steps.iter().any(StepReport::lacks) => Verdict::Inconclusive,
            // A run that checked nothing proves nothing.
            None if self.passed() == 0 => Verdict::Inconclusive,
            None => Verdict::Done,
        }
    }

    fn passed(&self) -> usize {
        self.steps.iter().map(|step| step.passed).sum()
    }

    /// A run that was stopped has failed, also where that came between two tests.
    fn failed(&self) -> usize {
        let failures: usize = self.steps.iter().map(|step| step.failures.len()).sum();
        failures.max(usize::from(self.stopped.is_some()))
    }

    fn skipped(&self) -> usize {
        self.steps.iter().map(StepReport::skipped).sum()
    }

    fn closing_lines(&self) -> String {
        let mut text = String::from("\n");
        let mut line = |line: std::fmt::Arguments<'_>| {
            // Writing to a string cannot fail.
            let _ = text.write_fmt(line);
            text.push('\n');
        };
        line(format_args!("{:<12}{:>9}{:>9}{:>9}{:>9}", "step", "seconds", "passed", "failed", "NOT RUN"));
        for step in &self.steps {
            let (failed, skipped) = (step.failures.len(), step.skipped());
            let (name, seconds, passed) = (step.name, step.seconds, step.passed);
            line(format_args!("{name:<12}{seconds:>9.1}{passed:>9}{failed:>9}{skipped:>9}"));
        }
        for step in &self.steps {
            for missed in &step.not_run {
                let what = if missed.what.is_empty() { "the whole step" } else { &missed.what };
                line(format_args!("NOT RUN  {}: {what}: {}", step.name, missed.why));
            }
            if step.ignored > 0 {
                line(format_args!("NOT RUN  {}: {} marked as ignored", step.name, step.ignored));
            }
        }
        for step in &self.steps {
            for failure in &step.failures {
                line(format_args!("FAILED   {}: {failure}", step.name));
            }
        }
        if let Some(stop) = &self.stopped {
            line(format_args!("STOPPED  {stop}"));
        }
        let skipped =
            if self.skipped() > 0 { format!("{} skipped\n", self.skipped()) } else { String::new() };
        line(format_args!("\n{skipped}{} passed, {} failed", self.passed(), self.failed()));
        text.truncate(text.trim_end().len());
        text
    }

    fn json(&self) -> serde_json::Value {
        let steps: Vec<_> = self
            .steps
            .iter()
            .map(|step| {
                let not_run: Vec<_> = step
                    .not_run
                    .iter()
                    .map(|missed| json!({"what": missed.what, "why": missed.why}))
                    .collect();
                json!({
                    "step": step.name, "seconds": step.seconds, "passed": step.passed,
                    "failures": step.failures, "ignored": step.ignored, "not_run": not_run,
                })
            })
            .collect();
        json!({
            "steps": steps, "passed": self.passed(), "failed": self.failed(), "skipped": self.skipped(),
            "stopped": self.stopped.as_ref().map(ToString::to_string),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut good = StepReport::new("test");
        good.passed = 3;
        Report { steps: vec![good], stopped: None }
    }

    fn last_line(report: &Report) -> String {
        report.closing_lines().lines().next_back().unwrap_or_default().to_owned()
    }

    #[test]
    fn the_count_stands_alone_at_the_end() {
        let mut report = report();
        assert_eq!(last_line(&report), "3 passed, 0 failed");
        report.steps[0].not_run("it: rabbit", "no broker");
        report.steps[0].fail("it: lost one");
        let text = report.closing_lines();
        assert!(text.ends_with("\n1 skipped\n3 passed, 1 failed"), "{text}");
        assert!(text.contains("NOT RUN  test: it: rabbit: no broker"), "{text}");
        assert!(text.contains("FAILED   test: it: lost one"), "{text}");
        assert_eq!(report.json()["steps"][0]["not_run"][0]["why"], "no broker");
    }

    #[test]
    fn a_run_that_was_stopped_between_two_tests_counts_as_a_failure() {
        let mut report = report();
        report.stopped = Some(Stop::Time);
        assert_eq!(last_line(&report), "3 passed, 1 failed");
        report.steps[0].fail("it: hung");
        assert_eq!(last_line(&report), "3 passed, 1 failed");
    }

    #[test]
    fn the_verdict_is_the_worst_of_what_happened() {
        let mut report = report();
        assert_eq!(report.verdict(true), Verdict::Done);
        report.steps[0].not_run("it: a mount (optional)", "refused");
        assert_eq!(report.verdict(true), Verdict::Done);
        report.steps[0].not_run("", "no broker");
        assert_eq!(report.verdict(false), Verdict::Done);
        assert_eq!(report.verdict(true), Verdict::Inconclusive);
        report.steps[0].fail("lost one");
        assert_eq!(report.verdict(false), Verdict::Failed);
        report.stopped = Some(Stop::Signal("SIGTERM"));
        assert_eq!(report.verdict(false), Verdict::Interrupted);
        report.stopped = Some(Stop::Time);
        assert_eq!(report.verdict(false), Verdict::Failed);
        assert_eq!(Report::default().verdict(false), Verdict::Inconclusive, "nothing ran");
    }
}
