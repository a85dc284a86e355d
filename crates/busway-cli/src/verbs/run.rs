//! `run`, and `run --once`.

use std::sync::Arc;
use std::time::Duration;

use busway::config::Config;
use busway::core::admin::{OnceReport, OnceRequest};
use busway::core::{Admin, Error, ErrorKind, Result};
use busway::holder::{Reload, Reloaded};
use tokio::task::JoinHandle;

use super::asked::Asked;
use super::signals::{Signals, Stop, Told};
use super::watchdog::Watchdog;
use super::{Scope, notify};
use crate::cli::Run;
use crate::client::{self, Daemon};
use crate::exit::{Failure, Outcome};
use crate::output;

const MINUTE: Duration = Duration::from_secs(60);
/// How long a forced stop may take to let go of what it holds.
const LETTING_GO: Duration = Duration::from_secs(2);

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
    let config = scope.load()?.config;
    let mut signals = Signals::new()?;
    let mut asked = Asked::new();
    let started = tokio::select! {
        started = starting(config.clone(), scope.common.timeout(), asked.ask()) => started?,
        // What was begun ends with the process: a start loses nothing wherever it is cut.
        stop = signals.stop() => return stop.outcome(),
    };
    notify::ready();
    tracing::info!(bus = %config.bus.name, "ready: {}", started.reachable());
    let watchdog = Watchdog::start(started.pulse());
    let end = work(scope, started.as_ref(), &mut signals, &mut asked).await;
    let stopped = stop(started, &end, &mut signals).await;
    drop(watchdog);
    match (end, stopped) {
        (End::Failed(error), _) => Err(Failure::Bus(error)),
        (End::Asked(Stop::Interrupt), Err(failure)) => {
            output::complain(&failure.to_string());
            Err(Failure::Interrupted)
        }
        (End::Asked(stop), stopped) => stopped.and_then(|()| stop.outcome()),
    }
}

/// Why a daemon ends.
enum End {
    Asked(Stop),
    Failed(Error),
}

/// Opens the bus in a task of its own, so that a long start does not keep signals waiting.
async fn starting(config: Config, timeout: Duration, reload: Reload) -> Result<Box<dyn Daemon>> {
    let mut task = Aborted(tokio::spawn(async move { client::start(&config, timeout, reload).await }));
    task.joined().await
}

/// Works until it is told to stop, or cannot go on.
async fn work(scope: &Scope, bus: &dyn Daemon, signals: &mut Signals, asked: &mut Asked) -> End {
    let mut minute = tokio::time::interval_at(tokio::time::Instant::now() + MINUTE, MINUTE);
    let mut said = None;
    loop {
        tokio::select! {
            // One that has not come within its minute is given up.
            _ = minute.tick() => drop(said.replace(Aborted(tokio::spawn(summary(bus.admin()))))),
            error = bus.failed() => return End::Failed(error),
            told = signals.next() => match told {
                Told::Stop(stop) => return End::Asked(stop),
                Told::Reload => tokio::select! {
                    _said = reload(scope, bus) => {}
                    stop = signals.stop() => return End::Asked(stop),
                },
            },
            reply = asked.next() => tokio::select! {
                reloaded = reload(scope, bus) => reply.give(reloaded),
                stop = signals.stop() => return End::Asked(stop),
            },
        }
    }
}

/// Drains within the grace; a second signal lets go of everything at once.
async fn stop(bus: Box<dyn Daemon>, end: &End, signals: &mut Signals) -> Outcome {
    let grace = bus.grace();
    if let End::Asked(stop) = end {
        tracing::info!("{}: draining for at most {grace:?}", stop.name());
    }
    let _told = Aborted(tokio::spawn(notify::stopping(grace)));
    let mut closing = Aborted(tokio::spawn(async move { bus.shutdown().await }));
    tokio::select! {
        closed = closing.joined() => closed.map_err(|error| Failure::Failed(error.to_string())),
        again = signals.stop() => {
            closing.0.abort();
            // What it holds is let go of as the task ends; the process ends in any case.
            let _late = tokio::time::timeout(LETTING_GO, &mut closing.0).await;
            let text = format!(
                "{} while draining: stopped at once; what was in hand is delivered again at the next start",
                again.name()
            );
            match again {
                Stop::Terminate => Err(Failure::Failed(text)),
                Stop::Interrupt => {
                    output::complain(&text);
                    Err(Failure::Interrupted)
                }
            }
        }
    }
}

/// A task that ends when this is dropped.
struct Aborted<T>(JoinHandle<T>);

impl<T> Aborted<Result<T>> {
    async fn joined(&mut self) -> Result<T> {
        match (&mut self.0).await {
            Ok(result) => result,
            Err(error) => Err(Error::new("run", ErrorKind::Internal, "it panicked").caused_by(error)),
        }
    }
}

impl<T> Drop for Aborted<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Loads the configuration anew and applies what can change while messages flow; one with mistakes
/// leaves the old one in force.
async fn reload(scope: &Scope, bus: &dyn Daemon) -> Result<Reloaded> {
    notify::reloading();
    let reloaded = match loaded_anew(scope).await {
        Ok(config) => bus.reload(&config).await,
        Err(failure) => Err(Error::new("reload", ErrorKind::Configuration, failure.to_string())),
    };
    match &reloaded {
        Ok(reloaded) => say(reloaded),
        Err(error) => tracing::error!("not reloaded, the configuration stays as it is: {error}"),
    }
    notify::ready();
    reloaded
}

/// Reads the configuration where a file that does not answer keeps nobody waiting.
async fn loaded_anew(scope: &Scope) -> Outcome<Config> {
    let layers = scope.layers();
    let read = tokio::task::spawn_blocking(move || busway::config::load(&layers)).await;
    let loaded = read.map_err(|error| Failure::Failed(format!("reading it panicked: {error}")))?;
    Ok(loaded?.config)
}

/// Says by key what a reload did.
fn say(Reloaded { applied, restart }: &Reloaded) {
    if applied.is_empty() && restart.is_empty() {
        tracing::info!("reloaded: nothing has changed");
    }
    if !applied.is_empty() {
        tracing::info!("reloaded: {}", applied.join(", "));
    }
    if !restart.is_empty() {
        tracing::warn!("needs a restart: {}", restart.join(", "));
    }
}

/// What flows and what waits, in one line.
async fn summary(bus: Arc<dyn Admin>) {
    let totals = &bus.snapshots().await["totals"];
    match bus.queues().await {
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
