//! A bus held by this process: its store, its socket for other processes, its HTTP interface.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use busway_core::{Admin, Endpoint, Error, ErrorKind, Name, Result, State, Transport};
use busway_embedded::socket;
use busway_http::HttpServer;
pub use busway_http::{RenderMetrics, install_recorder};
pub use busway_runtime::Pulse;
use busway_runtime::{Change, EndpointSpec, FlowOptions, RouteSpec, Runtime, RuntimeOptions};
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use crate::config::{Config, Policy};
use crate::registry;
use crate::reload::Plan;
pub use crate::reload::Reloaded;
use crate::remote::{AdminVerbs, Asker, RemoteAdmin};
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
}

/// A bus held by this process. Dropping it is a forced stop: what was in hand is redelivered.
pub struct Holder {
    // In this order: whoever asks from outside goes first.
    http: Option<HttpServer>,
    socket: Option<socket::SocketServer>,
    runtime: Arc<Runtime>,
    transport: Arc<dyn Transport>,
    subscriptions: Vec<Subscription>,
    running: Mutex<Arc<Running>>,
    reloading: Semaphore,
}

/// What the bus goes by.
struct Running {
    config: Config,
    endpoints: BTreeMap<String, EndpointSpec>,
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
        let assembled = assemble(config, purpose, &options, &transport, state).await?;
        let running = Running { config: config.clone(), endpoints: assembled.endpoints.clone() };
        let runtime = Arc::new(match purpose {
            Purpose::Deliver => Runtime::start(assembled).await?,
            Purpose::Look => Runtime::start_idle(assembled).await?,
        });
        let admin: Arc<dyn Admin> = Arc::clone(&runtime) as Arc<dyn Admin>;
        let path = registry::embedded_path(config).filter(|_| options.bench.is_none());
        let socket = match path {
            None => None,
            Some(path) => {
                let verbs = Arc::new(Served(AdminVerbs::new(Arc::clone(&admin))));
                Some(runtime.within(|| socket::serve(&path, verbs))?)
            }
        };
        let http = match (&config.http, purpose) {
            (Some(settings), Purpose::Deliver) => {
                Some(HttpServer::start(http_config(settings), admin, options.metrics)?)
            }
            _ => None,
        };
        Ok(Self {
            http,
            socket,
            runtime,
            transport,
            subscriptions: options.subscriptions,
            running: Mutex::new(Arc::new(running)),
            reloading: Semaphore::new(1),
        })
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
        let failed = |detail: String| Error::new("reload", ErrorKind::Conflict, detail);
        let _alone = self.reloading.try_acquire().map_err(|_| failed("another is under way".to_owned()))?;
        if let Some(taken) = self.subscriptions.iter().find(|s| new.endpoints.contains_key(&s.name)) {
            return Err(failed(format!("the endpoint {} has the name of a handler", taken.name)));
        }
        let before = self.running();
        let plan = Plan::of(&before.config, new)?;
        if plan.reloaded.applied.is_empty() {
            return Ok(plan.reloaded);
        }
        let mut endpoints = plan.endpoints(&before.config, &before.endpoints, &self.transport).await?;
        for (subscription, spec) in
            self.subscriptions.iter().filter_map(|s| Some((s, before.endpoints.get(&s.name)?)))
        {
            let spec = registry::handler(&plan.next, &subscription.policy, Arc::clone(&spec.endpoint));
            endpoints.insert(subscription.name.clone(), spec);
        }
        self.runtime
            .change(Change {
                endpoints: endpoints.clone(),
                routes: routes(&plan.next, &self.subscriptions),
                flow: flow(&plan.next),
            })
            .await?;
        let now = Arc::new(Running { config: plan.next, endpoints });
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(plan.reloaded)
    }

    /// What tells whether the bus answers; it does not keep it.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.runtime.pulse()
    }

    /// The configuration that the bus goes by: the one it was opened with, and what was reloaded.
    #[must_use]
    pub fn config(&self) -> Config {
        self.running().config.clone()
    }

    /// How long a stop may take.
    fn grace(&self) -> Duration {
        self.running().config.flow.shutdown_grace
    }

    fn running(&self) -> Arc<Running> {
        Arc::clone(&self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The operator's verbs.
    #[must_use]
    pub fn admin(&self) -> Arc<dyn Admin> {
        Arc::clone(&self.runtime) as Arc<dyn Admin>
    }

    /// Where the HTTP interface listens, if there is one.
    #[must_use]
    pub fn http_address(&self) -> Option<std::net::SocketAddr> {
        self.http.as_ref().map(HttpServer::addr)
    }

    /// Waits until the bus cannot go on by itself, and says why.
    pub async fn failed(&self) -> Error {
        Error::new("run", ErrorKind::Internal, self.runtime.failed().await)
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
        self.runtime.shutdown(until.saturating_duration_since(Instant::now())).await
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
    options: &OpenOptions,
    transport: &Arc<dyn Transport>,
    state: Arc<dyn State>,
) -> Result<RuntimeOptions> {
    let mut assembled = RuntimeOptions::new(Name::new(&config.bus.name)?, Arc::clone(transport), state);
    assembled.declare = registry::declare(config);
    assembled.routes = routes(config, &options.subscriptions);
    for (name, settings) in &config.endpoints {
        let spec = registry::endpoint(config, name, settings, transport, purpose == Purpose::Look).await?;
        assembled.endpoints.insert(name.clone(), spec);
    }
    for subscription in &options.subscriptions {
        let spec = registry::handler(config, &subscription.policy, Arc::clone(&subscription.endpoint));
        assembled.endpoints.insert(subscription.name.clone(), spec);
    }
    if let Some(bench) = &options.bench {
        assembled.endpoints.iter_mut().for_each(|(name, spec)| bench.observe(name, spec));
    }
    assembled.flow = flow(config);
    Ok(assembled)
}

/// The routes that are configured, and those of the handlers.
fn routes(config: &Config, subscriptions: &[Subscription]) -> Vec<RouteSpec> {
    let of_handler = |subscription: &Subscription| RouteSpec {
        types: subscription.types.clone(),
        accounts: Vec::new(),
        to: vec![subscription.name.clone()],
    };
    registry::routes(config).into_iter().chain(subscriptions.iter().map(of_handler)).collect()
}

fn flow(config: &Config) -> FlowOptions {
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

/// The holder's end of the socket.
struct Served(AdminVerbs);

#[async_trait]
impl socket::Verbs for Served {
    async fn call(&self, _verb: &str, params: Box<RawValue>) -> Result<Box<RawValue>> {
        let answer = self.0.answer(params.get().as_bytes()).await;
        String::from_utf8(answer)
            .ok()
            .and_then(|text| RawValue::from_string(text).ok())
            .ok_or_else(|| Error::new("answer", ErrorKind::Internal, "an answer has no JSON form"))
    }
}

/// Another process's end of the socket.
struct Line(socket::Client);

#[async_trait]
impl Asker for Line {
    async fn ask(&self, call: &[u8], deadline: Duration) -> Result<Vec<u8>> {
        let text = std::str::from_utf8(call)
            .ok()
            .and_then(|text| RawValue::from_string(text.to_owned()).ok())
            .ok_or_else(|| Error::new("ask", ErrorKind::Internal, "a call has no JSON form"))?;
        let answer = self.0.call("admin", text, deadline).await?;
        Ok(answer.get().as_bytes().to_vec())
    }
}
