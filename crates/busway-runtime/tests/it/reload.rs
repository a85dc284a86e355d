//! Changes of a running bus.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use busway_core::transport::Filter;
use busway_core::{Admin, Delivery, DeliveryError, Endpoint, ErrorKind};
use busway_runtime::{Change, EndpointSpec, FlowOptions, Rate, RetrySchedule, RouteSpec, Runtime};

use crate::bench_bus::{
    Recorder, Store, add, add_spec, messages, options, publish, store, until, until_idle,
};
use crate::order::{assert_in_order, keyed, ordered};

/// One version of an endpoint: all of them deliver to one recorder.
struct Version {
    inner: Arc<Recorder>,
    closed: AtomicBool,
    /// Calls that came after the close.
    late: Arc<AtomicUsize>,
}

impl Version {
    fn new(inner: &Arc<Recorder>) -> Arc<Self> {
        Arc::new(Self { inner: inner.clone(), closed: AtomicBool::new(false), late: Arc::default() })
    }
}

#[async_trait]
impl Endpoint for Version {
    fn kind(&self) -> &'static str {
        "recorder"
    }

    async fn deliver(&self, batch: Vec<Delivery>) -> Vec<Result<(), DeliveryError>> {
        let before = self.closed.load(Ordering::SeqCst);
        let results = self.inner.deliver(batch).await;
        if before || self.closed.load(Ordering::SeqCst) {
            self.late.fetch_add(1, Ordering::SeqCst);
        }
        results
    }

    async fn test(&self) -> Result<String, DeliveryError> {
        self.inner.test().await
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }
}

fn route(types: &str, to: &[&str]) -> RouteSpec {
    RouteSpec {
        types: vec![types.to_owned()],
        accounts: Vec::new(),
        to: to.iter().map(ToString::to_string).collect(),
    }
}

fn change(endpoints: &[(&str, EndpointSpec)], routes: Vec<RouteSpec>) -> Change {
    let endpoints = endpoints.iter().map(|(name, spec)| ((*name).to_owned(), spec.clone()));
    Change { endpoints: endpoints.collect(), routes, flow: FlowOptions::default() }
}

fn flaky() -> Arc<Recorder> {
    let n = AtomicUsize::new(0);
    Recorder::new(move |_| {
        let n = n.fetch_add(1, Ordering::SeqCst);
        async move {
            tokio::time::sleep(Duration::from_micros(300)).await;
            if n % 11 == 3 { Err(DeliveryError::retry("flaky", "not now")) } else { Ok(()) }
        }
    })
}

