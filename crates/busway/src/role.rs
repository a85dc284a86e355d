//! What a running bus is: the holder of its store, or the guest of the process that holds it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use busway_core::{Admin, Error, ErrorKind, Result};
use tokio::time::Instant;

use crate::bus::Inner;
use crate::config::Config;
use crate::guest::Guest;
use crate::holder::{Holder, OpenOptions, Purpose};

/// How long a start waits for another process that is only just beginning or ending with the store.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(50);
/// Between two looks at who holds the store, and the longest rest after a failure.
const LOOK: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(5);

/// A running bus.
pub(crate) enum Role {
    Holder(Holder),
    Guest(Box<Guest>),
}

impl Role {
    /// Opens the store, or joins the process that holds it.
    ///
    /// # Errors
    /// Those of opening the store, but for `Held`; those of joining, once it is late.
    pub(crate) async fn take(config: &Config, options: impl Fn() -> OpenOptions) -> Result<Self> {
        let until = Instant::now() + PATIENCE;
        loop {
            match Holder::open(config, Purpose::Deliver, options()).await {
                Ok(holder) => return Ok(Self::Holder(holder)),
                Err(error) if error.kind() == ErrorKind::Held => {}
                Err(error) => return Err(error),
            }
            match Guest::join(config, &options().subscriptions).await {
                Ok(guest) => return Ok(Self::Guest(Box::new(guest))),
                Err(error) if !passes(&error) || Instant::now() > until => return Err(error),
                Err(error) => tracing::debug!(%error, "the holder of the store could not be joined"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    pub(crate) fn admin(&self) -> Arc<dyn Admin> {
        match self {
            Self::Holder(holder) => holder.admin(),
            Self::Guest(guest) => guest.admin(),
        }
    }

    pub(crate) fn holder(&self) -> Option<&Holder> {
        match self {
            Self::Holder(holder) => Some(holder),
            Self::Guest(_) => None,
        }
    }

    /// Routes nothing more to this subscription.
    pub(crate) async fn unsubscribe(&self, name: &str) -> Result<()> {
        match self {
            Self::Holder(holder) => holder.unsubscribe(name).await,
            Self::Guest(guest) => guest.leave(name).await,
        }
    }

    /// Stops in order; whether all that was in hand was finished.
    pub(crate) async fn shutdown(&self) -> bool {
        match self {
            Self::Holder(holder) => holder.shutdown().await,
            Self::Guest(guest) => guest.shutdown().await,
        }
    }
}

/// Whether another process is only just beginning or ending with the store.
fn passes(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Held | ErrorKind::Unavailable)
}

/// Watches who holds the store for a bus that is a guest, on a thread of its own. Dropped, it ends.
pub(crate) struct Keeper(Option<tokio::runtime::Runtime>);

impl Keeper {
    /// Begins; it ends by itself when the bus has stopped or holds the store.
    ///
    /// # Errors
    /// `Internal` where the operating system gives no thread.
    pub(crate) fn start(name: &str, bus: Weak<Inner>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(format!("busway-{name}-guest"))
            .enable_all()
            .build()
            .map_err(|error| {
                Error::new("start", ErrorKind::Internal, "no thread for a guest").caused_by(error)
            })?;
        runtime.spawn(keep(bus));
        Ok(Self(Some(runtime)))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Joins each next holder, and comes after one that is gone where nobody else has.
async fn keep(bus: Weak<Inner>) {
    let mut rest = LOOK;
    loop {
        tokio::time::sleep(rest).await;
        let Some(bus) = bus.upgrade() else { return };
        match look(&bus).await {
            Ok(true) => return,
            Ok(false) => rest = LOOK,
            Err(error) => {
                tracing::warn!(%error, "the store has no holder that this bus could join");
                rest = (rest * 2).min(LONGEST_REST);
            }
        }
    }
}

/// Whether there is nothing to watch any more.
async fn look(bus: &Inner) -> Result<bool> {
    {
        let role = bus.role.read().await;
        let Some(Role::Guest(guest)) = &*role else { return Ok(true) };
        match guest.rejoin(&bus.config).await {
            Ok(Some(_)) => return Ok(false),
            Ok(None) => {}
            Err(error) if passes(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
        if !guest.is_heir().await {
            return Ok(false);
        }
    }
    let holder = match Holder::open(&bus.config, Purpose::Deliver, bus.options()).await {
        Ok(holder) => holder,
        Err(error) if error.kind() == ErrorKind::Held => return Ok(false),
        Err(error) => return Err(error),
    };
    tracing::info!(bus = %bus.config.bus.name, "this process holds the store now");
    let mut role = bus.role.write().await;
    if role.is_none() {
        drop(role);
        // It was stopped meanwhile.
        holder.shutdown().await;
        return Ok(true);
    }
    let guest = role.replace(Role::Holder(holder));
    drop(role);
    if let Some(guest) = guest
        && !guest.shutdown().await
    {
        tracing::warn!("what handlers had in hand when the holder went away is delivered again");
    }
    Ok(true)
}
