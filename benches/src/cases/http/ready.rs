//! From the start of the program to its readiness, on an empty store.

use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::{Bench, Latency, Limit, Measure, Run, Stopwatch};

/// Names the program to start.
const PROGRAM: &str = "BUSWAY_BIN";
const MOST_MS: f64 = 200.0;
const READY_WITHIN: Duration = Duration::from_secs(60);

const CONFIG: &str = r#"
[bus]
name = "bench"
transport = "local"
state = "sqlite:state.db"
[transports.local]
kind = "embedded"
path = "queues"
[http]
listen = "127.0.0.1:0"
[endpoints.inventory]
kind = "http"
url = "http://127.0.0.1:9/rpc/items"
[[routes]]
type = ["item.*"]
to = ["inventory"]
"#;

pub(super) fn run(bench: &mut Bench<'_>) -> Result<()> {
    let Some(program) = std::env::var_os(PROGRAM) else {
        eprintln!("http: ready: NOT RUN: {PROGRAM} names no program");
        return Ok(());
    };
    let measure = Measure::alone("ready", "busway run, from exec to READY=1")
        .durable()
        .limit(Limit::P99Milliseconds(MOST_MS))
        .notes(
            "an empty directory each time: the store and the state are made and synced; one endpoint, HTTP",
        );
    let scratch = bench.scratch()?;
    bench.measure(&measure, |_| {
        let directory = tempfile::TempDir::new_in(scratch.path())?;
        start(Path::new(&program), directory.path())
    })
}

fn start(program: &Path, directory: &Path) -> Result<Run> {
    std::fs::File::create(directory.join("busway.toml"))?.write_all(CONFIG.as_bytes())?;
    // Named by a short path of its own: a socket's name has little room.
    let sockets = tempfile::tempdir()?;
    let path = sockets.path().join("notify");
    let notify = UnixDatagram::bind(&path)?;
    notify.set_read_timeout(Some(READY_WITHIN))?;
    let watch = Stopwatch::start();
    let mut child = Command::new(program)
        .arg("run")
        .current_dir(directory)
        .env("NOTIFY_SOCKET", &path)
        .env_remove("BUSWAY_CONFIG")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| program.display().to_string())?;
    let ready = until_ready(&notify);
    let run = watch.stop(1);
    stop(&mut child)?;
    ready.context("it did not become ready")?;
    let mut latency = Latency::default();
    latency.record(run.elapsed);
    Ok(run.latency(latency))
}

fn until_ready(notify: &UnixDatagram) -> Result<()> {
    let mut told = [0; 4096];
    loop {
        let length = notify.recv(&mut told)?;
        if String::from_utf8_lossy(&told[..length]).lines().any(|line| line == "READY=1") {
            return Ok(());
        }
    }
}

fn stop(child: &mut Child) -> Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
    kill_process(pid, Signal::TERM)?;
    let ended = child.wait()?;
    ensure!(ended.success(), "the stop was not in order: {ended}");
    Ok(())
}
