//! A test for each target.

use std::panic::{AssertUnwindSafe, catch_unwind};

use busway_fuzz::{TARGETS, Target, regressions, target};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::change::changes;
use super::panics;

/// How many times more cases the long form tries.
const LONGER: u32 = 30;

fn run(name: &str) {
    panics::watch();
    let target = target(name).unwrap();
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty());
    for seed in &seeds {
        (target.run)(seed);
    }
    for (file, found) in regressions(target) {
        let again = catch_unwind(AssertUnwindSafe(|| (target.run)(&found)));
        assert!(again.is_ok(), "regressions/{name}/{file} is back");
    }
    panics::none_elsewhere();
    by_chance(target, &seeds);
}

fn by_chance(target: &Target, seeds: &[Vec<u8>]) {
    let long = std::env::var_os("BUSWAY_TEST_LONG").is_some();
    let cases = target.cases * if long { LONGER } else { 1 };
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(config, random);
    let input = (any::<prop::sample::Index>(), changes()).prop_map(|(seed, changes)| {
        let mut input = seeds[seed.index(seeds.len())].clone();
        changes.iter().for_each(|change| change.apply(&mut input, seeds));
        Input(input)
    });
    let done = runner.run(&input, |Input(input)| {
        (target.run)(&input);
        panics::none_elsewhere();
        Ok(())
    });
    if let Err(failure) = done {
        panic!("keep the input as fuzz/regressions/{}/WHAT: {failure}", target.name);
    }
}

/// Shown as bytes that can be put into a file by `printf`.
struct Input(Vec<u8>);

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

macro_rules! tests {
    ($($test:ident $name:literal)*) => {
        $(#[test] fn $test() { run($name); })*

        #[test]
        fn every_target_is_run() {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$($name),*]);
        }
    };
}

tests! {
    binary "binary"
    header_value "header-value"
    structured "structured"
    batch "batch"
    lines "lines"
    request "request"
    answer "answer"
    retry_after "retry-after"
    config_file "config-file"
    config_overrides "config-overrides"
    values "values"
    routes "routes"
    names "names"
    times "times"
    stored_message "stored-message"
    records "records"
    segment "segment"
    store_version "store-version"
    frames "frames"
    calls "calls"
    call_answers "call-answers"
    gate_row "gate-row"
    state_file "state-file"
}
