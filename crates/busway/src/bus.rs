//! The bus as a library's user sees it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use busway_core::admin::{PublishOutcome, PublishResult};
use busway_core::{Admin, Error, ErrorClass, ErrorKind, Message, Name, Result};
use tokio::sync::RwLock;

use crate::builder::BusBuilder;
use crate::config::{Config, LoadOptions, Policy, check_pattern, load};
use crate::handler::IntoHandler;
use crate::holder::{Holder, OpenOptions, Subscription};
use crate::publish::{PublishError, Published, outcome};
use crate::role::{Keeper, Role};
use crate::testing::Bench;

const PUBLISH_DEADLINE: Duration = Duration::from_secs(30);
/// Before a message that no holder has taken is given to the next one.
const AGAIN: Duration = Duration::from_millis(50);

/// A bus; cheap to clone, `Send` and `Sync`. Dropping the last clone is a forced stop: what was in
/// hand is redelivered at the next start.
///
/// It works inside any tokio runtime and inside an actix program, several at a time: it has threads
/// of its own, installs no signal handlers and keeps no global state.
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: Config,
    subscriptions: Mutex<Vec<Subscription>>,
    bench: Option<Arc<Bench>>,
    pub(crate) role: RwLock<Option<Role>>,
    /// Of a guest, until the next start.
    keeper: Mutex<Option<Keeper>>,
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
        let (role, keeper) = (RwLock::new(None), Mutex::default());
        Self(Arc::new(Inner { config, subscriptions: Mutex::default(), bench, role, keeper }))
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
        if self.0.role.try_read().map_or(true, |role| role.is_some()) {
            return Err(failed(ErrorKind::Closed, "the bus has started").advise("subscribe before the start"));
        }
        let mut subscriptions = self.0.lock_subscriptions();
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

    /// Routes nothing more to the subscription of this name, until a process that has it starts again.
    /// What waits for it is kept: it is handled where its handler still runs, `queues` shows it, and the
    /// next subscription of the name finds it.
    ///
    /// Cancelling it leaves open whether it took effect.
    ///
    /// # Errors
    /// `Closed` before the start and after the stop; `NotFound` where there is none.
    pub async fn unsubscribe(&self, name: &str) -> Result<()> {
        let role = self.0.role.read().await;
        role.as_ref().ok_or_else(|| self.not_running())?.unsubscribe(name).await?;
        self.0.lock_subscriptions().retain(|subscription| subscription.name != name);
        Ok(())
    }

    /// Declares the queues and starts the actors. Where another process holds the store, this bus is its
    /// guest: it publishes through it, and its handlers have their part of the messages; when the
    /// holder is gone, a guest whose endpoints and routes are the same becomes the holder.
    ///
    /// Cancelled, nothing is left running.
    ///
    /// # Errors
    /// `Conflict` on a second start, and where an endpoint of the holder has a handler's name; `Held`
    /// where a holder that only looks does not end within ten seconds; those of files and addresses.
    pub async fn start(&self) -> Result<()> {
        let mut role = self.0.role.write().await;
        if role.is_some() {
            return Err(Error::new("start", ErrorKind::Conflict, "the bus has started").at(&self
                .0
                .config
                .bus
                .name));
        }
        let taken = Role::take(&self.0.config, || self.0.options()).await?;
        let keeper = match &taken {
            Role::Holder(_) => None,
            Role::Guest(_) => Some(Keeper::start(&self.0.config.bus.name, Arc::downgrade(&self.0))?),
        };
        *self.0.keeper.lock().unwrap_or_else(PoisonError::into_inner) = keeper;
        *role = Some(taken);
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
        let until = Instant::now() + PUBLISH_DEADLINE;
        let mut results = match self.admin().await {
            Ok(admin) => admin.publish(messages.clone(), PUBLISH_DEADLINE).await,
            Err(error) => messages.iter().map(|message| refused(message, &error)).collect(),
        };
        // The holder went away before it took them: the next one is asked.
        while results.iter().any(not_taken) && Instant::now() < until && self.is_running().await {
            tokio::time::sleep(AGAIN).await;
            let open: Vec<usize> = (0..results.len()).filter(|at| not_taken(&results[*at])).collect();
            let rest = open.iter().filter_map(|at| messages.get(*at).cloned()).collect();
            let Ok(admin) = self.admin().await else { break };
            let again = admin.publish(rest, until.saturating_duration_since(Instant::now())).await;
            for (at, result) in open.into_iter().zip(again) {
                results[at] = result;
            }
        }
        results.into_iter().map(outcome).collect()
    }

    /// The operator's verbs.
    ///
    /// # Errors
    /// `Closed` before the start and after the stop.
    pub async fn admin(&self) -> Result<Arc<dyn Admin>> {
        let role = self.0.role.read().await;
        role.as_ref().map(Role::admin).ok_or_else(|| self.not_running())
    }

    /// The bus's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.config.bus.name
    }

    async fn is_running(&self) -> bool {
        self.0.role.read().await.is_some()
    }

    fn not_running(&self) -> Error {
        Error::new("reach", ErrorKind::Closed, "the bus is not running")
            .at(&self.0.config.bus.name)
            .advise("call start first")
    }

    /// Where the HTTP interface listens, if there is one and this process holds the store.
    pub async fn http_address(&self) -> Option<std::net::SocketAddr> {
        self.0.role.read().await.as_ref().and_then(Role::holder).and_then(Holder::http_address)
    }

    /// Stops in order: takes nothing more in and finishes what is in hand, within the grace. A bus that
    /// does not run is stopped.
    ///
    /// Cancelled, the bus is left draining.
    ///
    /// # Errors
    /// `Timeout` where not all was finished: what was not is redelivered at the next start.
    pub async fn shutdown(&self) -> Result<()> {
        let Some(role) = self.0.role.write().await.take() else { return Ok(()) };
        if role.shutdown().await {
            return Ok(());
        }
        Err(Error::new("stop", ErrorKind::Timeout, "not all that was in hand was finished within the grace")
            .at(&self.0.config.bus.name)
            .advise("nothing is lost: it is redelivered at the next start"))
    }
}

impl Inner {
    /// What the bus is opened with.
    pub(crate) fn options(&self) -> OpenOptions {
        let (subscriptions, bench) = (self.lock_subscriptions().clone(), self.bench.clone());
        OpenOptions { subscriptions, bench, ..OpenOptions::default() }
    }

    fn lock_subscriptions(&self) -> MutexGuard<'_, Vec<Subscription>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a message was surely not taken, because its holder was gone.
fn not_taken(result: &PublishResult) -> bool {
    result.outcome == PublishOutcome::Failed
        && result.class.as_deref() == Some(ErrorClass::Reconnect.as_str())
}

fn refused(message: &Message, error: &Error) -> PublishResult {
    PublishResult {
        id: message.id.clone(),
        outcome: PublishOutcome::Failed,
        error: Some(error.to_string()),
        class: Some(error.class().as_str().to_owned()),
    }
}

/// A handler has five minutes for a message; else it is treated as any endpoint.
fn handler_policy() -> Policy {
    Policy { timeout: Duration::from_secs(300), ..Policy::default() }
}
