//! What a runtime is built from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use busway_core::journal::NoJournal;
use busway_core::transport::Declare;
use busway_core::{Endpoint, Error, ErrorKind, Journal, Name, Queue, Result, State, Transport};

use crate::faults::Faults;
use crate::pace::Rate;
use crate::routes::RouteSpec;

/// A whole bus: where its queues live, where its messages go, and by which rules.
pub struct RuntimeOptions {
    /// The bus's name.
    pub bus: Name,
    /// Where the three queues live.
    pub transport: Arc<dyn Transport>,
    /// Pauses, weights and the memory of the gates.
    pub state: Arc<dyn State>,
    /// What became of messages is kept here; nowhere by default.
    pub journal: Arc<dyn Journal>,
    /// Whether missing queues are made.
    pub declare: Declare,
    /// The endpoints by name.
    pub endpoints: BTreeMap<String, EndpointSpec>,
    /// Which messages go to which endpoints.
    pub routes: Vec<RouteSpec>,
    /// The rules of flow control.
    pub flow: FlowOptions,
    /// How actors are restarted.
    pub restarts: RestartPolicy,
    /// Faults that tests inject; none by default.
    pub faults: Faults,
}

impl RuntimeOptions {
    /// A bus without endpoints, with the default rules.
    #[must_use]
    pub fn new(bus: Name, transport: Arc<dyn Transport>, state: Arc<dyn State>) -> Self {
        Self {
            bus,
            transport,
            state,
            journal: Arc::new(NoJournal),
            declare: Declare::Create,
            endpoints: BTreeMap::new(),
            routes: Vec::new(),
            flow: FlowOptions::default(),
            restarts: RestartPolicy::default(),
            faults: Faults::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |detail: String| Err(Error::new("start", ErrorKind::Configuration, detail));
        for route in &self.routes {
            if let Some(missing) = route.to.iter().find(|to| !self.endpoints.contains_key(*to)) {
                return refuse(format!("a route names the endpoint {missing:?}, which does not exist"));
            }
        }
        for (name, spec) in &self.endpoints {
            spec.check(name, &*self.transport)?;
        }
        self.flow.check()
    }
}

/// Messages and bytes that one endpoint may hold.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Room {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// One endpoint and how it is treated.
#[derive(Clone)]
pub struct EndpointSpec {
    /// Delivers.
    pub endpoint: Arc<dyn Endpoint>,
    /// Most calls at once.
    pub max_concurrency: usize,
    /// Most messages in a time, where limited.
    pub rate: Option<Rate>,
    /// When failed deliveries are tried again.
    pub retry: RetrySchedule,
    /// Whether, and by what, order is kept.
    pub order: Order,
    /// The longest one call may take, over the endpoint's own time-out.
    pub deadline: Duration,
    /// The queue of the bus's own transport that it writes to, if any: shown among the queues.
    pub queue: Option<Queue>,
}

impl EndpointSpec {
    /// An endpoint with 16 calls at once, the default schedule and no order.
    #[must_use]
    pub fn new(endpoint: Arc<dyn Endpoint>) -> Self {
        Self {
            endpoint,
            max_concurrency: 16,
            rate: None,
            retry: RetrySchedule::default(),
            order: Order::None,
            deadline: Duration::from_secs(300),
            queue: None,
        }
    }

    pub(crate) fn check(&self, name: &str, transport: &dyn Transport) -> Result<()> {
        let refuse = |detail: String| {
            Err(Error::new("check", ErrorKind::Configuration, detail).at(format!("endpoint {name}")))
        };
        if self.order != Order::None && !transport.capabilities().groups.available() {
            return refuse(format!(
                "it asks for order, which the transport {:?} cannot keep",
                transport.name()
            ));
        }
        if self.max_concurrency == 0 {
            return refuse("it has a concurrency of 0".to_owned());
        }
        Ok(())
    }
}

/// By what an endpoint keeps order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// It does not.
    #[default]
    None,
    /// By `partitionkey`; messages without one are not ordered.
    PartitionKey,
    /// By account; messages without one share a line.
    Account,
}

