//! A bus whose store another process holds: it publishes through the holder, and its handlers read their
//! queues from it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use busway_core::{Admin, Error, ErrorKind, Name, Result};
use busway_embedded::socket::Client;
use busway_runtime::{Runtime, RuntimeOptions};
use busway_state::MemoryState;
use tokio::sync::Mutex;

use crate::config::{Config, Order, Policy};
use crate::holder::{self, Subscription};
use crate::named::Named;
use crate::office::Line;
use crate::registry;
use crate::remote::RemoteAdmin;
use crate::remote::work::{Call, Inlet, Inlets, Joined, VERB, json, read};

/// How long the holder may take for an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A bus whose store another process holds. Dropping it is a forced stop: what was in hand comes again.
pub(crate) struct Guest {
    client: Client,
    admin: Arc<dyn Admin>,
    subscriptions: std::sync::Mutex<Vec<Named>>,
    rules: u64,
    /// Whom it has joined.
    joined: Mutex<Option<(busway_embedded::Holder, Joined)>>,
    worker: Option<Runtime>,
    grace: Duration,
}

impl Guest {
    /// Has the subscriptions routed by the process that holds the store, and begins to handle.
    ///
    /// # Errors
    /// `Unavailable` and `Held` where another process is only just beginning or ending; `Conflict` where
    /// a name is taken by an endpoint; those of the holder.
    pub(crate) async fn join(config: &Config, subscriptions: &[Subscription]) -> Result<Self> {
        let path = registry::embedded_path(config).ok_or_else(|| {
            Error::new("join", ErrorKind::Unsupported, "the transport has no holder")
                .at(&config.bus.transport)
        })?;
        let client = Client::connect(&path, ANSWER).await?;
        let mut guest = Self {
            admin: Arc::new(RemoteAdmin::new(Line(client.clone()), ANSWER)),
            client,
            subscriptions: std::sync::Mutex::new(subscriptions.iter().map(Subscription::named).collect()),
            rules: rules(config),
            joined: Mutex::default(),
            worker: None,
            grace: config.flow.shutdown_grace,
        };
        if guest.rejoin(config).await?.is_none() {
            return Err(
                Error::new("join", ErrorKind::Unavailable, "nobody holds the store").at(path.display())
            );
        }
        if !subscriptions.is_empty() {
            let inlet = Inlet::Socket(guest.client.clone());
            guest.worker = Some(worker(config, subscriptions, inlet).await?);
        }
        Ok(guest)
    }

    /// Joins whoever holds the store now, unless it has done so before; `None` where nobody does.
    ///
    /// # Errors
    /// Those of [`Guest::join`].
    pub(crate) async fn rejoin(&self, config: &Config) -> Result<Option<Joined>> {
        let holder = registry::embedded_path(config).and_then(|path| busway_embedded::is_held(&path));
        let Some(holder) = holder else { return Ok(None) };
        if let Some((known, joined)) = &*self.joined.lock().await
            && *known == holder
        {
            return Ok(Some(*joined));
        }
        let call = Call::Join { subscriptions: self.subscriptions().clone(), rules: self.rules };
        let joined: Joined = read(&self.client.call(VERB, json(&call)?, ANSWER).await?)?;
        *self.joined.lock().await = Some((holder, joined));
        Ok(Some(joined))
    }

    /// Whether this process may hold the store when the holder that it joined last is gone.
    pub(crate) async fn is_heir(&self) -> bool {
        self.joined.lock().await.as_ref().is_some_and(|(_, joined)| joined.same_rules)
    }

    /// Has nothing more routed to this subscription.
    pub(crate) async fn leave(&self, name: &str) -> Result<()> {
        let call = Call::Leave { name: name.to_owned() };
        let () = read(&self.client.call(VERB, json(&call)?, ANSWER).await?)?;
        self.subscriptions().retain(|named| named.name != name);
        Ok(())
    }

    fn subscriptions(&self) -> std::sync::MutexGuard<'_, Vec<Named>> {
        self.subscriptions.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn admin(&self) -> Arc<dyn Admin> {
        Arc::clone(&self.admin)
    }

    /// Finishes what is in hand within the grace; whether all was.
    pub(crate) async fn shutdown(&self) -> bool {
        match &self.worker {
            Some(worker) => worker.shutdown(self.grace).await,
            None => true,
        }
    }
}

/// A bus that reads the queues of these handlers and has nothing else.
///
/// # Errors
/// Those of a start.
pub(crate) async fn worker(config: &Config, subscriptions: &[Subscription], inlet: Inlet) -> Result<Runtime> {
    let transport = Arc::new(Inlets::new(&config.bus.transport, inlet));
    // Pauses are kept by the holder, and how a gate stands here is no matter of the next process.
    let state = Arc::new(MemoryState::new());
    let mut options = RuntimeOptions::new(Name::new(&config.bus.name)?, transport, state);
    options.flow = holder::flow(config);
    for subscription in subscriptions {
        // The queue keeps the order: of each key it hands out one message at a time.
        let policy = Policy { order: Order::None, ..subscription.policy.clone() };
        let spec = registry::handler(config, &policy, Arc::clone(&subscription.endpoint));
        options.endpoints.insert(subscription.name.clone(), spec);
    }
    Runtime::start(options).await
}

/// A number for the endpoints and routes: processes in which it is the same can hold the store one after
/// the other.
pub(crate) fn rules(config: &Config) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{:?}{:?}", config.endpoints, config.routes).hash(&mut hasher);
    hasher.finish()
}
