//! The bus as a library's user sees it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use busway_core::{Admin, Error, ErrorKind, Message, Name, Result};
use tokio::sync::RwLock;

use crate::builder::BusBuilder;
use crate::config::{Config, LoadOptions, Policy, check_pattern, load};
use crate::handler::IntoHandler;
use crate::holder::{Holder, OpenOptions, Purpose, Subscription};
use crate::publish::{PublishError, Published, outcome};
use crate::testing::Bench;

const PUBLISH_DEADLINE: Duration = Duration::from_secs(30);

/// A bus; cheap to clone, `Send` and `Sync`. Dropping the last clone is a forced stop: what was in
/// hand is redelivered at the next start.
///
/// It works inside any tokio runtime and inside an actix program, several at a time: it has threads
/// of its own, installs no signal handlers and keeps no global state.
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

struct Inner {
    config: Config,
    subscriptions: Mutex<Vec<Subscription>>,
    bench: Option<Arc<Bench>>,
    holder: RwLock<Option<Holder>>,
}

impl Bus {
    /// Begins a bus of this name, on an embedded store in `var/NAME` unless told otherwise.
    #[must_use]
    pub fn builder(name: &str) -> BusBuilder {
        BusBuilder::new(name)
    }

    /// A bus from a configuration file and the environment.
    ///
    /// # Errors
    /// `Configuration`, with all mistakes and their places.
    pub fn from_config(path: impl AsRef<Path>) -> Result<Self> {
        let options = LoadOptions::from_process(Some(path.as_ref().to_owned()), Vec::new());
        let loaded = load(&options)
            .map_err(|mistakes| Error::new("load", ErrorKind::Configuration, mistakes.to_string()))?;
        Ok(Self::new(loaded.config, None))
    }

    pub(crate) fn new(config: Config, bench: Option<Arc<Bench>>) -> Self {
        let holder = RwLock::new(None);
        Self(Arc::new(Inner { config, subscriptions: Mutex::default(), bench, holder }))
    }

    /// Calls `handler` for each message whose type matches the pattern, with the [`Policy`] of a
    /// handler; see [`Bus::subscribe_with`].
    ///
    /// # Errors
    /// Those of [`Bus::subscribe_with`].
    pub fn subscribe<Kind>(&self, name: &str, types: &str, handler: impl IntoHandler<Kind>) -> Result<()> {
        self.subscribe_with(name, types, handler_policy(), handler)
    }

    /// Calls `handler` for each message whose type matches the pattern. The name is durable: what
    /// is parked for it finds it again after a restart.
    ///
    /// The handler is an async function of a [`Delivery`](crate::Delivery), or an actor's recipient of
    /// one. `Err` means that the message is tried again by `policy`; a panic, an actor that has ended
    /// and a call that takes longer than the policy's time-out count as one.
    ///
    /// # Errors
    /// `Configuration` for a name or pattern that is none; `Conflict` where the name is taken;
    /// `Closed` after the start.
    pub fn subscribe_with<Kind>(
        &self,
        name: &str,
        types: &str,
        policy: Policy,
        handler: impl IntoHandler<Kind>,
    ) -> Result<()> {
        let failed = |kind, detail: &str| Error::new("subscribe", kind, detail.to_owned()).at(name);
        Name::new(name)?;
        check_pattern(types).map_err(|why| failed(ErrorKind::Configuration, &why))?;
        if self.0.holder.try_read().map_or(true, |holder| holder.is_some()) {
            return Err(failed(ErrorKind::Closed, "the bus has started").advise("subscribe before the start"));
        }
        let mut subscriptions = self.0.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
        let taken =
            self.0.config.endpoints.contains_key(name) || subscriptions.iter().any(|s| s.name == name);
        if taken {
            return Err(
                failed(ErrorKind::Conflict, "the name is taken").advise("give each subscription its own")
            );
        }
        subscriptions.push(Subscription {
            name: name.to_owned(),
            types: vec![types.to_owned()],
            policy,
            endpoint: handler.into_endpoint(),
        });
        Ok(())
    }

    /// Declares the queues and starts the actors.
    ///
    /// Cancelled, nothing is left running.
    ///
    /// # Errors
    /// `Held` where another process holds the store; `Conflict` on a second start; those of files
    /// and addresses.
    pub async fn start(&self) -> Result<()> {
        let mut holder = self.0.holder.write().await;
        if holder.is_some() {
            return Err(Error::new("start", ErrorKind::Conflict, "the bus has started").at(&self
                .0
                .config
                .bus
                .name));
        }
        let subscriptions = self.0.subscriptions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let bench = self.0.bench.clone();
        let options = OpenOptions { subscriptions, bench, ..OpenOptions::default() };
        *holder = Some(Holder::open(&self.0.config, Purpose::Deliver, options).await?);
        Ok(())
    }

    /// Publishes a message. `Ok` means that it is durable.
    ///
    /// Cancelling it leaves open whether it was published; publish it again with the same id.
    ///
    /// # Errors
    /// `Failed` where it was not taken, `Unknown` where no confirm came.
    pub async fn publish(&self, message: Message) -> Result<Published, PublishError> {
        let id = message.id.clone();
        let mut results = self.publish_all(vec![message]).await;
        results.pop().unwrap_or_else(|| Err(PublishError::Unknown { id, why: "no answer came".to_owned() }))
    }

    /// Publishes a batch; a result for each message, in order.
    ///
    /// Cancelling it leaves every outcome open.
    pub async fn publish_all(&self, messages: Vec<Message>) -> Vec<Result<Published, PublishError>> {
        match self.admin().await {
            Ok(admin) => admin.publish(messages, PUBLISH_DEADLINE).await.into_iter().map(outcome).collect(),
            Err(error) => {
                let (why, class) = (error.to_string(), error.class());
                let failed =
                    |message: Message| Err(PublishError::Failed { id: message.id, why: why.clone(), class });
                messages.into_iter().map(failed).collect()
            }
        }
    }

    /// The operator's verbs.
    ///
    /// # Errors
    /// `Closed` before the start and after the stop.
    pub async fn admin(&self) -> Result<Arc<dyn Admin>> {
        let holder = self.0.holder.read().await;
        holder.as_ref().map(Holder::admin).ok_or_else(|| {
            Error::new("reach", ErrorKind::Closed, "the bus is not running")
                .at(&self.0.config.bus.name)
                .advise("call start first")
        })
    }

    /// The bus's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.config.bus.name
    }

    /// Where the HTTP interface listens, if there is one.
    pub async fn http_address(&self) -> Option<std::net::SocketAddr> {
        self.0.holder.read().await.as_ref().and_then(Holder::http_address)
    }

    /// Stops in order: takes nothing more in and finishes what is in hand, within the grace. A bus that
    /// does not run is stopped.
    ///
    /// Cancelled, the bus is left draining.
    ///
    /// # Errors
    /// `Timeout` where not all was finished: what was not is redelivered at the next start.
    pub async fn shutdown(&self) -> Result<()> {
        let Some(holder) = self.0.holder.write().await.take() else { return Ok(()) };
        if holder.shutdown().await {
            return Ok(());
        }
        Err(Error::new("stop", ErrorKind::Timeout, "not all that was in hand was finished within the grace")
            .at(&self.0.config.bus.name)
            .advise("nothing is lost: it is redelivered at the next start"))
    }
}

/// A handler has five minutes for a message; else it is treated as any endpoint.
fn handler_policy() -> Policy {
    Policy { timeout: Duration::from_secs(300), ..Policy::default() }
}
