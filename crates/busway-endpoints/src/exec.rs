//! Delivers to a program: one run a message, the payload on its standard input, the attributes in
//! its environment.
//!
//! | it ends with | the delivery |
//! |---|---|
//! | 0 | has succeeded, whether the program read its input or not |
//! | 65 (`EX_DATAERR`) | is never tried again, class `exit-65` |
//! | N, such as 75 (`EX_TEMPFAIL`) | is tried again, class `exit-N` |
//! | signal N | is tried again, class `signal-N` |
//! | the time limit | is tried again, class `timeout`; its process group was killed |
//! | nothing: it cannot be started | is tried again, class `spawn` |

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use busway_core::{Delivery, DeliveryError, Endpoint, Error, ErrorKind, Message, Result, envelope};
use percent_encoding::percent_decode_str;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio::time::timeout;

/// `EX_DATAERR` of sysexits.
const DATA_ERROR: i32 = 65;
/// The longest variable that Linux passes to a program, less room for its name.
const MAX_VALUE_BYTES: usize = 127 * 1024;
/// How much is kept of the end of what a program writes to standard error.
const TAIL_BYTES: usize = 1024;
/// How long standard error is read after the program has ended; others may hold it open.
const TAIL_WAIT: Duration = Duration::from_millis(50);
/// Where programs are looked for if this process has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The settings of an [`ExecEndpoint`].
#[derive(Clone)]
pub struct ExecConfig {
    /// The endpoint's name, for messages about it.
    pub name: String,
    /// The program; looked for along `PATH` where it has no `/`.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment beside `PATH` and the message's attributes.
    pub env: Vec<(String, String)>,
    /// The directory it runs in; this process's where there is none.
    pub directory: Option<PathBuf>,
    /// How long a run may take.
    pub timeout: Duration,
}

impl ExecConfig {
    /// A program without arguments; 15 s a run.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            directory: None,
            timeout: Duration::from_secs(15),
        }
    }
}

impl fmt::Debug for ExecConfig {
    /// Leaves out arguments and the environment's values: either may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecConfig")
            .field("name", &self.name)
            .field("program", &self.program)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Runs a program for each delivery.
///
/// Each attribute is a variable: `CE_` and its name in capitals, such as `CE_ID`, `CE_TYPE`,
/// `CE_ACCOUNT`. Standard output is discarded; the end of standard error is logged at debug level
/// if the run failed. A delivery that is cancelled kills the program and its process group.
#[derive(Debug)]
pub struct ExecEndpoint {
    config: ExecConfig,
    path: OsString,
}

impl ExecEndpoint {
    /// An endpoint by its settings; nothing is run yet.
    ///
    /// # Errors
    /// `Configuration` where there is no program, or where something holds a NUL character.
    pub fn new(config: ExecConfig) -> Result<Self> {
        let wrong = |key: &str, detail: String| {
            Error::new("configure", ErrorKind::Configuration, detail)
                .at(format!("endpoints.{}.{key}", config.name))
        };
        let program = config.program.as_os_str().as_encoded_bytes();
        if program.is_empty() || program.contains(&0) {
            return Err(wrong("program", format!("{:?} is no program", config.program)));
        }
        if config.args.iter().any(|argument| argument.contains('\0')) {
            return Err(wrong("args", "an argument holds a NUL character".to_owned()));
        }
        for (name, value) in &config.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return Err(wrong("env", format!("{name:?} cannot be set")));
            }
        }
        let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
        Ok(Self { config, path })
    }

    async fn run(&self, message: &Message) -> Result<(), DeliveryError> {
        let mut child = self.spawn(message)?;
        let mut group = Group::of(&child);
        let run = finish(&mut child, &mut group, &message.data);
        let Ok((status, text)) = timeout(self.config.timeout, run).await else {
            drop(group);
            let detail = format!("{}: over {:?}; it was killed", self.config.name, self.config.timeout);
            return Err(DeliveryError::retry("timeout", detail).overload());
        };
        let result = status.map_err(|e| self.failed("wait", &e.to_string())).and_then(|s| self.outcome(s));
        if let Err(e) = &result {
            tracing::debug!(
                endpoint = self.config.name,
                class = &*e.class,
                stderr_bytes = text.len(),
                "the program failed"
            );
        }
        result
    }

    fn spawn(&self, message: &Message) -> Result<Child, DeliveryError> {
        let config = &self.config;
        let mut command = Command::new(&config.program);
        command
            .args(&config.args)
            .env_clear()
            .env("PATH", &self.path)
            .envs(config.env.iter().map(|(name, value)| (name, value)))
            .envs(variables(message)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(directory) = &config.directory {
            command.current_dir(directory);
        }
        command.spawn().map_err(|e| {
            let error = self.failed("spawn", &format!("{} cannot be started: {e}", config.program.display()));
            let short = matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory);
            if short { error.overload() } else { error }
        })
    }

    fn outcome(&self, status: ExitStatus) -> Result<(), DeliveryError> {
        match (status.code(), status.signal()) {
            (Some(0), _) => Ok(()),
            (Some(DATA_ERROR), _) => {
                let detail = format!("{}: the program refuses the message", self.config.name);
                Err(DeliveryError::reject("exit-65", detail))
            }
            (Some(code), _) => Err(self.failed(&format!("exit-{code}"), "the program failed")),
            (None, Some(signal)) => Err(self.failed(&format!("signal-{signal}"), "the program was killed")),
            (None, None) => Err(self.failed("wait", "the program's end is not known")),
        }
    }

    fn failed(&self, class: &str, detail: &str) -> DeliveryError {
        DeliveryError::retry(class, format!("{}: {detail}", self.config.name))
    }

    /// The file that a run would execute.
    fn find(&self) -> Option<PathBuf> {
        use rustix::fs::{Access, access};
        let runs = |path: &Path| path.is_file() && access(path, Access::EXEC_OK).is_ok();
        let program = &self.config.program;
        if program.as_os_str().as_encoded_bytes().contains(&b'/') {
            let from = self.config.directory.clone().unwrap_or_default().join(program);
            return Some(from).filter(|path| runs(path));
        }
        std::env::split_paths(&self.path).map(|directory| directory.join(program)).find(|path| runs(path))
    }
}

