//! A bus held by this process: its store, its socket for other processes, its HTTP interface.

use std::sync::Arc;
use std::time::{Duration, Instant};

use busway_core::{Admin, Endpoint, Error, ErrorKind, Name, Queue, Result, State, Transport};
use busway_embedded::socket;
use busway_http::{Aids, HttpServer};
pub use busway_http::{Reload, Reloaded, RenderMetrics, install_recorder};
pub use busway_runtime::Pulse;
use busway_runtime::{Change, FlowOptions, Runtime, RuntimeOptions};

use crate::config::{Config, Policy};
use crate::handlers::{self, Handlers};
use crate::named::Named;
use crate::office::{self, Line, Office, Running, Served};
use crate::registry;
use crate::reload::Plan;
use crate::remote::RemoteAdmin;
use crate::testing::Bench;

/// What a bus is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To take messages in and deliver them.
    Deliver,
    /// To publish, to look, or for one bounded run.
    Look,
}

/// A handler of this process, as an endpoint with its route.
#[derive(Clone)]
pub(crate) struct Subscription {
    pub(crate) name: String,
    pub(crate) types: Vec<String>,
    pub(crate) policy: Policy,
    pub(crate) endpoint: Arc<dyn Endpoint>,
}

/// What a bus is opened with.
#[derive(Default)]
pub struct OpenOptions {
    pub(crate) subscriptions: Vec<Subscription>,
    /// In place of what the configuration names, in tests.
    pub(crate) bench: Option<Arc<Bench>>,
    /// Gives the process's own metrics to `/metrics`.
    pub metrics: Option<RenderMetrics>,
    /// Serves `POST /v1/reload`: reads the configuration and gives it to [`Holder::reload`].
    pub reload: Option<Reload>,
}

impl Subscription {
    /// As the state store keeps it.
    pub(crate) fn named(&self) -> Named {
        Named {
            name: self.name.clone(),
            types: self.types.clone(),
            order: self.policy.order.as_str().to_owned(),
        }
    }
}

/// A bus held by this process. Dropping it is a forced stop: what was in hand is redelivered.
pub struct Holder {
    // In this order: whoever asks from outside goes first.
    http: Option<HttpServer>,
    socket: Option<socket::SocketServer>,
    office: Arc<Office>,
    transport: Arc<dyn Transport>,
}

impl Holder {
    /// Opens the bus's state and store, starts its actors, serves its socket and, for
    /// [`Purpose::Deliver`], its HTTP interface. Ready when it returns.
    ///
    /// Cancelling it lets go of what was opened.
    ///
    /// # Errors
    /// `Held` where another process holds the store; `Configuration`; those of files and addresses.
    pub async fn open(config: &Config, purpose: Purpose, options: OpenOptions) -> Result<Self> {
        let (transport, state) = match &options.bench {
            Some(bench) => (bench.transport(&config.bus.transport), bench.state()),
            None => (registry::transport(config)?, busway_state::open_url(&config.bus.state).await?),
        };
        let own = [Queue::Priority, Queue::Delayed, Queue::Dead];
        registry::provide(&*transport, &own, registry::declare(config)).await?;
        let OpenOptions { mut subscriptions, bench, metrics, reload } = options;
        if let Some(bench) = &bench {
            subscriptions.iter_mut().for_each(|own| own.endpoint = bench.observed(&own.endpoint));
        }
        let (queues, kept) = (Arc::clone(&transport), Arc::clone(&state));
        let handlers = Handlers::open(config, purpose, subscriptions, queues, kept).await?;
        let mut assembled = assemble(config, purpose, &handlers, &transport, state).await?;
        if let Some(bench) = &bench {
            let configured =
                assembled.endpoints.iter_mut().filter(|(name, _)| config.endpoints.contains_key(*name));
            configured.for_each(|(_, spec)| spec.endpoint = bench.observed(&spec.endpoint));
        } else {
            assembled.journal = registry::journal(config)?;
        }
        let running = Running { config: config.clone(), endpoints: assembled.endpoints.clone() };
        let runtime = Arc::new(match purpose {
            Purpose::Deliver => Runtime::start(assembled).await?,
            Purpose::Look => Runtime::start_idle(assembled).await?,
        });
        if purpose == Purpose::Deliver && handlers.needs_worker().await? {
            handlers.start_worker(config).await?;
        }
        let admin: Arc<dyn Admin> = Arc::clone(&runtime) as Arc<dyn Admin>;
        let office = Arc::new(Office::new(Arc::clone(&runtime), handlers, purpose, running));
        let socket = match registry::embedded_path(config).filter(|_| bench.is_none()) {
            None => None,
            Some(path) => {
                let verbs = Arc::new(Served::new(Arc::clone(&office)));
                Some(runtime.within(|| socket::serve(&path, verbs))?)
            }
        };
        let http = match (&config.http, purpose) {
            (Some(settings), Purpose::Deliver) => {
                Some(HttpServer::start(http_config(settings), admin, Aids { metrics, reload })?)
            }
            _ => None,
        };
        Ok(Self { http, socket, office, transport })
    }

