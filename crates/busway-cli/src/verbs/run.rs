//! `run`, and `run --once`.

use std::time::Duration;

use busway::config::Config;
use busway::core::admin::{OnceReport, OnceRequest};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Scope, notify};
use crate::cli::Run;
use crate::client::{self, Daemon};
use crate::exit::{Failure, Outcome};
use crate::output;

const MINUTE: Duration = Duration::from_secs(60);

pub(super) async fn run(scope: &Scope, run: &Run) -> Outcome {
    if run.once {
        let request = OnceRequest { workers: run.workers, limit: run.limit };
        let report = scope.with_bus(|bus| async move { Ok(bus.run_once(request).await?) }).await?;
        return if scope.json { output::json(&report) } else { output::line(&once(&report)) };
    }
    daemon(scope).await
}

fn once(report: &OnceReport) -> String {
    let OnceReport { received, delivered, diverted, retried, dead, seconds } = report;
    let time = output::span(*seconds);
    format!(
        "received {received}, delivered {delivered}, diverted {diverted}, retried {retried}, dead {dead} in {time}"
    )
}

async fn daemon(scope: &Scope) -> Outcome {
    let mut config = scope.load()?.config;
    let mut signals = Signals::new()?;
    let bus = tokio::select! {
        bus = client::start(&config, scope.common.timeout()) => bus?,
        () = signals.stopped() => return Ok(()),
    };
    notify::tell("READY=1");
    tracing::info!(bus = %config.bus.name, "ready: {}", bus.reachable());
    let mut minute = tokio::time::interval_at(tokio::time::Instant::now() + MINUTE, MINUTE);
    let failed = loop {
        tokio::select! {
            _ = minute.tick() => summary(bus.as_ref()).await,
            error = bus.failed() => break Some(error),
            told = signals.next() => match told {
                Told::Stop(name) => {
                    tracing::info!("{name}: draining for at most {:?}", config.flow.shutdown_grace);
                    break None;
                }
                Told::Reload => reload(scope, bus.as_ref(), &mut config).await,
            },
        }
    };
    notify::tell("STOPPING=1");
    let closed = bus.shutdown().await;
    match failed {
        Some(error) => Err(Failure::Bus(error)),
        None => closed.map_err(|error| Failure::Failed(error.to_string())),
    }
}

/// Loads the configuration anew and applies it; a broken one leaves the old one in force.
async fn reload(scope: &Scope, bus: &dyn Daemon, config: &mut Config) {
    notify::tell("RELOADING=1");
    match scope.load() {
        Ok(loaded) => apply(bus, config, loaded.config).await,
        Err(failure) => tracing::error!("not reloaded, the configuration stays as it is:\n{failure}"),
    }
    notify::tell("READY=1");
}

/// What flows and what waits, in one line.
async fn summary(bus: &dyn Daemon) {
    let totals = &bus.admin().snapshots().await["totals"];
    match bus.admin().queues().await {
        Ok(report) => {
            let waiting: Vec<String> = report
                .queues
                .iter()
                .map(|row| {
                    let held: u64 = [row.ready, row.in_flight, row.delayed].into_iter().flatten().sum();
                    format!("{} {held}", row.queue)
                })
                .collect();
            let delivered: u64 = report.endpoints.iter().map(|row| row.delivered).sum();
            let shut: Vec<_> = report.endpoints.iter().filter(|row| row.state != "open").collect();
            let shut: Vec<String> =
                shut.iter().map(|row| format!("{} is {}", row.endpoint, row.state)).collect();
            tracing::info!(
                published = totals["published"].as_u64().unwrap_or_default(),
                delivered,
                "waiting: {}{}{}",
                waiting.join(", "),
                if shut.is_empty() { "" } else { "; " },
                shut.join(", ")
            );
        }
        Err(error) => tracing::warn!("the queues could not be looked at: {error}"),
    }
}

/// Applies a new configuration, and says by key what needs a restart.
async fn apply(bus: &dyn Daemon, config: &mut Config, new: Config) {
    let changed = config.changes(&new);
    if changed.is_empty() {
        tracing::info!("reloaded: nothing has changed");
        return;
    }
    match bus.reload(&new).await {
        Ok(restart) => {
            let live: Vec<_> = changed.iter().filter(|key| !restart.contains(key)).cloned().collect();
            if !live.is_empty() {
                tracing::info!("reloaded: {}", live.join(", "));
            }
            if !restart.is_empty() {
                tracing::warn!("needs a restart: {}", restart.join(", "));
            }
            // Compared again next time with what runs, not with what was asked for.
            if restart.is_empty() {
                *config = new;
            }
        }
        Err(error) => tracing::error!("not reloaded, the configuration stays as it is: {error}"),
    }
}

/// What a daemon is told by a signal.
enum Told {
    Stop(&'static str),
    Reload,
}

/// The signals that a daemon heeds.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Outcome<Self> {
        let listen = |kind| signal(kind).map_err(|error| Failure::Failed(format!("signals: {error}")));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Told::Stop("SIGINT"),
            _ = self.hangup.recv() => Told::Reload,
        }
    }

    /// Ends when a stop is asked for.
    async fn stopped(&mut self) {
        while matches!(self.next().await, Told::Reload) {}
    }
}
