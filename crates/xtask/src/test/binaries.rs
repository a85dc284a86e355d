//! Runs the test binaries one after the other, each under the watchdog: libtest itself has no limit.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Run;
use super::artifacts::Built;
use super::report::StepReport;
use super::steps::{append, create, read};
use super::totals::{self, Totals};
use super::watchdog::Ended;

/// Tests wait for each other's processes and clocks, so no more at once than small machines have cores.
const TESTS_AT_ONCE: usize = 2;
/// What a binary may take, and what the long forms may.
const LIMIT: Duration = Duration::from_secs(10 * 60);
const LIMIT_LONG: Duration = Duration::from_secs(90 * 60);
/// Packages whose tests run whole processes and take longer.
const SLOW: [(&str, Duration); 1] = [("busway-integration-tests", Duration::from_secs(30 * 60))];

/// Runs all that the options ask for.
pub(super) fn run_all(run: &Run<'_>, report: &mut StepReport) {
    let Some(artifacts) = &run.artifacts else { return };
    if artifacts.busway.is_none() {
        report.fail("the build made no program `busway`");
    }
    for binary in &artifacts.tests {
        if run.options.filter.as_ref().is_some_and(|part| !binary.name.contains(part.as_str())) {
            continue;
        }
        if let Some(stop) = run.watchdog.stopped() {
            report.not_run(&binary.name, stop.to_string());
        } else {
            run_one(run, binary, report);
        }
    }
}

fn run_one(run: &Run<'_>, binary: &Built, report: &mut StepReport) {
    let log = run.logs.join(format!("{}.log", binary.name.replace(['(', ')'], "").replace(' ', "-")));
    let (out, errors) = match (create(&log), append(&log)) {
        (Ok(out), Ok(errors)) => (out, errors),
        (Err(error), _) | (_, Err(error)) => return report.fail(format!("{}: {error}", binary.name)),
    };
    let mut command = prepared(run, binary);
    command.arg("--show-output").arg(format!("--test-threads={TESTS_AT_ONCE}")).stdout(out).stderr(errors);
    let begun = Instant::now();
    let ended = run.watchdog.run(&mut command, limit(run, binary));
    let output = read(&log).unwrap_or_default();
    let totals = Totals::of_binary(&output);
    report.add(&binary.name, &totals);
    run.console.line(&format!(
        "   {:<34} {:>5} passed {:>3} failed {:>7.1} s",
        binary.name,
        totals.passed,
        totals.failed.len(),
        begun.elapsed().as_secs_f64()
    ));
    if let Ended::Exited { left: true, .. } = ended {
        run.console.line(&format!("   {} left processes behind; they were killed", binary.name));
    }
    if !ended.success() || !totals.complete {
        run.console.line(totals::failures(&output));
        account_for(run, binary, &ended, &totals, &output, report);
    }
}

/// Adds what the test results do not say: a binary that hung or died.
fn account_for(
    run: &Run<'_>,
    binary: &Built,
    ended: &Ended,
    totals: &Totals,
    output: &str,
    report: &mut StepReport,
) {
    match ended {
        Ended::TooLong | Ended::Stopped(_) => {
            let hung = totals::hung(&listing(run, binary), output, TESTS_AT_ONCE).join(", ");
            report.fail(format!("{}: {ended}; running were: {hung}", binary.name));
            report.not_run(format!("{}: the tests behind", binary.name), ended.to_string());
        }
        _ if !totals.complete => {
            report.fail(format!("{}: {ended}, without a test result", binary.name));
        }
        // Its failed tests are in the report already; an exit code without any is a failure of its own.
        _ if totals.failed.is_empty() => report.fail(format!("{}: {ended}", binary.name)),
        _ => {}
    }
}

/// The command with what cargo would set, and what the tests of this project ask for.
fn prepared(run: &Run<'_>, binary: &Built) -> Command {
    let mut command = Command::new(&binary.program);
    command.current_dir(&binary.folder).stdin(Stdio::null());
    command.env("CARGO_MANIFEST_DIR", &binary.folder).env("CARGO_PKG_NAME", &binary.package);
    command.env("RUST_BACKTRACE", "1");
    if let Some(busway) = run.artifacts.as_ref().and_then(|artifacts| artifacts.busway.as_ref()) {
        command.env("BUSWAY_BIN", busway);
    }
    if run.options.long {
        command.env("BUSWAY_TEST_LONG", "1");
    }
    command
}

fn limit(run: &Run<'_>, binary: &Built) -> Duration {
    if run.options.long {
        return LIMIT_LONG;
    }
    SLOW.iter().find(|(package, _)| *package == binary.package).map_or(LIMIT, |(_, limit)| *limit)
}

/// The names of the binary's tests, in the order in which they begin.
fn listing(run: &Run<'_>, binary: &Built) -> String {
    let output = prepared(run, binary).arg("--list").stderr(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
