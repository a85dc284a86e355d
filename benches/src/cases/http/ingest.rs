//! Single events in over HTTP: each is answered once it is durable.

use std::path::Path;

use anyhow::{Context, Result};
use busway::config::{Config, Transport};
use busway::holder::{Holder, OpenOptions, Purpose};
use busway_http::{Aids, HttpConfig, HttpServer};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::append::Append;
use super::load::Connection;
use super::threads::Thread;
use super::{BODY_BYTES, CONNECTIONS};
use crate::{Bench, Limit, Measure, Pace, Run, Side, open_loop};

const MESSAGES: u64 = 20_000;
/// How long an open loop lasts.
const SECONDS: f64 = 1.0;
const LEAST_RATE: f64 = 20_000.0;
/// The most that an event may take at half load, in syncs.
const SYNCS: f64 = 3.0;
/// Runs that tell what half of the load is where the closed loop is not measured.
const PROBES: usize = 3;
const SUBJECT: &str = "POST /v1/messages, binary mode, on the embedded store";
const TWIN: &str = "hyper server that appends to one file, one write and fdatasync a group";

pub(super) fn run(bench: &mut Bench<'_>) -> Result<()> {
    let load = Load {
        runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        scratch: bench.scratch()?,
    };
    let pace = Pace { rate: f64::INFINITY, messages: bench.scale(MESSAGES).max(CONNECTIONS as u64) };
    let measure = Measure::new("ingest-closed", SUBJECT, TWIN)
        .body_bytes(BODY_BYTES as u64)
        .durable()
        .limit(Limit::Rate(LEAST_RATE))
        .notes("64 connections, one event a request; the thread of the load is not counted as CPU");
    let mut rates = Vec::new();
    bench.measure(&measure, |side| {
        let run = Run { latency: None, syncs: None, ..load.run(side, pace)? };
        if side == Side::Subject {
            rates.push(run.rate());
        }
        Ok(run)
    })?;
    half_load(bench, &load, "ingest-10k", LEAST_RATE / 2.0, "half of what is asked for")?;
    if !bench.wants("ingest-half-load") {
        return Ok(());
    }
    while rates.len() < PROBES {
        rates.push(load.run(Side::Subject, pace)?.rate());
    }
    let full = crate::pairs::spread(&rates).context("no run")?.median;
    half_load(bench, &load, "ingest-half-load", full / 2.0, "half of what 64 connections get through")
}

fn half_load(bench: &mut Bench<'_>, load: &Load, name: &str, rate: f64, which: &str) -> Result<()> {
    let pace = Pace { rate, messages: bench.scale((rate * SECONDS) as u64) };
    let notes = format!(
        "open loop at {rate:.0}/s, {which}, at random times, from the moment each event was meant to be sent; the \
         thread of the load is not counted as CPU"
    );
    let measure = Measure::new(name, SUBJECT, TWIN)
        .body_bytes(BODY_BYTES as u64)
        .durable()
        .limit(Limit::P99Syncs(SYNCS))
        .notes(notes);
    bench.measure(&measure, |side| load.run(side, pace))
}

/// What runs are made with.
struct Load {
    runtime: Runtime,
    scratch: TempDir,
}

impl Load {
    /// Sends to a new server; what it holds after that is counted.
    fn run(&self, side: Side, pace: Pace) -> Result<Run> {
        let target = Target::start(side, &self.scratch)?;
        let mut connections = Connection::open_all(target.address())?;
        let thread = Thread::current();
        let before = thread.cpu();
        let mut run = open_loop(&mut connections, pace)?;
        run.cpu = run.cpu.saturating_sub(thread.cpu().saturating_sub(before));
        run.syncs = target.syncs();
        let (answered, stored) = (run.messages - run.lost, target.stored(&self.runtime)?);
        let lost = run.lost + answered.saturating_sub(stored);
        Ok(run.counted(lost, stored.saturating_sub(pace.messages)))
    }
}

/// A server with a store of its own, gone when dropped.
enum Target {
    Busway { http: HttpServer, holder: Holder, _store: TempDir },
    Twin { server: Append, _store: TempDir },
}

impl Target {
    fn start(side: Side, scratch: &TempDir) -> Result<Self> {
        let store = TempDir::new_in(scratch.path())?;
        Ok(match side {
            Side::Twin => Self::Twin { server: Append::start(store.path())?, _store: store },
            Side::Subject => {
                let holder = hold(store.path())?;
                let config = HttpConfig::new(([127, 0, 0, 1], 0).into());
                let http = HttpServer::start(config, holder.admin(), Aids::default())?;
                Self::Busway { http, holder, _store: store }
            }
        })
    }

    fn address(&self) -> std::net::SocketAddr {
        match self {
            Self::Busway { http, .. } => http.addr(),
            Self::Twin { server, .. } => server.address,
        }
    }

    fn stored(&self, runtime: &Runtime) -> Result<u64> {
        match self {
            Self::Busway { holder, .. } => {
                let report = runtime.block_on(holder.admin().queues())?;
                let priority = report.queues.iter().find(|row| row.queue == "priority");
                priority.and_then(|row| row.ready).context("the store does not tell what it holds")
            }
            Self::Twin { server, .. } => Ok(server.stored()),
        }
    }

    fn syncs(&self) -> Option<crate::Latency> {
        match self {
            Self::Busway { .. } => None,
            Self::Twin { server, .. } => Some(server.syncs()),
        }
    }
}

/// A bus that takes in and delivers nothing, so that what is measured is the way in.
fn hold(directory: &Path) -> Result<Holder> {
    let mut config = Config::named("bench");
    config.transports.insert("local".to_owned(), Transport::embedded(directory.join("queues")));
    config.bus.transport = "local".to_owned();
    config.bus.state = format!("sqlite:{}", directory.join("state.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(Holder::open(&config, Purpose::Look, OpenOptions::default()))?)
}