/// When a failed delivery is tried again: after `first`, then twice as long each time, up to `max`,
/// each with up to a tenth more by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetrySchedule {
    /// Tries in all, the first one included; then the message is dead.
    pub attempts: u32,
    /// The first wait.
    pub first: Duration,
    /// The longest wait.
    pub max: Duration,
}

impl Default for RetrySchedule {
    fn default() -> Self {
        Self { attempts: 10, first: Duration::from_secs(1), max: Duration::from_secs(3600) }
    }
}

impl RetrySchedule {
    /// The wait after the `tried`-th try (counted from 1) has failed.
    #[must_use]
    pub fn wait(&self, tried: u32) -> Duration {
        let factor = 2u32.saturating_pow(tried.saturating_sub(1).min(31));
        let base = self.first.saturating_mul(factor).min(self.max);
        base + base.mul_f64(fastrand::f64() * 0.1)
    }
}

/// The rules of flow control.
#[derive(Clone, Debug)]
pub struct FlowOptions {
    /// Deliveries (calls) at once, over all endpoints.
    pub workers: usize,
    /// Part of the window's volume an account may have while others wait.
    pub max_share: f64,
    /// The window that volume is counted over.
    pub window: Duration,
    /// How long a graceful stop may take.
    pub shutdown_grace: Duration,
    /// Most messages in the process at once, from `priority`.
    pub credit: usize,
    /// Most bytes of messages in the process at once, from `priority`.
    pub credit_bytes: usize,
    /// Most messages that wait to be published at once.
    pub publish_backlog: usize,
    /// Most bytes that wait to be published at once.
    pub publish_backlog_bytes: usize,
    /// How long one publish to the transport, or one settle, may take.
    pub publish_deadline: Duration,
    /// Times a message may be handed out without any outcome before it is dead: it is taken to be
    /// what kills the process.
    pub max_deliveries: u32,
    /// How long received messages are leased; extended while they are in hand.
    pub lease: Duration,
}

impl FlowOptions {
    /// What one of so many endpoints may hold: a part of the credit for each of them, and one for what
    /// is on its way to be routed or parked, so that none takes all and stops the intake.
    pub(crate) fn room(&self, endpoints: usize) -> Room {
        let parts = endpoints + 1;
        Room { messages: (self.credit / parts).max(LEAST_PLACES), bytes: (self.credit_bytes / parts).max(1) }
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.workers == 0 || self.credit == 0 || self.credit_bytes == 0 {
            let detail = "workers, credit and credit_bytes must be over 0";
            return Err(Error::new("check", ErrorKind::Configuration, detail));
        }
        Ok(())
    }
}

impl Default for FlowOptions {
    fn default() -> Self {
        Self {
            workers: 64,
            max_share: 0.25,
            window: Duration::from_secs(10),
            shutdown_grace: Duration::from_secs(30),
            credit: 1024,
            credit_bytes: 64 << 20,
            publish_backlog: 16_384,
            publish_backlog_bytes: 64 << 20,
            publish_deadline: Duration::from_secs(20),
            max_deliveries: 32,
            lease: Duration::from_secs(60),
        }
    }
}

/// How actors are restarted after a panic.
#[derive(Clone, Copy, Debug)]
pub struct RestartPolicy {
    /// The first wait; doubled each time, a tenth of chance added.
    pub first: Duration,
    /// The longest wait.
    pub max: Duration,
    /// Restarts of one actor within `window` after which the process gives up.
    pub budget: usize,
    /// The time that restarts are counted over.
    pub window: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(10),
            max: Duration::from_secs(5),
            budget: 20,
            window: Duration::from_secs(60),
        }
    }
}

/// So that the next message is at hand when a call ends.
const LEAST_PLACES: usize = 2;

/// The queues every bus has.
pub(crate) const QUEUES: [Queue; 3] = [Queue::Priority, Queue::Delayed, Queue::Dead];
