//! What a test binary printed, read: counts, names of what failed or hung, and what was not run.

use std::collections::BTreeSet;

/// The line by which a test says that it could not run: `NOT RUN: <name>: <why>`.
const NOT_RUN: &str = "NOT RUN: ";

/// What an ignored test gives as its reason where it is the other half of one that runs it in a process of
/// its own: no test that was left out.
const HELPER: &str = "ignored, is run by ";

/// What libtest told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) passed: usize,
    pub(super) ignored: usize,
    /// The names of what failed.
    pub(super) failed: Vec<String>,
    /// Name and reason. A test that says so passes for libtest and does not count as passed here.
    pub(super) not_run: Vec<(String, String)>,
    /// Whether the closing `test result` line was there: without it the binary did not end well.
    pub(super) complete: bool,
}

impl Totals {
    /// Reads the output of one test binary, run with `--show-output`.
    pub(super) fn of_binary(output: &str) -> Self {
        let mut totals = Self::default();
        // A test may print such a line itself; libtest's own is the last.
        if let Some(counts) = output.lines().rev().find_map(counts) {
            totals.complete = true;
            totals.passed = counts.passed;
            totals.ignored = counts.ignored.saturating_sub(names(output, HELPER).count());
            totals.failed = failed_names(output, counts.failed);
        } else {
            totals.failed = names(output, "FAILED").map(str::to_owned).collect();
            totals.passed = names(output, "ok").count();
        }
        totals.take_not_run(output);
        totals
    }

    /// Reads the output of several in one, as of the documentation's tests.
    pub(super) fn of_several(output: &str) -> Self {
        let mut totals =
            Self { failed: names(output, "FAILED").map(str::to_owned).collect(), ..Self::default() };
        for counts in output.lines().filter_map(counts) {
            totals.complete = true;
            totals.passed += counts.passed;
            totals.ignored += counts.ignored;
        }
        totals
    }

    /// Takes the lines of those who could not run, and their tests from those who passed.
    fn take_not_run(&mut self, output: &str) {
        let failed: BTreeSet<&str> = self.failed.iter().map(String::as_str).collect();
        let mut passed_by_name_only = BTreeSet::new();
        let mut section = None;
        let mut lines = BTreeSet::new();
        for line in output.lines() {
            if let Some(name) = section_name(line) {
                section = Some(name);
            } else if line == "successes:" || line == "failures:" {
                section = None;
            } else if let Some(rest) = line.trim_start().strip_prefix(NOT_RUN) {
                let (name, why) = rest.split_once(": ").unwrap_or((rest, "no reason given"));
                lines.insert((name.to_owned(), why.to_owned()));
                passed_by_name_only.extend(section.filter(|test| !failed.contains(test)));
            }
        }
        self.passed = self.passed.saturating_sub(passed_by_name_only.len());
        self.not_run = lines.into_iter().collect();
    }
}

/// The part that a person wants of a failed binary's output: libtest's account of the failures, or the end
/// of what there is.
pub(super) fn failures(output: &str) -> &str {
    const TAIL: usize = 80;
    if let Some(at) = output.find("\nfailures:\n") {
        return &output[at + 1..];
    }
    let start = output.rmatch_indices('\n').nth(TAIL).map_or(0, |(at, _)| at + 1);
    &output[start..]
}

/// The tests that were running when the binary was killed: those that libtest called slow and that never
/// ended, else the first of the list that have not ended, as many as run at once.
pub(super) fn hung(listing: &str, output: &str, at_once: usize) -> Vec<String> {
    let ended: BTreeSet<&str> =
        ["ok", "FAILED"].into_iter().flat_map(|outcome| names(output, outcome)).collect();
    let slow: Vec<String> = output
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.split_once(" has been running for over "))
        .map(|(name, _)| name.to_owned())
        .filter(|name| !ended.contains(name.as_str()))
        .collect();
    if !slow.is_empty() {
        return slow;
    }
    let listed = listing.lines().filter_map(|line| line.strip_suffix(": test"));
    listed.filter(|name| !ended.contains(name)).take(at_once).map(str::to_owned).collect()
}

