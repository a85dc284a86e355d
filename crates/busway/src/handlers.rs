//! The handlers that the holder of a store routes to: those of its own process, and those of others, which
//! read a queue of their own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use busway_core::transport::{Declare, Depth, Selector};
use busway_core::{Endpoint, Error, ErrorKind, Message, Queue, Result, State, Transport};
use busway_endpoints::QueueEndpoint;
use busway_runtime::{EndpointSpec, RouteSpec, Runtime};

use crate::config::{Config, Order, Policy};
use crate::guest;
use crate::holder::{Purpose, Subscription};
use crate::named::{self, Named};
use crate::registry;
use crate::remote::work::{Inlet, Sessions};
use crate::shared::Shared;

/// Every named subscription of a bus, as its holder serves it.
pub(crate) struct Handlers {
    own: Vec<Subscription>,
    transport: Arc<dyn Transport>,
    state: Arc<dyn State>,
    declare: Declare,
    sessions: Arc<Sessions>,
    named: Mutex<BTreeMap<String, Named>>,
    /// Reads the queues of the handlers of this process, once there is need.
    worker: tokio::sync::Mutex<Option<Runtime>>,
}

impl Handlers {
    /// Finds the subscriptions that are kept, and keeps those of this process where it is to deliver.
    ///
    /// # Errors
    /// `Conflict` where an endpoint has the name of one; those of the state store and the transport.
    pub(crate) async fn open(
        config: &Config,
        purpose: Purpose,
        own: Vec<Subscription>,
        transport: Arc<dyn Transport>,
        state: Arc<dyn State>,
    ) -> Result<Self> {
        let of_record = |named: Named| (named.name.clone(), named);
        let mut kept: BTreeMap<String, Named> =
            named::all(&*state).await?.into_iter().map(of_record).collect();
        let handlers = Self {
            own,
            sessions: Arc::new(Sessions::new(Arc::clone(&transport))),
            transport,
            state,
            declare: registry::declare(config),
            named: Mutex::default(),
            worker: tokio::sync::Mutex::default(),
        };
        handlers.give_way(config, purpose, &mut kept).await?;
        if purpose == Purpose::Deliver {
            for subscription in &handlers.own {
                let named = subscription.named();
                if kept.get(&named.name) != Some(&named) {
                    named::keep(&*handlers.state, &named).await?;
                    kept.insert(named.name.clone(), named);
                }
            }
        }
        let queues: Vec<Queue> = kept.values().map(Named::queue).collect::<Result<_>>()?;
        handlers.transport.declare(&queues, handlers.declare).await?;
        if purpose == Purpose::Deliver {
            handlers.clear_away(&mut kept).await?;
        }
        *handlers.named() = kept;
        Ok(handlers)
    }

    /// An endpoint of the configuration comes after a handler of its name, unless something waits for the
    /// handler.
    async fn give_way(
        &self,
        config: &Config,
        purpose: Purpose,
        kept: &mut BTreeMap<String, Named>,
    ) -> Result<()> {
        for name in config.endpoints.keys() {
            let Some(named) = kept.remove(name) else { continue };
            if self.waits(&named.queue()?, &Selector::All).await? {
                return Err(taken(name).advise("rename the endpoint: messages wait for the handler"));
            }
            if purpose == Purpose::Deliver {
                named::forget(&*self.state, name).await?;
            }
        }
        Ok(())
    }

    /// Forgets the subscriptions that have ended and for which nothing waits.
    async fn clear_away(&self, kept: &mut BTreeMap<String, Named>) -> Result<()> {
        let ended: Vec<Named> = kept.values().filter(|named| named.has_ended()).cloned().collect();
        for named in ended {
            let parked = Selector::Destination(named.name.as_str().into());
            let anything = self.waits(&named.queue()?, &Selector::All).await?
                || self.waits(&Queue::Delayed, &parked).await?;
            if !anything {
                named::forget(&*self.state, &named.name).await?;
                kept.remove(&named.name);
            }
        }
        Ok(())
    }