/// The `n`-th change: other endpoint objects, limits and rates, and every other time a further route
/// to endpoints of which a new one comes with each tenth change.
fn flapping(n: usize, kept: &Arc<Recorder>, further: &Arc<Recorder>, late: &Arc<AtomicUsize>) -> Change {
    let made = |inner: &Arc<Recorder>| {
        Arc::new(Version { inner: inner.clone(), closed: AtomicBool::new(false), late: late.clone() })
    };
    let mut kept = EndpointSpec { endpoint: made(kept), ..ordered(kept.clone()) };
    kept.max_concurrency = 1 + n % 8;
    kept.rate = n.is_multiple_of(3).then_some(Rate { count: 50_000, per: Duration::from_secs(1) });
    let mut endpoints = BTreeMap::from([("kept".to_owned(), kept)]);
    let mut routes = vec![route("x", &["kept"])];
    let name = format!("further-{}", n / 10);
    endpoints.insert(name.clone(), EndpointSpec::new(made(further)));
    if n.is_multiple_of(2) {
        routes.push(route("#", &[&name, "kept"]));
    }
    let flow = FlowOptions {
        workers: 1 + n % 16,
        credit: 32 << (n % 5),
        window: Duration::from_millis(100 + n as u64),
        ..FlowOptions::default()
    };
    Change { endpoints, routes, flow }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_changes_under_load_lose_nothing_and_keep_order() {
    let (kept, further) = (flaky(), Recorder::willing());
    let late = Arc::new(AtomicUsize::new(0));
    let mut options = options(store());
    add_spec(&mut options, "kept", "x", ordered(kept.clone()));
    let bus = Arc::new(Runtime::start(options).await.unwrap());
    let publisher = bus.clone();
    let published = tokio::spawn(async move {
        for round in 0..100 {
            publish(&publisher, keyed(round * 40, 40, 16)).await;
            tokio::task::yield_now().await;
        }
    });
    for n in 0..200 {
        bus.change(flapping(n, &kept, &further, &late)).await.unwrap();
        let some = kept.count() + 10;
        until("some are delivered between two changes", || async { kept.count() >= some.min(4000) }).await;
    }
    published.await.unwrap();
    until("all are delivered", || async { kept.ids().len() == 4000 }).await;
    until_idle(&bus).await;
    assert!(kept.ids().values().all(|n| *n == 1));
    assert_in_order(&kept);
    let seen = further.ids();
    assert!(seen.len() > 100 && seen.len() < 4000, "{} went the further way", seen.len());
    assert!(seen.values().all(|n| *n == 1));
    assert!(bus.dead_list(Filter::default(), 10).await.unwrap().is_empty());
    assert_eq!(late.load(Ordering::SeqCst), 0, "calls of endpoints that were closed");
    assert_eq!(bus.endpoints().await.unwrap().len(), 21);
    assert!(bus.shutdown(Duration::from_secs(60)).await);
}

#[tokio::test]
async fn a_call_under_way_ends_by_what_it_began_with_and_then_its_endpoint_is_closed() {
    let leave = Arc::new(tokio::sync::Semaphore::new(0));
    let held = leave.clone();
    let before = Recorder::new(move |_| {
        let held = held.clone();
        async move {
            held.acquire().await.unwrap().forget();
            Err(DeliveryError::retry("late", "not now"))
        }
    });
    let after = Recorder::willing();
    let (old, new) = (Version::new(&before), Version::new(&after));
    let one_try = RetrySchedule { attempts: 1, ..RetrySchedule::default() };
    let mut options = options(store());
    let spec = EndpointSpec { max_concurrency: 1, retry: one_try, ..EndpointSpec::new(old.clone()) };
    add_spec(&mut options, "e", "#", spec);
    let bus = Runtime::start(options).await.unwrap();
    publish(&bus, messages(1, "x", "a")).await;
    until("it is under way", || async { before.at_once.load(Ordering::SeqCst) == 1 }).await;
    let spec = EndpointSpec { max_concurrency: 2, ..EndpointSpec::new(new.clone()) };
    bus.change(change(&[("e", spec)], vec![route("#", &["e"])])).await.unwrap();
    publish(&bus, messages(5, "x", "a")).await;
    until("the others go the new way", || async { after.count() == 5 }).await;
    assert!(!old.closed.load(Ordering::SeqCst), "it is in use");
    leave.add_permits(1);
    until("it is closed", || async { old.closed.load(Ordering::SeqCst) }).await;
    until("it is dead by the schedule it began with", || async {
        bus.dead_list(Filter::default(), 10).await.unwrap().len() == 1
    })
    .await;
    assert!(!new.closed.load(Ordering::SeqCst));
}

#[tokio::test]
async fn an_endpoint_that_is_added_gets_what_waits_for_it_and_stays_paused() {
    let storage = Store::new();
    let state = Arc::new(crate::bench_bus::TestState::default());
    let mut first = options(storage.open().await);
    first.state = state.clone();
    let ill = Recorder::new(|_| async { Err(DeliveryError::retry("ill", "ill")) });
    add(&mut first, "later", "#", ill);
    let bus = Runtime::start(first).await.unwrap();
    bus.endpoint_pause("later", true).await.unwrap();
    publish(&bus, messages(20, "x", "a")).await;
    until("all wait", || async { bus.endpoints().await.unwrap()[0].waiting == 20 }).await;
    assert!(bus.shutdown(Duration::from_secs(60)).await);

    let mut second = options(storage.open().await);
    second.state = state;
    let tried = Arc::new(AtomicBool::new(false));
    let now = Recorder::new(move |_| {
        let again = tried.swap(true, Ordering::SeqCst);
        async move { if again { Ok(()) } else { Err(DeliveryError::retry("ill", "not now")) } }
    });
    let later = Recorder::willing();
    let retry = RetrySchedule { first: Duration::from_millis(10), ..RetrySchedule::default() };
    add_spec(&mut second, "now", "#", EndpointSpec { retry, ..EndpointSpec::new(now.clone()) });
    let bus = Runtime::start(second).await.unwrap();
    // It came by way of `delayed`: from here on the read-back looks for endpoints only when it is told to.
    publish(&bus, messages(1, "x", "a")).await;
    until("the read-back reads", || async { now.count() == 1 }).await;
    assert_eq!(bus.snapshots().await["unread"]["later"], 20);
    let routes = vec![route("#", &["now", "later"])];
    bus.change(change(&[("later", EndpointSpec::new(later.clone()))], routes)).await.unwrap();
    assert_eq!(bus.snapshots().await["unread"], serde_json::json!({}));
    publish(&bus, messages(5, "x", "a")).await;
    until("the other one is served", || async { now.count() == 6 }).await;
    until_idle(&bus).await;
    assert_eq!(later.count(), 0, "it is paused");
    bus.endpoint_pause("later", false).await.unwrap();
    until("it has all", || async { later.ids().len() == 25 }).await;
    until_idle(&bus).await;
    assert!(later.ids().values().all(|n| *n == 1));
}

#[tokio::test]
async fn what_a_gate_has_learned_survives_and_an_endpoint_without_a_route_still_delivers() {
    let ill = Arc::new(AtomicBool::new(true));
    let is_ill = ill.clone();
    let endpoint = Recorder::new(move |_| {
        let ill = is_ill.load(Ordering::SeqCst);
        async move { if ill { Err(DeliveryError::retry("ill", "ill")) } else { Ok(()) } }
    });
    let retry =
        RetrySchedule { attempts: 90, first: Duration::from_millis(10), max: Duration::from_millis(50) };
    let spec = EndpointSpec { retry, ..EndpointSpec::new(endpoint.clone()) };
    let mut options = options(store());
    add_spec(&mut options, "e", "#", spec.clone());
    let bus = Runtime::start(options).await.unwrap();
    publish(&bus, messages(50, "x", "a")).await;
    let state = async || bus.endpoints().await.unwrap()[0].state.clone();
    until("it opens", || async { state().await == "closed" }).await;
    let other = Recorder::willing();
    let slower = EndpointSpec { max_concurrency: 3, ..spec };
    let routes = vec![route("#", &["other"])];
    let added = ("other", EndpointSpec::new(other.clone()));
    bus.change(change(&[("e", slower), added], routes)).await.unwrap();
    assert_ne!(state().await, "open", "the breaker has not forgotten");
    publish(&bus, messages(5, "x", "a")).await;
    until("the new route is gone by", || async { other.count() == 5 }).await;
    ill.store(false, Ordering::SeqCst);
    until("what waited is delivered", || async { endpoint.ids().len() == 50 }).await;
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    struct OfAnotherKind(Arc<Recorder>);
    #[async_trait]
    impl Endpoint for OfAnotherKind {
        fn kind(&self) -> &'static str {
            "another"
        }
        async fn deliver(&self, batch: Vec<Delivery>) -> Vec<Result<(), DeliveryError>> {
            self.0.deliver(batch).await
        }
        async fn test(&self) -> Result<String, DeliveryError> {
            Ok(String::new())
        }
        async fn close(&self) {}
    }
    let endpoint = Recorder::willing();
    let mut options = options(store());
    add(&mut options, "e", "#", endpoint.clone());
    let bus = Runtime::start(options).await.unwrap();
    let other = Recorder::willing();
    let refused = [
        change(&[], vec![route("#", &["nowhere"])]),
        change(&[], vec![route("a..b", &["e"])]),
        change(&[("e", EndpointSpec::new(Arc::new(OfAnotherKind(other.clone()))))], vec![route("#", &["e"])]),
        change(&[("e", ordered(other.clone()))], vec![route("#", &["e"])]),
        change(
            &[("f", EndpointSpec { max_concurrency: 0, ..EndpointSpec::new(other.clone()) })],
            vec![route("#", &["f"])],
        ),
    ];
    for (n, refused) in refused.into_iter().enumerate() {
        let error = bus.change(refused).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{n}: {error}");
    }
    publish(&bus, messages(5, "x", "a")).await;
    until("all go the old way", || async { endpoint.count() == 5 }).await;
    assert_eq!((other.count(), bus.endpoints().await.unwrap().len()), (0, 1));
    bus.drain(Duration::from_secs(60)).await;
    assert_eq!(bus.change(change(&[], Vec::new())).await.unwrap_err().kind(), ErrorKind::Closed);
    let idle = Runtime::start_idle(crate::bench_bus::options(store())).await.unwrap();
    assert_eq!(idle.change(change(&[], Vec::new())).await.unwrap_err().kind(), ErrorKind::Closed);
}
