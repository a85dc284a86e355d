//! Which kinds of transports and endpoints there are: the only place that names them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use busway_core::journal::NoJournal;
use busway_core::transport::Declare;
use busway_core::{Endpoint, Error, ErrorKind, Journal, Queue, Result, Transport};
use busway_embedded::{EmbeddedConfig, EmbeddedTransport};
use busway_endpoints::{
    ExecConfig, ExecEndpoint, FileConfig, FileEndpoint, HttpConfig, HttpEndpoint, Mode, QueueEndpoint,
};
use busway_journal::{FileJournal, JournalOptions};
use busway_runtime::{EndpointSpec, Order, Rate, RetrySchedule, RouteSpec};

use crate::config::{self, Config, DeclareMode, Target, TransportKind};
use crate::lazy::LazyEndpoint;

/// The most messages one call of a batching endpoint carries.
const BATCH: usize = 512;

/// Opens the transport that the bus's queues live on.
///
/// # Errors
/// `Held` where another process holds an embedded store; those of the transport.
pub fn transport(config: &Config) -> Result<Arc<dyn Transport>> {
    let name = &config.bus.transport;
    let settings = config.transports.get(name).ok_or_else(|| {
        Error::new("open", ErrorKind::Configuration, "there is no such transport")
            .at(format!("transports.{name}"))
    })?;
    match &settings.kind {
        TransportKind::Embedded(embedded) => {
            let mut options = EmbeddedConfig::new(name, &config.bus.name, &embedded.path);
            options.max_message_bytes = embedded.max_message.bytes();
            Ok(EmbeddedTransport::open(options)?)
        }
    }
}

/// Where an embedded store of the bus lies, if it has one.
#[must_use]
pub fn embedded_path(config: &Config) -> Option<PathBuf> {
    let settings = config.transports.get(&config.bus.transport)?;
    let TransportKind::Embedded(embedded) = &settings.kind;
    Some(embedded.path.clone())
}

/// Where what became of messages is kept.
///
/// # Errors
/// Those of [`FileJournal::open`].
pub fn journal(config: &Config) -> Result<Arc<dyn Journal>> {
    let settings = &config.journal;
    if settings.keep.is_zero() {
        return Ok(Arc::new(NoJournal));
    }
    Ok(Arc::new(FileJournal::open(JournalOptions {
        directory: settings.path.clone(),
        bus: config.bus.name.clone(),
        keep: settings.keep,
        max_bytes: settings.max_size.0,
    })?))
}

/// Whether the bus makes its queues or only verifies them.
#[must_use]
pub fn declare(config: &Config) -> Declare {
    match config.transports.get(&config.bus.transport).map(|settings| settings.common.declare) {
        Some(DeclareMode::Verify) => Declare::Verify,
        _ => Declare::Create,
    }
}

