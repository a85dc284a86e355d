//! Each case in its shortest form: that it works, loses nothing and prints what it should. Not how fast.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

use busway_benches::CASES;
use serde_json::Value;

const NUMBERS: [&str; 4] = ["messages", "body_bytes", "lost", "duplicated"];

fn bench(arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_busway-benches"));
    command.args(arguments).arg("--dir").arg(directory.path()).output().unwrap()
}

#[test]
fn each_case_prints_a_line_of_json_for_each_measure() {
    for case in CASES {
        let output = bench(&[case.name, "--quick", "--json"]);
        let (text, errors) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{}: {text}{errors}", case.name);
        assert!(!text.is_empty(), "{} measures nothing: {errors}", case.name);
        for line in text.lines() {
            check(case.name, &serde_json::from_str(line).unwrap());
        }
    }
}

fn check(case: &str, row: &Value) {
    assert_eq!(row["bench"], case, "{row}");
    assert!(
        ["measure", "subject", "notes"].iter().all(|key| !row[key].as_str().unwrap().is_empty()),
        "{row}"
    );
    assert!(NUMBERS.iter().all(|key| row[key].is_u64()) && row["cpu_us"].is_f64(), "{row}");
    assert_eq!((&row["lost"], &row["duplicated"]), (&Value::from(0), &Value::from(0)), "{row}");
    let twin = row["twin"].is_string();
    assert_eq!(row["twin_cpu_us"].is_f64(), twin, "{row}");
    assert_eq!(["min", "median", "max"].iter().all(|key| row["ratio"][key].is_f64()), twin, "{row}");
    for (side, expected) in [("subject", true), ("twin", twin)] {
        let percentiles = &row[format!("{side}_ms")];
        let rate = row[format!("{side}_rate")].is_f64();
        let latency = ["p50", "p99", "p999"].iter().all(|key| percentiles[key].is_f64());
        assert_eq!(rate != latency, expected, "{row}");
    }
    for key in ["fsync_per_s", "broker"] {
        assert!(row.as_object().unwrap().contains_key(key), "{row}");
    }
}

#[test]
fn a_table_is_printed_without_json() {
    let output = bench(&["route", "--quick"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("case ") && text.contains("1,000 routes"), "{text}");
}

#[test]
fn wrong_usage_is_told_with_the_list_of_cases() {
    for arguments in [&["nonsense"][..], &[], &["route", "--pairs", "4"], &["route", "--nonsense"]] {
        let output = bench(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(CASES.iter().all(|case| errors.contains(&format!("  {} ", case.name))), "{errors}");
    }
}

#[test]
fn too_few_pairs_are_inconclusive() {
    assert_eq!(bench(&["route", "--quick", "--check"]).status.code(), Some(5));
}
