//! `cargo xtask test`: every check and every test, in steps, with closing lines whatever happens.

mod artifacts;
mod binaries;
mod report;
mod steps;
mod totals;
mod watchdog;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::workspace::{self, Metadata};
use crate::{Verdict, signals};
use artifacts::Artifacts;
use report::{Report, StepReport};
use steps::STEPS;
use watchdog::Watchdog;

/// A run in CI ends by itself after this, with its closing lines.
const HARD_STOP: Duration = Duration::from_secs(75 * 60);
/// The same for the long forms.
const HARD_STOP_LONG: Duration = Duration::from_secs(6 * 60 * 60);

/// What the command line asks for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) provision: bool,
    pub(crate) long: bool,
    pub(crate) json: bool,
    /// The steps to run; all where empty.
    pub(crate) only: Vec<String>,
    pub(crate) filter: Option<String>,
    pub(crate) stop_after_seconds: Option<u64>,
}

impl Options {
    /// Refuses a step that does not exist.
    pub(crate) fn check(&self) -> Result<(), String> {
        let known = |name: &String| STEPS.iter().any(|step| step.name == name);
        match self.only.iter().find(|name| !known(name)) {
            None => Ok(()),
            Some(name) => {
                let names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
                Err(format!("no such step: {name}; there are {}", names.join(", ")))
            }
        }
    }

    fn wants(&self, step: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == step)
    }

    fn hard_stop(&self) -> Duration {
        let default = if self.long { HARD_STOP_LONG } else { HARD_STOP };
        self.stop_after_seconds.map_or(default, Duration::from_secs)
    }
}

/// What the steps share.
struct Run<'a> {
    options: &'a Options,
    root: PathBuf,
    /// Where captured output is kept.
    logs: PathBuf,
    members: Metadata,
    watchdog: Watchdog,
    console: Console,
    /// In CI what is missing is installed, and what was not run is no success.
    ci: bool,
    /// What the build made; `None` until it was built.
    artifacts: Option<Artifacts>,
}

/// Where a person reads; standard output unless that belongs to `--json`.
#[derive(Debug, Clone, Copy)]
struct Console {
    json: bool,
}

impl Console {
    fn line(self, text: &str) {
        if self.json { eprintln!("{text}") } else { println!("{text}") }
    }
}

/// The task.
pub(crate) fn run(options: &Options) -> Verdict {
    signals::catch();
    let ci = std::env::var("CI").is_ok_and(|ci| !ci.is_empty() && ci != "false" && ci != "0");
    let report = match Run::new(options, ci) {
        Ok(mut run) => run.all(),
        // Told as any failure is, so that the closing lines come whatever happens.
        Err(error) => {
            let mut steps = StepReport::new("xtask");
            steps.fail(error);
            Report { steps: vec![steps], stopped: None }
        }
    };
    report.print(Console { json: options.json });
    report.verdict(ci)
}

impl<'a> Run<'a> {
    fn new(options: &'a Options, ci: bool) -> Result<Self, String> {
        let root = workspace::root()?;
        let members = Metadata::load_members(&root)?;
        let logs = members.target_directory.join("xtask-logs");
        std::fs::create_dir_all(&logs).map_err(|error| format!("{}: {error}", logs.display()))?;
        Ok(Self {
            options,
            root,
            logs,
            members,
            watchdog: Watchdog::until(Instant::now() + options.hard_stop()),
            console: Console { json: options.json },
            ci,
            artifacts: None,
        })
    }

    fn all(&mut self) -> Report {
        let mut report = Report::default();
        for step in STEPS.iter().filter(|step| self.options.wants(step.name)) {
            let mut steps = StepReport::new(step.name);
            if let Some(why) = self.watchdog.stopped() {
                steps.not_run("", why.to_string());
            } else {
                self.console.line(&format!("== {}: {}", step.name, step.about));
                let begun = Instant::now();
                if catch_unwind(AssertUnwindSafe(|| (step.run)(self, &mut steps))).is_err() {
                    steps.fail("xtask itself panicked");
                }
                steps.seconds = begun.elapsed().as_secs_f64();
            }
            report.steps.push(steps);
        }
        report.stopped = self.watchdog.stopped();
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_does_not_exist_is_refused() {
        let only = |name: &str| Options { only: vec![name.to_owned()], ..Options::default() };
        assert_eq!(only("tidy").check(), Ok(()));
        assert!(only("tide").check().is_err_and(|error| error.contains("toolchain, fmt")));
    }

    #[test]
    fn all_steps_are_wanted_unless_some_are_named() {
        let options = Options { only: vec!["fmt".into(), "doc".into()], ..Options::default() };
        assert!(options.wants("doc") && !options.wants("test") && Options::default().wants("test"));
    }
}
