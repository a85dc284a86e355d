//! Single events in over HTTP: each is answered once it is durable.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use busway::config::{Config, Transport};
use busway::holder::{Holder, OpenOptions, Purpose};
use busway_http::{HttpConfig, HttpServer};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::append::Append;
use super::load::{Connection, closed_loop};
use super::{BODY_BYTES, CONNECTIONS};
use crate::{Bench, Limit, Measure, Pace, Run, Side, Stopwatch, open_loop};

const MESSAGES: u64 = 20_000;
/// Messages of an open loop, about a second of them.
const SECONDS: f64 = 1.0;
const LEAST_RATE: f64 = 20_000.0;
/// The most that an event may take at half load, in syncs.
const SYNCS: f64 = 3.0;
const SUBJECT: &str = "POST /v1/messages, binary mode, on the embedded store";
const TWIN: &str = "hyper server that appends to one file, one write and fdatasync a group";

pub(super) fn run(bench: &mut Bench<'_>) -> Result<()> {
    let load = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let messages = bench.scale(MESSAGES).max(CONNECTIONS as u64);
    let scratch = bench.scratch()?;
    let measure = Measure::new("ingest-closed", SUBJECT, TWIN)
        .body_bytes(BODY_BYTES as u64)
        .durable()
        .limit(Limit::Rate(LEAST_RATE))
        .notes("64 connections, one event a request; CPU is that of server and load together");
    let mut rates = Vec::new();
    bench.measure(&measure, |side| {
        let run = closed(&load, side, &scratch, messages)?;
        if side == Side::Subject {
            rates.push(run.rate());
        }
        Ok(run)
    })?;
    let full = crate::pairs::spread(&rates).context("no run")?.median;
    half_load(bench, &load, &scratch, full / 2.0)
}

fn half_load(bench: &mut Bench<'_>, load: &Runtime, scratch: &TempDir, rate: f64) -> Result<()> {
    let pace = Pace { rate, messages: bench.scale((rate * SECONDS) as u64) };
    let syncs = {
        let twin = Target::start(Side::Twin, scratch)?;
        open(load, &twin, pace)?;
        twin.syncs().context("the twin counts its syncs")?.percentiles()
    };
    let notes = format!(
        "open loop at {rate:.0}/s, half of what 64 connections get through, from the moment each event was meant to \
         be sent; the limit is 3 times the p99 of the twin's fdatasync at this pace: p50 {:.3} ms, p99 {:.3} ms",
        syncs.p50, syncs.p99
    );
    let measure = Measure::new("ingest-half-load", SUBJECT, TWIN)
        .body_bytes(BODY_BYTES as u64)
        .durable()
        .limit(Limit::P99Milliseconds(SYNCS * syncs.p99))
        .notes(notes);
    bench.measure(&measure, |side| {
        let target = Target::start(side, scratch)?;
        let run = open(load, &target, pace)?;
        let lost = (run.messages - run.lost).saturating_sub(target.stored(load)?);
        let lost = run.lost + lost;
        Ok(run.counted(lost, 0))
    })
}

fn closed(load: &Runtime, side: Side, scratch: &TempDir, messages: u64) -> Result<Run> {
    let target = Target::start(side, scratch)?;
    let connections = load.block_on(Connection::open_all(target.address()))?;
    let watch = Stopwatch::start();
    load.block_on(closed_loop(connections, messages))?;
    let run = watch.stop(messages);
    let stored = target.stored(load)?;
    Ok(run.counted(messages.saturating_sub(stored), stored.saturating_sub(messages)))
}

/// An event that finds no connection free waits for one, and its time runs.
fn open(load: &Runtime, target: &Target, pace: Pace) -> Result<Run> {
    let connections = load.block_on(Connection::open_all(target.address()))?;
    let (free, idle) = (Arc::new(Semaphore::new(CONNECTIONS)), Arc::new(Mutex::new(connections)));
    Ok(open_loop(load.handle(), pace, |_| {
        let (free, idle) = (Arc::clone(&free), Arc::clone(&idle));
        async move {
            let Ok(_place) = free.acquire().await else { return false };
            let taken = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut connection) = taken else { return false };
            let sent = connection.send().await;
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            sent.inspect_err(|error| eprintln!("http: {error:#}")).is_ok()
        }
    }))
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
                let http = HttpServer::start(config, holder.admin(), None)?;
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
