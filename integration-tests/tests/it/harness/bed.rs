//! A folder with a configuration, and the program run in it.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;
use tempfile::TempDir;

use super::{Daemon, within};

/// How long a verb may take.
const VERB_LIMIT: Duration = Duration::from_secs(60);

const BUS: &str = r#"
[bus]
name = "shop"
transport = "local"
state = "sqlite:var/state.db"
[transports.local]
kind = "embedded"
path = "var/queues"
"#;

/// A free port each time, so that tests do not meet.
const HTTP: &str = "
[http]
listen = \"127.0.0.1:0\"
";

/// Where a bus lives while a test runs.
pub(crate) struct Bed {
    folder: TempDir,
}

impl Bed {
    /// A bus of the embedded transport with an HTTP interface, and `rest` as the further configuration.
    pub(crate) fn new(rest: &str) -> Self {
        let bed = Self { folder: tempfile::tempdir().unwrap() };
        bed.configure(rest);
        bed
    }

    /// Writes another configuration in its place.
    pub(crate) fn configure(&self, rest: &str) {
        self.configure_whole(&format!("{BUS}{HTTP}{rest}"));
    }

    /// Writes a configuration with nothing added.
    pub(crate) fn configure_whole(&self, text: &str) {
        fs::write(self.path("busway.toml"), text).unwrap();
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the daemon and waits until it is ready.
    pub(crate) fn start(&self) -> Daemon {
        Daemon::start(self, &[])
    }

    /// The same with further arguments.
    pub(crate) fn start_with(&self, arguments: &[&str]) -> Daemon {
        Daemon::start(self, arguments)
    }

    /// Runs a verb to its end.
    pub(crate) fn verb(&self, arguments: &[&str]) -> Answer {
        self.verb_reading(arguments, "")
    }

    /// Runs a verb with something on its standard input.
    pub(crate) fn verb_reading(&self, arguments: &[&str], input: &str) -> Answer {
        self.begin(arguments, input).end()
    }

    /// Runs a verb that must succeed, and reads its answer as JSON.
    #[track_caller]
    pub(crate) fn ask(&self, arguments: &[&str]) -> Value {
        let answer = self.verb(&[arguments, &["--json"]].concat());
        assert_eq!(answer.code, 0, "{arguments:?}: {answer:?}");
        answer.json()
    }

    /// Begins a verb.
    pub(crate) fn begin(&self, arguments: &[&str], input: &str) -> Verb {
        let (out, errors) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(out.try_clone().unwrap()).stderr(errors.try_clone().unwrap());
        let mut child = command.spawn().unwrap();
        let mut given = child.stdin.take().unwrap();
        // A verb that reads nothing may have gone already.
        given.write_all(input.as_bytes()).ok();
        Verb { child, out, errors, arguments: format!("{arguments:?}") }
    }

    /// The program in the folder, with nothing of this process's own configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.current_dir(self.folder.path()).args(arguments);
        for (name, _) in std::env::vars_os() {
            let ours = name.to_str().is_some_and(|name| name.starts_with("BUSWAY"));
            if ours || name == "NOTIFY_SOCKET" {
                command.env_remove(name);
            }
        }
        command
    }
}

/// The program under test.
///
/// # Panics
/// Where there is none.
pub(crate) fn program() -> PathBuf {
    const ADVICE: &str = "run the tests by `cargo xtask test`, or build the program by `cargo build -p busway-cli` \
                          and name it by BUSWAY_BIN";
    if let Some(named) = std::env::var_os("BUSWAY_BIN") {
        let named = PathBuf::from(named);
        assert!(named.is_file(), "BUSWAY_BIN names {}, which is no file: {ADVICE}", named.display());
        return named;
    }
    // This binary is at target/debug/deps.
    let own = std::env::current_exe().unwrap();
    let built = own.ancestors().nth(2).map(|folder| folder.join("busway")).filter(|path| path.is_file());
    built.unwrap_or_else(|| panic!("there is no program `busway`: {ADVICE}"))
}

/// A verb that runs; killed when dropped.
pub(crate) struct Verb {
    child: Child,
    out: File,
    errors: File,
    arguments: String,
}

impl Verb {
    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// Where it does not end in time or was killed by a signal.
    #[track_caller]
    pub(crate) fn end(mut self) -> Answer {
        let begun = Instant::now();
        let status = within(VERB_LIMIT, &self.arguments, || self.child.try_wait().unwrap());
        let [out, errors] = [&self.out, &self.errors].map(read_whole);
        let code = status.code().unwrap_or_else(|| panic!("{}: {status}: {errors}", self.arguments));
        Answer { code, out, errors, took: begun.elapsed() }
    }
}

impl Verb {
    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        let id = Pid::from_child(&self.child);
        let looked =
            waitid(WaitId::Pid(id), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT);
        looked.unwrap().is_some()
    }

    /// Kills it with -9; whether it had not ended by itself before.
    pub(crate) fn kill(mut self) -> bool {
        self.child.kill().unwrap();
        self.child.wait().unwrap().signal() == Some(9)
    }

    /// Interrupts it as by Ctrl-C and waits for its end.
    #[track_caller]
    pub(crate) fn interrupt(self) -> Answer {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        self.end()
    }
}

impl Drop for Verb {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// Reads a file that another process wrote through the same description.
fn read_whole(file: &File) -> String {
    use std::os::unix::fs::FileExt;
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a verb answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its exit code.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) errors: String,
    /// From the first look to its end.
    pub(crate) took: Duration,
}

impl Answer {
    /// Standard output as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts the exit code, and that standard error says each of the words.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.errors.contains(word), "{word:?} is not said: {self:?}");
        }
    }
}
