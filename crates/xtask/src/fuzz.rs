//! `cargo xtask fuzz`: the targets of `fuzz/` under libFuzzer, for as long as is asked.
//!
//! libFuzzer comes with a crate that builds it from source; the coverage that leads it is compiled in by the
//! pinned toolchain. So nothing has to be installed but a C++ compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Verdict;
use crate::workspace::{self, Metadata};

/// What is asked for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// The targets; all where there are none.
    pub(crate) targets: Vec<String>,
    /// How long each is run, in seconds.
    pub(crate) seconds: u32,
}

/// How long each target is run where nothing is said.
pub(crate) const SECONDS: u32 = 60;

/// What tells libFuzzer which code an input reaches, without a sanitizer, which would need a nightly toolchain.
const COVERAGE: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Bounds of one input: bytes, seconds, and MiB of the whole process.
const BOUNDS: [&str; 3] = ["-max_len=16384", "-timeout=20", "-rss_limit_mb=2048"];

/// The task: builds the program and runs each target; what was found is said at the end.
pub(crate) fn run(options: &Options) -> Result<Verdict, String> {
    let root = workspace::root()?;
    let folder = Metadata::load_members(&root)?.target_directory.join("fuzz");
    let program = build(&root, &folder)?;
    let known = names(&program)?;
    if let Some(unknown) = options.targets.iter().find(|name| !known.contains(name)) {
        return Err(format!("there is no target {unknown}; there are {}", known.join(", ")));
    }
    let mut failed = Vec::new();
    for name in if options.targets.is_empty() { &known } else { &options.targets } {
        println!("fuzz: {name} for {} s", options.seconds);
        if !run_target(&program, &folder, name, options.seconds)? {
            failed.push(name.as_str());
        }
    }
    if failed.is_empty() {
        println!("fuzz: nothing found");
        return Ok(Verdict::Done);
    }
    for name in &failed {
        let found = folder.join("found").join(name);
        println!("fuzz: {name}: keep what lies in {} as fuzz/regressions/{name}/WHAT", found.display());
    }
    Ok(Verdict::Failed)
}

fn build(root: &Path, folder: &Path) -> Result<PathBuf, String> {
    // With a target named, build scripts and macros are built without the coverage, which they could not link.
    let host = host()?;
    let mut command = workspace::cargo(&root.join("fuzz/libfuzzer"));
    command.args(["build", "--release", "--locked", "--target", &host, "--target-dir"]).arg(folder);
    command.env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\u{1f}"));
    let status = command.status().map_err(|error| format!("cargo could not be started: {error}"))?;
    if !status.success() {
        return Err(format!("cargo build: {status}; libFuzzer needs a C++ compiler"));
    }
    Ok(folder.join(host).join("release/busway-libfuzzer"))
}

fn host() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output().map_err(|error| format!("rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc -vV does not name its host".to_owned())
}

fn names(program: &Path) -> Result<Vec<String>, String> {
    let output = Command::new(program).env("BUSWAY_FUZZ_LIST", "1").output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

/// Runs one target; whether nothing was found.
fn run_target(program: &Path, folder: &Path, name: &str, seconds: u32) -> Result<bool, String> {
    let [corpus, seeds, found] = ["corpus", "seeds", "found"].map(|part| folder.join(part).join(name));
    for folder in [&corpus, &found] {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let mut command = Command::new(program);
    command.env("BUSWAY_FUZZ_TARGET", name).env("BUSWAY_FUZZ_SEEDS", &seeds).stdin(Stdio::null());
    command.args(BOUNDS).arg("-print_final_stats=1").arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-artifact_prefix={}/", found.display())).args([&corpus, &seeds]);
    let status = command.status().map_err(|error| format!("{}: {error}", program.display()))?;
    Ok(status.success())
}