/// Makes these queues, or verifies that they are there.
///
/// # Errors
/// `Configuration` where some are missing and none may be made, with their names on the broker; those
/// of the transport.
pub async fn provide(transport: &dyn Transport, queues: &[Queue], declare: Declare) -> Result<()> {
    if declare != Declare::Verify {
        return transport.declare(queues, declare).await;
    }
    let mut missing = Vec::new();
    for queue in queues {
        match transport.declare(std::slice::from_ref(queue), declare).await {
            Err(error) if error.kind() == ErrorKind::NotFound => missing.push(transport.physical(queue)),
            verified => verified?,
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let detail = format!("an administrator must create: {}", missing.join(", "));
    Err(Error::new("verify", ErrorKind::Configuration, detail)
        .at(format!("transports.{}", transport.name()))
        .advise("or set declare = \"create\""))
}

/// The endpoint of this name. `lazy` ones open nothing before their first use.
///
/// # Errors
/// `Configuration`, and those of opening files.
pub async fn endpoint(
    config: &Config,
    name: &str,
    settings: &config::Endpoint,
    transport: &Arc<dyn Transport>,
    lazy: bool,
) -> Result<EndpointSpec> {
    let (kind, batch) = match &settings.target {
        Target::Http(_) => ("http", 1),
        Target::Exec(_) => ("exec", 1),
        Target::File(_) => ("file", BATCH),
        Target::Queue(_) => ("queue", BATCH),
    };
    let declare = self::declare(config);
    let made: Arc<dyn Endpoint> = if lazy {
        let (owned, name, transport) = (settings.clone(), name.to_owned(), Arc::clone(transport));
        Arc::new(LazyEndpoint::new(kind, batch, move || {
            let (owned, name, transport) = (owned.clone(), name.clone(), Arc::clone(&transport));
            async move { make(&name, &owned, &transport, declare).await }
        }))
    } else {
        make(name, settings, transport, declare).await?
    };
    treated(config, settings, made)
}

/// An endpoint that is made, treated as its settings say.
///
/// # Errors
/// `Configuration` for a queue that has no name.
pub fn treated(
    config: &Config,
    settings: &config::Endpoint,
    made: Arc<dyn Endpoint>,
) -> Result<EndpointSpec> {
    let spec = handler(config, &settings.policy, made);
    let batches = spec.endpoint.max_batch() > 1;
    Ok(EndpointSpec {
        // A batching endpoint gains nothing from many calls side by side.
        max_concurrency: if batches { spec.max_concurrency.min(2) } else { spec.max_concurrency },
        // The endpoint keeps its own time-out; this one is for an endpoint that does not.
        deadline: settings.policy.timeout * 2 + Duration::from_secs(10),
        queue: match &settings.target {
            Target::Queue(target) => Some(Queue::parse(&target.queue)?),
            _ => None,
        },
        ..spec
    })
}

/// A handler of this process under its policy; the time-out is kept for it.
#[must_use]
pub fn handler(config: &Config, policy: &config::Policy, endpoint: Arc<dyn Endpoint>) -> EndpointSpec {
    EndpointSpec {
        max_concurrency: config.max_concurrency(policy),
        rate: policy.rate.map(|rate| Rate { count: rate.count, per: rate.per }),
        retry: RetrySchedule {
            attempts: policy.retry.attempts,
            first: policy.retry.first,
            max: policy.retry.max,
        },
        order: match policy.order {
            config::Order::None => Order::None,
            config::Order::PartitionKey => Order::PartitionKey,
            config::Order::Account => Order::Account,
        },
        deadline: policy.timeout,
        ..EndpointSpec::new(endpoint)
    }
}

/// The routes as the runtime takes them.
#[must_use]
pub fn routes(config: &Config) -> Vec<RouteSpec> {
    let route = |route: &config::Route| RouteSpec {
        types: route.r#type.clone(),
        accounts: route.account.clone().unwrap_or_default(),
        to: route.to.clone(),
    };
    config.routes.iter().map(route).collect()
}

async fn make(
    name: &str,
    settings: &config::Endpoint,
    transport: &Arc<dyn Transport>,
    declare: Declare,
) -> Result<Arc<dyn Endpoint>> {
    let timeout = settings.policy.timeout;
    Ok(match &settings.target {
        Target::Http(target) => Arc::new(HttpEndpoint::new(HttpConfig {
            mode: match target.mode {
                config::Mode::Wait => Mode::Wait,
                config::Mode::Forget => Mode::Forget,
            },
            timeout,
            headers: target.headers.iter().map(|(k, v)| (k.clone(), v.expose().to_owned())).collect(),
            token: target.token.clone(),
            ..HttpConfig::new(name, &target.url)
        })?),
        Target::File(target) => {
            Arc::new(FileEndpoint::new(FileConfig { timeout, ..FileConfig::new(name, &target.path) })?)
        }
        Target::Queue(target) => {
            let queue = Queue::parse(&target.queue)?;
            provide(&**transport, std::slice::from_ref(&queue), declare).await?;
            Arc::new(QueueEndpoint::new(transport.sender().await?, queue))
        }
        Target::Exec(target) => {
            let (program, args) = target.command.split_first().ok_or_else(|| {
                Error::new("open", ErrorKind::Configuration, "the command is empty")
                    .at(format!("endpoints.{name}"))
            })?;
            Arc::new(ExecEndpoint::new(ExecConfig {
                timeout,
                args: args.to_vec(),
                env: target.env.iter().map(|(k, v)| (k.clone(), v.expose().to_owned())).collect(),
                ..ExecConfig::new(name, program)
            })?)
        }
    })
}
