//! `cargo xtask bench`: builds the program of the benches and `busway` as they are released, and runs
//! the former.

use std::ffi::OsString;
use std::process::Command;

use crate::Verdict;
use crate::workspace::{self, Metadata};

const PACKAGE: &str = "busway-benches";
/// What is measured as a program, and the variable that tells the benches where it is.
const MEASURED: (&str, &str, &str) = ("busway-cli", "busway", "BUSWAY_BIN");

/// Hands all arguments on; the program's exit code becomes the task's.
pub(crate) fn run(arguments: &[OsString]) -> Result<Verdict, String> {
    let root = workspace::root()?;
    let target = Metadata::load_members(&root)?.target_directory;
    let built = workspace::cargo(&root)
        .args(["build", "--release", "--locked", "--quiet", "--package", PACKAGE, "--package", MEASURED.0])
        .status()
        .map_err(|error| format!("cargo build could not be started: {error}"))?;
    if !built.success() {
        return Err(format!("cargo build of {PACKAGE} failed: {built}"));
    }
    let program = target.join("release").join(PACKAGE);
    // In the build's folder, so that stores lie on the disk at hand; a later --dir outranks it.
    let ended = Command::new(&program)
        .arg("--dir")
        .arg(target.join("bench"))
        .args(arguments)
        .env(MEASURED.2, target.join("release").join(MEASURED.1))
        .current_dir(&root)
        .status()
        .map_err(|error| format!("{} could not be started: {error}", program.display()))?;
    // Without a code it was ended by a signal.
    Ok(ended.code().and_then(|code| u8::try_from(code).ok()).map_or(Verdict::Interrupted, Verdict::Code))
}
