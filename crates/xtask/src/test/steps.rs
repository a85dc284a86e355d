//! The steps of a run, in their order.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::Run;
use super::artifacts::Artifacts;
use super::report::StepReport;
use super::totals::{self, Totals};
use crate::provision::{self, NEEDS};
use crate::{tidy, workspace};

/// A step of the run.
pub(super) struct Step {
    pub(super) name: &'static str,
    /// What it does, for those who watch.
    pub(super) about: &'static str,
    pub(super) run: fn(&mut Run<'_>, &mut StepReport),
}

pub(super) const STEPS: [Step; 8] = [
    Step { name: "toolchain", about: "the tools that the rest needs", run: toolchain },
    Step { name: "fmt", about: "cargo fmt --check", run: fmt },
    Step { name: "clippy", about: "cargo clippy, warnings denied", run: clippy },
    Step { name: "tidy", about: "the rules of the project", run: tidy },
    Step { name: "build", about: "everything, tests and examples included", run: build },
    Step { name: "test", about: "unit, conformance and integration tests", run: test },
    Step { name: "doc", about: "the documentation, warnings denied, and the tests in it", run: doc },
    Step { name: "examples", about: "each example program", run: examples },
];

const MINUTE: Duration = Duration::from_secs(60);
const EXAMPLE_LIMIT: Duration = Duration::from_secs(90);

fn toolchain(run: &mut Run<'_>, report: &mut StepReport) {
    let missing = provision::missing(&NEEDS);
    if !missing.is_empty() && (run.options.provision || run.ci) {
        for command in provision::commands(&missing) {
            let Some((program, arguments)) = command.split_first() else { continue };
            run.console.line(&format!("   {}", command.join(" ")));
            // Whether it helped is seen below.
            let ended =
                run.watchdog.run(Command::new(program).args(arguments).current_dir(&run.root), 10 * MINUTE);
            run.console.line(&format!("   {ended}"));
        }
    }
    for need in &NEEDS {
        if need.met() {
            report.pass();
        } else {
            report.fail(format!("{} is missing: {}", need.name, need.advice()));
        }
    }
}

fn fmt(run: &mut Run<'_>, report: &mut StepReport) {
    cargo(run, report, &["fmt", "--all", "--check"], 5 * MINUTE);
}

fn clippy(run: &mut Run<'_>, report: &mut StepReport) {
    let arguments = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    cargo(run, report, &arguments, 25 * MINUTE);
}

fn tidy(run: &mut Run<'_>, report: &mut StepReport) {
    match tidy::check(&run.root) {
        Err(error) => report.fail(error),
        Ok(checked) => {
            for rule in checked {
                if rule.findings.is_empty() {
                    report.pass();
                }
                for finding in rule.findings {
                    report.fail(format!("{}: {finding}", rule.rule));
                }
            }
        }
    }
}

fn build(run: &mut Run<'_>, report: &mut StepReport) {
    match build_all(run) {
        Err(error) => report.fail(error),
        Ok(()) => report.pass(),
    }
}

/// Builds everything in one selection, so that nothing is built twice with other features.
fn build_all(run: &mut Run<'_>) -> Result<(), String> {
    let log = run.logs.join("build.json");
    let mut command = workspace::cargo(&run.root);
    command.args(["build", "--workspace", "--all-targets", "--locked"]);
    command.arg("--message-format=json-render-diagnostics").stdout(create(&log)?);
    let ended = run.watchdog.run(&mut command, 35 * MINUTE);
    if !ended.success() {
        return Err(format!("cargo build: {ended}"));
    }
    run.artifacts = Some(Artifacts::read(&read(&log)?, &run.members, &run.root));
    Ok(())
}

fn test(run: &mut Run<'_>, report: &mut StepReport) {
    if built(run, report) {
        super::binaries::run_all(run, report);
    }
}

fn doc(run: &mut Run<'_>, report: &mut StepReport) {
    // Private items too: links from one to the other are documentation of how it is built.
    let mut command = workspace::cargo(&run.root);
    command.args(["doc", "--workspace", "--lib", "--no-deps", "--document-private-items", "--locked"]);
    command.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links");
    if run.options.json {
        command.stdout(std::io::stderr());
    }
    let ended = run.watchdog.run(&mut command, 20 * MINUTE);
    if ended.success() {
        report.pass();
    } else {
        report.fail(format!("cargo doc: {ended}"));
    }
    let log = run.logs.join("doc.log");
    let mut command = workspace::cargo(&run.root);
    command.args(["test", "--doc", "--workspace", "--locked", "--no-fail-fast"]);
    match create(&log) {
        Ok(file) => command.stdout(file),
        Err(error) => return report.fail(error),
    };
    let ended = run.watchdog.run(&mut command, 20 * MINUTE);
    let output = read(&log).unwrap_or_default();
    let totals = Totals::of_several(&output);
    report.add("documentation", &totals);
    if !ended.success() {
        run.console.line(totals::failures(&output));
        if totals.failed.is_empty() {
            report.fail(format!("cargo test --doc: {ended}"));
        }
    }
}

fn examples(run: &mut Run<'_>, report: &mut StepReport) {
    if !built(run, report) {
        return;
    }
    let examples = run.artifacts.as_ref().map(|artifacts| artifacts.examples.clone()).unwrap_or_default();
    for example in examples {
        let log = run.logs.join(format!("example-{}.log", example.name));
        let (Ok(out), Ok(errors)) = (create(&log), append(&log)) else {
            report.fail(format!("{}: its log cannot be written", example.name));
            continue;
        };
        let mut command = Command::new(&example.program);
        command.current_dir(&run.root).stdout(out).stderr(errors);
        let ended = run.watchdog.run(&mut command, EXAMPLE_LIMIT);
        if ended.success() {
            report.pass();
        } else {
            run.console.line(totals::failures(&read(&log).unwrap_or_default()));
            report.fail(format!("{}: {ended}", example.name));
        }
    }
}

/// Makes sure that there is a build, also where step `build` was not asked for; else reports why not.
fn built(run: &mut Run<'_>, report: &mut StepReport) -> bool {
    if run.artifacts.is_none() {
        if run.options.wants("build") {
            report.not_run("", "the build failed");
        } else if let Err(error) = build_all(run) {
            report.fail(error);
        }
    }
    run.artifacts.is_some()
}

/// A cargo command that passes or fails as a whole, its output for all to see.
fn cargo(run: &Run<'_>, report: &mut StepReport, arguments: &[&str], limit: Duration) {
    let mut command = workspace::cargo(&run.root);
    command.args(arguments);
    if run.options.json {
        command.stdout(std::io::stderr());
    }
    let ended = run.watchdog.run(&mut command, limit);
    if ended.success() {
        report.pass();
    } else {
        report.fail(format!("cargo {}: {ended}", arguments.join(" ")));
    }
}

pub(super) fn create(path: &Path) -> Result<std::fs::File, String> {
    // A file of its own each time: a process of an earlier run may still hold the old one.
    drop(std::fs::remove_file(path));
    append(path)
}

pub(super) fn append(path: &Path) -> Result<std::fs::File, String> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true).open(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Reads a log; what is not UTF-8 is replaced.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