    /// Goes by another configuration from now on, as far as that can be while messages flow: routes,
    /// added and changed endpoints, flow control. All that can is applied or, after an error, nothing.
    /// Says by key what holds now and what needs a restart.
    ///
    /// Cancelled, nothing is applied.
    ///
    /// # Errors
    /// `Conflict` while another reload is under way or where an endpoint has the name of a handler;
    /// `Configuration` where the parts that can change do not fit to what cannot; those of opening the
    /// endpoints; `Closed` once the bus stops.
    pub async fn reload(&self, new: &Config) -> Result<Reloaded> {
        let _turn = self.office.turn().await?;
        if let Some(name) = self.office.handlers.all().keys().find(|name| new.endpoints.contains_key(*name)) {
            return Err(handlers::taken(name));
        }
        let before = self.office.running();
        let plan = Plan::of(&before.config, new)?;
        if plan.reloaded.applied.is_empty() {
            return Ok(plan.reloaded);
        }
        let mut endpoints = plan.endpoints(&before.config, &before.endpoints, &self.transport).await?;
        let handlers = self.office.handlers.all();
        endpoints.extend(self.office.handlers.endpoints(&plan.next, handlers.values()).await?);
        self.office
            .runtime
            .change(Change {
                endpoints: endpoints.clone(),
                routes: self.office.routes(&plan.next),
                flow: flow(&plan.next),
            })
            .await?;
        self.office.go_by(Running { config: plan.next, endpoints });
        Ok(plan.reloaded)
    }

    /// What tells whether the bus answers; it does not keep it.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.office.runtime.pulse()
    }

    /// The configuration that the bus goes by: the one it was opened with, and what was reloaded.
    #[must_use]
    pub fn config(&self) -> Config {
        self.office.running().config.clone()
    }

    /// How long a stop may take.
    fn grace(&self) -> Duration {
        self.office.running().config.flow.shutdown_grace
    }

    /// Routes nothing more to the subscription of this name.
    ///
    /// # Errors
    /// `NotFound` where there is none; those of the state store.
    pub(crate) async fn unsubscribe(&self, name: &str) -> Result<()> {
        self.office.leave(name).await
    }

    /// The operator's verbs.
    #[must_use]
    pub fn admin(&self) -> Arc<dyn Admin> {
        Arc::clone(&self.office.runtime) as Arc<dyn Admin>
    }

    /// Where the HTTP interface listens, if there is one.
    #[must_use]
    pub fn http_address(&self) -> Option<std::net::SocketAddr> {
        self.http.as_ref().map(HttpServer::addr)
    }

    /// Waits until the bus cannot go on by itself, and says why.
    pub async fn failed(&self) -> Error {
        Error::new("run", ErrorKind::Internal, self.office.runtime.failed().await)
    }

    /// Stops in order within the grace; whether all that was in hand was finished. The rest is
    /// redelivered. Whoever asks from outside has half of it: a request that is never complete must
    /// not take the time of what is being delivered.
    ///
    /// Cancelled, the bus is left draining.
    pub async fn shutdown(&self) -> bool {
        let grace = self.grace();
        let until = Instant::now() + grace;
        let http = async {
            if let Some(http) = &self.http {
                http.stop(grace / 2).await;
            }
        };
        let socket = async {
            if let Some(socket) = &self.socket
                && !socket.close(grace / 2).await
            {
                tracing::warn!("verbs of other processes were in hand when their time was over");
            }
        };
        tokio::join!(http, socket);
        let left = || until.saturating_duration_since(Instant::now());
        // What the handlers have from their queues is settled on the transport that the bus closes.
        let (handled, drained) =
            tokio::join!(self.office.handlers.shutdown(left()), self.office.runtime.drain(left()));
        self.office.runtime.shutdown(left()).await && handled && drained
    }
}