    /// Whether anything is there, as far as the transport can tell.
    async fn waits(&self, queue: &Queue, selector: &Selector) -> Result<bool> {
        match self.transport.inspect(queue, selector).await {
            Ok(Depth { ready, delayed, in_flight, .. }) => Ok([ready, delayed, in_flight] != [Some(0); 3]),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What is handed out to other processes.
    pub(crate) fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// Those that there are, by name.
    pub(crate) fn all(&self) -> BTreeMap<String, Named> {
        self.named().clone()
    }

    /// Replaces them.
    pub(crate) fn replace(&self, named: BTreeMap<String, Named>) {
        *self.named() = named;
    }

    /// Makes one durable, and its queue.
    pub(crate) async fn keep(&self, named: &Named) -> Result<()> {
        self.transport.declare(&[named.queue()?], self.declare).await?;
        named::keep(&*self.state, named).await
    }

    /// The endpoints of these subscriptions.
    pub(crate) async fn endpoints<'a>(
        &self,
        config: &Config,
        named: impl Iterator<Item = &'a Named>,
    ) -> Result<BTreeMap<String, EndpointSpec>> {
        let mut endpoints = BTreeMap::new();
        for named in named {
            endpoints.insert(named.name.clone(), self.endpoint(config, named).await?);
        }
        Ok(endpoints)
    }

    /// Where order is kept the queue keeps it, so that handlers in several processes may share it.
    async fn endpoint(&self, config: &Config, named: &Named) -> Result<EndpointSpec> {
        let (queue, order) = (named.queue()?, named.order());
        let sender = self.transport.sender().await?;
        let away: Arc<dyn Endpoint> =
            Arc::new(QueueEndpoint::for_handler(sender, queue.clone(), move |message| key(order, message)));
        let own = self.own.iter().find(|subscription| subscription.name == named.name);
        let spec = match own {
            Some(own) if order == Order::None => {
                let shared =
                    Shared::new(&named.name, Arc::clone(&own.endpoint), away, Arc::clone(&self.sessions));
                registry::handler(config, &own.policy, Arc::new(shared))
            }
            _ => {
                let policy = Policy { order, ..Policy::default() };
                let timeout = Duration::from_secs(60);
                EndpointSpec { deadline: timeout * 2, ..registry::handler(config, &policy, away) }
            }
        };
        Ok(EndpointSpec { queue: Some(queue), ..spec })
    }

    /// Whether the queues of handlers of this process have to be read here: there is something in one,
    /// or all messages go through it.
    pub(crate) async fn needs_worker(&self) -> Result<bool> {
        for subscription in &self.own {
            let queue = subscription.named().queue()?;
            if subscription.policy.order != Order::None || self.waits(&queue, &Selector::All).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether one of these has its handler in this process.
    pub(crate) fn any_own(&self, named: &[Named]) -> bool {
        self.own.iter().any(|own| named.iter().any(|named| named.name == own.name))
    }

    /// Reads the queues of the handlers of this process from now on.
    pub(crate) async fn start_worker(&self, config: &Config) -> Result<()> {
        let mut worker = self.worker.lock().await;
        if worker.is_none() {
            let inlet = Inlet::Store(Arc::clone(&self.transport), Arc::clone(&self.sessions));
            *worker = Some(guest::worker(config, &self.own, inlet).await?);
        }
        Ok(())
    }

    /// Finishes what was read from those queues within the grace; whether all was.
    pub(crate) async fn shutdown(&self, grace: Duration) -> bool {
        match &*self.worker.lock().await {
            Some(worker) => worker.shutdown(grace).await,
            None => true,
        }
    }

    fn named(&self) -> MutexGuard<'_, BTreeMap<String, Named>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The routes of these subscriptions.
pub(crate) fn routes(named: &BTreeMap<String, Named>) -> Vec<RouteSpec> {
    let route = |named: &Named| RouteSpec {
        types: named.types.clone(),
        accounts: Vec::new(),
        to: vec![named.name.clone()],
    };
    named.values().filter(|named| !named.has_ended()).map(route).collect()
}

/// The error for a subscription whose name an endpoint has.
pub(crate) fn taken(name: &str) -> Error {
    Error::new("subscribe", ErrorKind::Conflict, "an endpoint has the name of this handler").at(name)
}

/// What a message is ordered by; two keys of one number wait for each other, nothing worse.
fn key(order: Order, message: &Message) -> Option<u64> {
    let text = match order {
        Order::None => return None,
        Order::PartitionKey => message.partitionkey.as_deref()?,
        Order::Account => message.account_or_dash(),
    };
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    Some(text.bytes().fold(0xcbf2_9ce4_8422_2325, fnv))
}
