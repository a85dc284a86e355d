//! `cargo xtask test` as a whole process, on a small workspace of its own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const TESTS: &str = r#"
#[test] fn a_good() {}
#[test] fn b_bad() { assert!(std::env::var("FIXTURE_BAD").is_err(), "bad on purpose"); }
#[test] fn c_absent() { println!("NOT RUN: a broker: not on this machine"); }
#[test] fn d_hangs() { if std::env::var("FIXTURE_HANG").is_ok() { std::thread::park(); } }
#[test] fn e_knows_the_program() { assert!(std::path::Path::new(&std::env::var("BUSWAY_BIN").unwrap()).is_file()); }
"#;

/// A workspace with a program `busway` and the tests above.
struct Fixture(PathBuf);

impl Fixture {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("xtask-fixture-{}-{name}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"crates/busway-cli\"]\n");
        write(
            "crates/busway-cli/Cargo.toml",
            "[package]\nname = \"busway-cli\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
             [[bin]]\nname = \"busway\"\npath = \"src/main.rs\"\n",
        );
        write("crates/busway-cli/src/main.rs", "fn main() {}\n");
        write("crates/busway-cli/tests/it.rs", TESTS);
        let fixture = Self(root);
        assert!(fixture.cargo(&["generate-lockfile", "--offline"]).status().unwrap().success());
        fixture
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments).current_dir(&self.0).stdin(Stdio::null());
        command
    }

    fn xtask(&self, arguments: &[&str]) -> Command {
        self.xtask_by(Command::new(env!("CARGO_BIN_EXE_xtask")), arguments)
    }

    /// The same by a command that becomes it.
    fn xtask_by(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.arg("test").args(arguments).stdin(Stdio::null());
        command.env("CARGO_MANIFEST_DIR", self.0.join("crates/xtask"));
        command.env("CARGO_TARGET_DIR", self.0.join("target"));
        command.env_remove("CI").env_remove("BUSWAY_BIN");
        command
    }

    fn logs(&self) -> PathBuf {
        self.0.join("target/xtask-logs")
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn last_line(text: &str) -> &str {
    text.lines().next_back().unwrap_or_default()
}

#[test]
fn a_good_run_closes_with_its_count() {
    let fixture = Fixture::new("good");
    let output = fixture.xtask(&["--only", "build", "test"]).output().unwrap();
    let text = text(&output);
    assert!(text.ends_with("\n1 skipped\n5 passed, 0 failed\n"), "{text}");
    assert_eq!(output.status.code(), Some(0), "{text}");
    let output = fixture.xtask(&["--only", "test", "--json"]).env("CI", "true").output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["steps"][0]["not_run"][0]["why"], "not on this machine");
    assert_eq!(output.status.code(), Some(5), "what is not run in CI is no success");
}

#[test]
fn a_failed_test_is_shown_and_counted() {
    let fixture = Fixture::new("bad");
    let output = fixture.xtask(&["--only", "test"]).env("FIXTURE_BAD", "1").output().unwrap();
    let text = text(&output);
    assert!(text.ends_with("\n1 skipped\n3 passed, 1 failed\n"), "{text}");
    assert!(
        text.contains("bad on purpose") && text.contains("FAILED   test: busway-cli (it): b_bad"),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_build_that_fails_is_a_failure() {
    let fixture = Fixture::new("broken");
    fs::write(fixture.0.join("crates/busway-cli/src/main.rs"), "fn main() { broken }").unwrap();
    let output = fixture.xtask(&["--only", "build", "test"]).output().unwrap();
    let text = text(&output);
    assert!(text.ends_with("\n1 skipped\n0 passed, 1 failed\n"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_run_that_is_stopped_names_what_hung() {
    let fixture = Fixture::new("hung");
    // Built before, so that the stop comes in the test.
    assert!(fixture.xtask(&["--only", "build"]).output().unwrap().status.success());
    let mut command = fixture.xtask(&["--only", "test", "examples"]);
    let child = command.env("FIXTURE_HANG", "1").stdout(Stdio::piped()).spawn().unwrap();
    until(|| log_has(&fixture.logs(), "e_knows_the_program ... ok"));
    signal("TERM", child.id());
    let output = child.wait_with_output().unwrap();
    let text = text(&output);
    assert!(text.contains("stopped by SIGTERM; running were: d_hangs"), "{text}");
    assert!(text.contains("NOT RUN  examples: the whole step: stopped by SIGTERM"), "{text}");
    assert!(last_line(&text).ends_with(" passed, 1 failed"), "{text}");
    assert_eq!(output.status.code(), Some(130));
}

#[test]
fn a_signal_that_is_ignored_stops_nothing() {
    let fixture = Fixture::new("nohup");
    let mut ignoring = Command::new("sh");
    ignoring.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_xtask")]);
    let mut command = fixture.xtask_by(ignoring, &["--only", "test"]);
    let child = command.env("FIXTURE_HANG", "1").stdout(Stdio::piped()).spawn().unwrap();
    until(|| log_has(&fixture.logs(), "e_knows_the_program ... ok"));
    signal("HUP", child.id());
    signal("TERM", child.id());
    let text = text(&child.wait_with_output().unwrap());
    assert!(text.contains("stopped by SIGTERM"), "{text}");
}

#[test]
fn a_run_that_cannot_begin_closes_with_its_count() {
    let fixture = Fixture::new("unreadable");
    fs::write(fixture.0.join("Cargo.toml"), "no workspace").unwrap();
    let output = fixture.xtask(&[]).output().unwrap();
    let text = text(&output);
    assert!(text.contains("FAILED   xtask: "), "{text}");
    assert_eq!(last_line(&text), "0 passed, 1 failed", "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_run_ends_by_itself() {
    let fixture = Fixture::new("time");
    let output = fixture.xtask(&["--stop-after", "0"]).output().unwrap();
    let text = text(&output);
    assert!(text.ends_with("\n8 skipped\n0 passed, 1 failed\n"), "{text}");
    assert_eq!(output.status.code(), Some(1), "{text}");
}

/// By the shell, which has it built in where the program `kill` is absent.
fn signal(name: &str, process: u32) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status().unwrap();
    assert!(status.success(), "{status}");
}

fn log_has(logs: &Path, wanted: &str) -> bool {
    fs::read_to_string(logs.join("busway-cli-it.log")).is_ok_and(|text| text.contains(wanted))
}

fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !condition() {
        assert!(Instant::now() < deadline, "the condition did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}