/// The verbs of the process that holds the bus's store, if another one does.
///
/// # Errors
/// `Timeout` where it does not answer within `timeout`, with its process id.
pub async fn remote(config: &Config, timeout: Duration) -> Result<Option<Arc<dyn Admin>>> {
    let Some(path) = registry::embedded_path(config) else { return Ok(None) };
    if busway_embedded::is_held(&path).is_none() {
        return Ok(None);
    }
    let admin = RemoteAdmin::new(Line(socket::Client::connect(&path, timeout).await?), timeout);
    match admin.ping().await {
        Ok(()) => Ok(Some(Arc::new(admin))),
        // A ping does nothing, so it was surely not taken.
        Err(error) if error.kind() == ErrorKind::Unavailable => {
            Err(error.class_of(ErrorKind::Unavailable.class()))
        }
        Err(error) => Err(error),
    }
}

async fn assemble(
    config: &Config,
    purpose: Purpose,
    handlers: &Handlers,
    transport: &Arc<dyn Transport>,
    state: Arc<dyn State>,
) -> Result<RuntimeOptions> {
    let mut assembled = RuntimeOptions::new(Name::new(&config.bus.name)?, Arc::clone(transport), state);
    assembled.declare = registry::declare(config);
    let all = handlers.all();
    assembled.routes = office::routes(config, &all);
    assembled.endpoints = handlers.endpoints(config, all.values()).await?;
    for (name, settings) in &config.endpoints {
        let spec = registry::endpoint(config, name, settings, transport, purpose == Purpose::Look).await?;
        assembled.endpoints.insert(name.clone(), spec);
    }
    assembled.flow = flow(config);
    Ok(assembled)
}

/// The rules of flow control.
pub(crate) fn flow(config: &Config) -> FlowOptions {
    FlowOptions {
        workers: config.flow.workers,
        max_share: config.flow.max_share,
        window: config.flow.window,
        shutdown_grace: config.flow.shutdown_grace,
        credit: config.flow.credit,
        credit_bytes: config.flow.credit_bytes.bytes(),
        ..FlowOptions::default()
    }
}

fn http_config(settings: &crate::config::Http) -> busway_http::HttpConfig {
    busway_http::HttpConfig {
        token: settings.token.clone(),
        hosts: settings.hosts.clone(),
        max_body_bytes: settings.max_body.bytes(),
        max_stream_bytes: settings.max_stream.bytes() as u64,
        max_lines: settings.max_lines,
        max_batch: settings.max_batch,
        max_held_bytes: settings.max_held.bytes(),
        max_connections: settings.max_connections,
        deadline: settings.deadline,
        keep_alive: settings.keep_alive,
        ..busway_http::HttpConfig::new(settings.listen)
    }
}