#[async_trait]
impl Endpoint for ExecEndpoint {
    fn kind(&self) -> &'static str {
        "exec"
    }

    async fn deliver(&self, batch: Vec<Delivery>) -> Vec<Result<(), DeliveryError>> {
        let mut answers = Vec::with_capacity(batch.len());
        for delivery in batch {
            answers.push(self.run(&delivery.message).await);
        }
        answers
    }

    async fn test(&self) -> Result<String, DeliveryError> {
        match self.find() {
            Some(path) => Ok(format!("{} can be run; it was not", path.display())),
            None => {
                let detail = format!("{} is no program that can be run", self.config.program.display());
                Err(self.failed("spawn", &detail))
            }
        }
    }

    async fn close(&self) {}
}

/// The attributes as variables.
fn variables(message: &Message) -> Result<BTreeMap<String, String>, DeliveryError> {
    let mut variables = BTreeMap::new();
    for (header, value) in envelope::http::encode(message) {
        if let Some(name) = header.strip_prefix("ce-") {
            let value = percent_decode_str(&value).decode_utf8_lossy().into_owned();
            variables.insert(format!("CE_{}", name.to_ascii_uppercase()), value);
        }
    }
    let content_type = message.content_type_or_default().to_owned();
    variables.insert("CE_DATACONTENTTYPE".to_owned(), content_type);
    for (name, value) in &variables {
        if name.contains(['=', '\0']) || value.contains('\0') || value.len() > MAX_VALUE_BYTES {
            let detail = format!("{name:?} cannot be passed in an environment");
            return Err(DeliveryError::reject("attributes", detail));
        }
    }
    Ok(variables)
}

/// Waits for the program's end, attending to its input and its errors. Returns the end of the
/// latter.
async fn finish(child: &mut Child, group: &mut Group, data: &[u8]) -> (io::Result<ExitStatus>, String) {
    let (input, errors) = (child.stdin.take(), child.stderr.take());
    let mut text = Vec::new();
    let status = {
        let mut pipes = pin!(async { tokio::join!(feed(input, data), tail(errors, &mut text)) });
        tokio::select! {
            status = child.wait() => {
                group.ended();
                if timeout(TAIL_WAIT, pipes).await.is_err() {
                    tracing::trace!("a program ended while others hold its pipes");
                }
                status
            }
            _ = &mut pipes => {
                let status = child.wait().await;
                group.ended();
                status
            }
        }
    };
    (status, String::from_utf8_lossy(&text).into_owned())
}

/// Writes the payload and closes the input. A program need not read it.
async fn feed(input: Option<ChildStdin>, data: &[u8]) {
    if let Some(mut input) = input
        && let Err(e) = input.write_all(data).await
    {
        tracing::trace!(error = %e, "a program left its input unread");
    }
}

/// Reads to the end, keeping the last bytes.
async fn tail(errors: Option<ChildStderr>, text: &mut Vec<u8>) {
    let Some(mut errors) = errors else { return };
    let mut buffer = [0; TAIL_BYTES];
    while let Ok(count @ 1..) = errors.read(&mut buffer).await {
        text.extend_from_slice(&buffer[..count]);
        text.drain(..text.len().saturating_sub(TAIL_BYTES));
    }
}

/// A program's process group, killed with the value unless the program has ended.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// The program has ended by itself; what it left running goes on.
    fn ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0
            && let Err(e) = kill_process_group(group, Signal::KILL)
        {
            tracing::debug!(error = %e, "a process group was not killed");
        }
    }
}