struct Counts {
    passed: usize,
    failed: usize,
    ignored: usize,
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; …`
fn counts(line: &str) -> Option<Counts> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let of = |what: &str| {
        counts.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse::<usize>().ok())
    };
    Some(Counts { passed: of("passed")?, failed: of("failed")?, ignored: of("ignored")? })
}

/// The names in lines `test NAME ... outcome`, where anything may stand behind the outcome.
fn names<'a>(output: &'a str, outcome: &'static str) -> impl Iterator<Item = &'a str> {
    output.lines().filter_map(move |line| {
        let (name, rest) = line.strip_prefix("test ")?.split_once(" ... ")?;
        rest.starts_with(outcome).then_some(name.strip_suffix(" - should panic").unwrap_or(name))
    })
}

/// As many names as libtest counted, though output between may have torn a line.
fn failed_names(output: &str, count: usize) -> Vec<String> {
    let mut found: Vec<String> = names(output, "FAILED").map(str::to_owned).collect();
    found.truncate(count);
    found.resize(count, "(its name is in the output)".to_owned());
    found
}

/// `---- NAME stdout ----`
fn section_name(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 5 tests
test a::one ... ok
test a::two ... FAILED
test b::broker ... ok
test b::other ... ok
test c::slow ... ignored, why

successes:

---- b::broker stdout ----
NOT RUN: rabbitmq: no address
NOT RUN: rabbitmq: no address
NOT RUN: sqs: no Java: none found

successes:
    a::one
    b::broker

failures:

---- a::two stdout ----
thread panicked: NOT RUN: is not at the start here

failures:
    a::two

test result: FAILED. 3 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
";

    #[test]
    fn a_binary_is_counted() {
        let totals = Totals::of_binary(OUTPUT);
        assert_eq!(totals.passed, 2, "one of the three only said that it could not run");
        assert_eq!((totals.ignored, totals.complete), (1, true));
        assert_eq!(totals.failed, ["a::two"]);
        let not_run: Vec<_> =
            totals.not_run.iter().map(|(name, why)| (name.as_str(), why.as_str())).collect();
        assert_eq!(not_run, [("rabbitmq", "no address"), ("sqs", "no Java: none found")]);
    }

    #[test]
    fn a_binary_that_died_is_not_complete() {
        let torn = OUTPUT.split_once("\nsuccesses:").map_or("", |(before, _)| before);
        let totals = Totals::of_binary(torn);
        assert_eq!((totals.passed, totals.complete), (3, false));
        assert_eq!(totals.failed, ["a::two"]);
        assert!(!Totals::of_binary("").complete);
    }

    #[test]
    fn the_other_half_of_a_test_is_not_left_out() {
        let output = "test a ... ignored, is run by b\ntest c ... ignored, slow\ntest b ... ok\n\
                      test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured\n";
        assert_eq!(Totals::of_binary(output).ignored, 1);
    }

    #[test]
    fn a_failed_test_that_said_not_run_stays_failed() {
        let output = "test a ... FAILED\n\nfailures:\n\n---- a stdout ----\nNOT RUN: x: y\n\n\
                      test result: FAILED. 4 passed; 1 failed; 0 ignored; 0 measured\n";
        let totals = Totals::of_binary(output);
        assert_eq!((totals.passed, totals.failed.len(), totals.not_run.len()), (4, 1, 1));
    }

    #[test]
    fn documentation_tests_are_added_up() {
        let output = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured\n\
                      test src/lib.rs - x (line 3) ... FAILED\n\
                      test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured\n";
        let totals = Totals::of_several(output);
        assert_eq!((totals.passed, totals.ignored, totals.failed.len()), (5, 1, 1));
    }

    #[test]
    fn what_failed_is_cut_out() {
        assert!(failures(OUTPUT).starts_with("failures:\n\n---- a::two"));
        let long = "x\n".repeat(500);
        assert_eq!(failures(&long).lines().count(), 80);
        assert_eq!(failures("short"), "short");
    }

    #[test]
    fn what_hung_is_named() {
        let listing = "a: test\nb: test\nc: test\nd: test\n\n4 tests, 0 benchmarks\n";
        assert_eq!(hung(listing, "test b ... ok\n", 2), ["a", "c"]);
        let slow = "test d has been running for over 60 seconds\ntest a has been running for over 60 seconds\n\
                    test a ... ok\n";
        assert_eq!(hung(listing, slow, 2), ["d"]);
    }
}
