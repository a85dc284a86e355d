//! How a verb reaches the bus: through the process that holds the embedded store, else by opening
//! it. Both ways answer the same.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use busway::config::Config;
use busway::core::{Admin, Error, ErrorKind, Result};
use busway::holder::{Holder, OpenOptions, Pulse, Purpose, Reload, Reloaded};
use tokio::time::Instant;

/// How long to wait before a store that was held a moment ago is tried again.
pub(crate) const AGAIN: Duration = Duration::from_millis(50);

/// A bus that was reached.
pub(crate) enum Reached {
    /// Another process holds it.
    Holder(Arc<dyn Admin>),
    /// This process has opened it.
    Opened(Box<dyn Opened>),
}

/// A bus that this process opened for one verb: nothing is delivered unless the verb says so.
#[async_trait]
pub(crate) trait Opened: Send + Sync {
    /// Its verbs.
    fn admin(&self) -> Arc<dyn Admin>;

    /// Closes it in order.
    async fn close(self: Box<Self>) -> Result<()>;
}

/// A bus that runs in this process until it is told to stop.
#[async_trait]
pub(crate) trait Daemon: Send + Sync {
    /// Where it can be reached, in words for the log.
    fn reachable(&self) -> String;

    /// Its verbs.
    fn admin(&self) -> Arc<dyn Admin>;

    /// What tells whether it answers.
    fn pulse(&self) -> Pulse;

    /// How long a stop may take.
    fn grace(&self) -> Duration;

    /// Applies what can change while messages flow, all of it or nothing; answers what did and what
    /// needs a restart.
    async fn reload(&self, config: &Config) -> Result<Reloaded>;

    /// Ends when the bus cannot go on by itself.
    async fn failed(&self) -> Error;

    /// Drains within the grace and closes everything.
    async fn shutdown(self: Box<Self>) -> Result<()>;
}

/// Reaches the bus as it is held now, within `timeout`: through its holder where there is one, else by
/// opening it.
///
/// # Errors
/// `Timeout` where a holder does not answer; those of opening the bus.
pub(crate) async fn reach(config: &Config, timeout: Duration) -> Result<Reached> {
    let until = Instant::now() + timeout;
    loop {
        let reached = match busway::holder::remote(config, timeout).await {
            Ok(Some(admin)) => Ok(Reached::Holder(admin)),
            Ok(None) => open_local(config).await.map(Reached::Opened),
            Err(error) => Err(error),
        };
        match reached {
            Ok(reached) => return Ok(reached),
            Err(error) => wait_for_holder(error, until).await?,
        }
    }
}

/// Waits a moment where another process is only just starting with the store, or about to end; gives
/// back any other error, and that one once it is late.
async fn wait_for_holder(error: Error, until: Instant) -> Result<()> {
    if !passes(&error) || Instant::now() >= until {
        return Err(error);
    }
    tokio::time::sleep(AGAIN).await;
    Ok(())
}

fn passes(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Held | ErrorKind::Unavailable)
}

/// Opens the bus in this process for one verb.
async fn open_local(config: &Config) -> Result<Box<dyn Opened>> {
    let holder = Holder::open(config, Purpose::Look, OpenOptions::default()).await?;
    Ok(Box::new(Local(holder)))
}

/// Starts the bus in this process; queues are declared and endpoints served when it returns. A verb
/// that holds the store is given `timeout` to end. `reload` is what a client of its HTTP interface asks.
///
/// # Errors
/// `Held` where it does not; those of opening the bus.
pub(crate) async fn start(config: &Config, timeout: Duration, reload: Reload) -> Result<Box<dyn Daemon>> {
    let metrics = busway::holder::install_recorder()?;
    let until = Instant::now() + timeout;
    let mut told = false;
    let holder = loop {
        let mut options = OpenOptions::default();
        options.metrics = Some(metrics.clone());
        options.reload = Some(Arc::clone(&reload));
        match Holder::open(config, Purpose::Deliver, options).await {
            Ok(holder) => break holder,
            Err(error) if error.kind() == ErrorKind::Held => {
                if !std::mem::replace(&mut told, true) {
                    tracing::info!("waiting for the store: {error}");
                }
                wait_for_holder(error, until).await?;
            }
            Err(error) => return Err(error),
        }
    };
    Ok(Box::new(Running(holder)))
}

/// A bus opened for one verb.
struct Local(Holder);

#[async_trait]
impl Opened for Local {
    fn admin(&self) -> Arc<dyn Admin> {
        self.0.admin()
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.0.shutdown().await;
        Ok(())
    }
}

/// A bus that runs until it is told to stop.
struct Running(Holder);

#[async_trait]
impl Daemon for Running {
    fn reachable(&self) -> String {
        let store = busway::registry::embedded_path(&self.0.config());
        let socket = store.map(|path| path.join("busway.sock").display().to_string());
        let http = self.0.http_address().map(|address| format!("http://{address}"));
        let ways: Vec<String> = http.into_iter().chain(socket).collect();
        format!("reachable at {}", ways.join(" and "))
    }

    fn admin(&self) -> Arc<dyn Admin> {
        self.0.admin()
    }

    fn pulse(&self) -> Pulse {
        self.0.pulse()
    }

    fn grace(&self) -> Duration {
        self.0.config().flow.shutdown_grace
    }

    async fn reload(&self, config: &Config) -> Result<Reloaded> {
        self.0.reload(config).await
    }

    async fn failed(&self) -> Error {
        self.0.failed().await
    }

    async fn shutdown(self: Box<Self>) -> Result<()> {
        if self.0.shutdown().await {
            return Ok(());
        }
        Err(Error::new("stop", ErrorKind::Timeout, "not all that was in hand was finished within the grace")
            .advise("nothing is lost: it is delivered again at the next start"))
    }
}
