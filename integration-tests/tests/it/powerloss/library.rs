//! The preloaded library of `powerloss/`: built here, and put in front of programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const SOURCES: [&str; 5] = ["model.c", "disk.c", "cut.c", "carry.c", "intercept.c"];
/// Exit codes of the library, see its README.
const CUT: i32 = 137;
const BROKEN: i32 = 138;

/// What a sync is worth.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fsync {
    /// It does what it promises.
    Works,
    /// It succeeds and makes nothing durable.
    Nothing,
    /// It makes content durable, names not.
    NoNames,
}

/// A power cut to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// The moment, counted in calls that change files; `None` lets the program end by itself.
    pub at: Option<u64>,
    /// Chooses what survives.
    pub seed: u64,
    /// What fsync makes durable.
    pub fsync: Fsync,
    /// The process alone is killed: files stay as they are, durable or not, for the next one.
    pub kill: bool,
}

/// How a program under the library ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// What it said, in whole lines.
    pub said: Vec<String>,
    /// The number of its moments, where no cut came.
    pub moments: Option<u64>,
}

/// Runs the program, with the folder as the disk that loses its power.
///
/// # Panics
/// Where the program failed for another reason than the cut, or did what the library has no model of.
pub(super) fn run(program: &str, arguments: &[impl AsRef<std::ffi::OsStr>], disk: &Path, cut: Cut) -> Ended {
    let report = disk.with_extension("moments");
    let output = Command::new(program)
        .args(arguments)
        .env("LD_PRELOAD", built())
        .env("POWERLOSS_ROOT", disk)
        .env("POWERLOSS_SEED", cut.seed.to_string())
        .env("POWERLOSS_AT", cut.at.unwrap_or(0).to_string())
        .env("POWERLOSS_FSYNC_NOOP", (cut.fsync as u8).to_string())
        .env("POWERLOSS_FSYNC_US", "300")
        .env("POWERLOSS_KILL", if cut.kill { "1" } else { "0" })
        .env("POWERLOSS_STATE", disk.with_extension("state"))
        .env("POWERLOSS_REPORT", &report)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let moments = match output.status.code() {
        Some(CUT) => None,
        Some(0) => Some(std::fs::read_to_string(&report).unwrap().trim().parse().unwrap()),
        Some(BROKEN) => panic!("{cut:?}: the library has no model of it: {errors}"),
        _ => panic!("{cut:?}: {program} failed: {}: {errors}", output.status),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    // A line without its end may be torn.
    let said = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    Ended { said: said.map(|line| line.trim_end().to_owned()).collect(), moments }
}

/// The library, compiled once.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        std::fs::create_dir_all(folder).unwrap();
        let library = folder.join(format!("powerloss-{}.so", std::process::id()));
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("powerloss");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-pthread", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(&library)
            .args(SOURCES.map(|source| sources.join(source)))
            .output()
            .unwrap();
        assert!(compiled.status.success(), "cc: {}", String::from_utf8_lossy(&compiled.stderr));
        library
    })
}
