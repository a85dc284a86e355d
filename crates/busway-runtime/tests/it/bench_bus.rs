//! A bus to test on: an endpoint that records what it gets and does as it is told.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use busway_core::admin::PublishOutcome;
use busway_core::{Delivery, DeliveryError, Endpoint, ErrorKind, Message, Name, State, Transport};
use busway_embedded::{EmbeddedConfig, EmbeddedTransport};
use busway_runtime::{EndpointSpec, RouteSpec, Runtime, RuntimeOptions};
use bytes::Bytes;

type Answer = Pin<Box<dyn Future<Output = Result<(), DeliveryError>> + Send>>;
type Behaviour = dyn Fn(Delivery) -> Answer + Send + Sync;

/// Records every delivery that succeeded, in order.
pub(crate) struct Recorder {
    behaviour: Box<Behaviour>,
    pub(crate) seen: Mutex<Vec<Message>>,
    pub(crate) at_once: AtomicUsize,
    pub(crate) most_at_once: AtomicUsize,
}

impl Recorder {
    pub(crate) fn new<F>(behaviour: impl Fn(Delivery) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Result<(), DeliveryError>> + Send + 'static,
    {
        Arc::new(Self {
            behaviour: Box::new(move |delivery| Box::pin(behaviour(delivery))),
            seen: Mutex::default(),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        })
    }

    pub(crate) fn willing() -> Arc<Self> {
        Self::new(|_| async { Ok(()) })
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// How often each id was delivered.
    pub(crate) fn ids(&self) -> HashMap<String, usize> {
        let mut ids = HashMap::new();
        for message in self.seen.lock().unwrap().iter() {
            *ids.entry(message.id.clone()).or_default() += 1;
        }
        ids
    }
}

#[async_trait]
impl Endpoint for Recorder {
    fn kind(&self) -> &'static str {
        "recorder"
    }

    async fn deliver(&self, batch: Vec<Delivery>) -> Vec<Result<(), DeliveryError>> {
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        let _leaving = Leaving(&self.at_once);
        let mut results = Vec::new();
        for delivery in batch {
            let message = Message::clone(&delivery.message);
            let result = (self.behaviour)(delivery).await;
            if result.is_ok() {
                self.seen.lock().unwrap().push(message);
            }
            results.push(result);
        }
        results
    }

    async fn test(&self) -> Result<String, DeliveryError> {
        Ok("it records".to_owned())
    }

    async fn close(&self) {}
}

struct Leaving<'a>(&'a AtomicUsize);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// State in memory, shared by the buses of one test.
#[derive(Default)]
pub(crate) struct TestState(Mutex<(u64, BTreeMap<String, busway_core::state::Versioned>)>);

#[async_trait]
impl State for TestState {
    async fn get(&self, key: &str) -> busway_core::Result<Option<busway_core::state::Versioned>> {
        Ok(self.0.lock().unwrap().1.get(key).cloned())
    }

    async fn list(&self, prefix: &str) -> busway_core::Result<Vec<(String, busway_core::state::Versioned)>> {
        let state = self.0.lock().unwrap();
        Ok(state
            .1
            .iter()
            .filter(|(k, _)| k.starts_with(prefix))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect())
    }

    async fn swap(
        &self,
        key: &str,
        expected: Option<u64>,
        value: Option<Bytes>,
    ) -> busway_core::Result<busway_core::state::Swap> {
        let mut state = self.0.lock().unwrap();
        let now = state.1.get(key).cloned();
        if now.as_ref().map(|v| v.version) != expected {
            return Ok(busway_core::state::Swap::Conflict(now));
        }
        state.0 += 1;
        let version = state.0;
        match value {
            Some(value) => state.1.insert(key.to_owned(), busway_core::state::Versioned { value, version }),
            None => state.1.remove(key),
        };
        Ok(busway_core::state::Swap::Done(version))
    }

    async fn close(&self) -> busway_core::Result<()> {
        Ok(())
    }
}

pub(crate) fn options(transport: Arc<dyn Transport>) -> RuntimeOptions {
    let mut options =
        RuntimeOptions::new(Name::new("test").unwrap(), transport, Arc::new(TestState::default()));
    options.restarts.first = Duration::from_millis(1);
    options.restarts.max = Duration::from_millis(20);
    options
}

/// The durable store in a directory; opened again, it has what the one before has left.
pub(crate) struct Store(tempfile::TempDir);

impl Store {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// # Panics
    /// When the store cannot be opened within 60 seconds of its last user's end.
    pub(crate) async fn open(&self) -> Arc<dyn Transport> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match EmbeddedTransport::open(EmbeddedConfig::new("local", "test", self.0.path())) {
                Ok(transport) => return transport,
                Err(error) if error.kind() == ErrorKind::Held => {
                    assert!(Instant::now() < deadline, "{error}");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A new durable store, gone with the test.
pub(crate) fn store() -> Arc<dyn Transport> {
    thread_local! {
        static DIRECTORIES: std::cell::RefCell<Vec<tempfile::TempDir>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    let dir = tempfile::tempdir().unwrap();
    let transport = EmbeddedTransport::open(EmbeddedConfig::new("local", "test", dir.path())).unwrap();
    DIRECTORIES.with_borrow_mut(|kept| kept.push(dir));
    transport
}

pub(crate) fn add(options: &mut RuntimeOptions, name: &str, types: &str, endpoint: Arc<Recorder>) {
    add_spec(options, name, types, EndpointSpec::new(endpoint));
}

pub(crate) fn add_spec(options: &mut RuntimeOptions, name: &str, types: &str, spec: EndpointSpec) {
    options.endpoints.insert(name.to_owned(), spec);
    options.routes.push(RouteSpec {
        types: vec![types.to_owned()],
        accounts: Vec::new(),
        to: vec![name.to_owned()],
    });
}

pub(crate) fn messages(count: usize, r#type: &str, account: &str) -> Vec<Message> {
    (0..count).map(|n| Message::new(r#type, n.to_string()).account(account)).collect()
}

/// Publishes and insists that all are stored; returns their ids.
pub(crate) async fn publish(bus: &Runtime, messages: Vec<Message>) -> Vec<String> {
    let results = bus.publish(messages, Duration::from_secs(60)).await;
    assert!(results.iter().all(|r| r.outcome == PublishOutcome::Stored), "{results:?}");
    results.into_iter().map(|r| r.id).collect()
}

/// Waits until `done` holds.
///
/// # Panics
/// When it does not within 120 seconds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut done: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !done().await {
        assert!(Instant::now() < deadline, "not within 120 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn until_idle(bus: &Runtime) {
    until("nothing in hand", || async { bus.in_hand() == 0 }).await;
}
