//! Shares, gates, pauses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use busway_core::{Admin, DeliveryError, Reason};
use busway_runtime::{EndpointSpec, Runtime};
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use crate::bench_bus::{
    Recorder, Store, add, add_spec, messages, options, publish, store, until, until_idle,
};

fn diverted(snapshot: &serde_json::Value, reason: &str) -> u64 {
    let by_endpoint: u64 = snapshot["actors"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|a| a["figures"]["figures"]["diverted"][reason].as_u64())
        .sum();
    by_endpoint + if reason == "share" { snapshot["totals"]["share_diverted"].as_u64().unwrap() } else { 0 }
}

async fn overload(accounts: &[(&str, usize)]) -> (serde_json::Value, Arc<Recorder>, usize) {
    let slow = Recorder::new(|_| async {
        tokio::time::sleep(Duration::from_millis(2)).await;
        Ok(())
    });
    let mut options = options(store());
    add_spec(
        &mut options,
        "slow",
        "#",
        EndpointSpec { max_concurrency: 4, ..EndpointSpec::new(slow.clone()) },
    );
    let bus = Runtime::start(options).await.unwrap();
    let total: usize = accounts.iter().map(|(_, n)| n).sum();
    let mut left: Vec<(&str, usize)> = accounts.to_vec();
    // About 5,000 a second to an endpoint that takes 2,000.
    let mut pace = tokio::time::interval(Duration::from_millis(8));
    // Catching up after a stall would bring more at once than the load is meant to be.
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while left.iter().any(|(_, n)| *n > 0) {
        pace.tick().await;
        let mut batch = Vec::new();
        for ((account, left), (_, all)) in left.iter_mut().zip(accounts) {
            let take = (all / 50).max(1).min(*left);
            *left -= take;
            batch.extend(messages(take, "x", account));
        }
        publish(&bus, batch).await;
    }
    until("all delivered", || async { slow.count() >= total }).await;
    until_idle(&bus).await;
    let snapshot = bus.snapshots().await;
    bus.shutdown(Duration::from_secs(60)).await;
    (snapshot, slow, total)
}

#[tokio::test]
async fn equal_accounts_at_overload_are_not_diverted_for_share() {
    for accounts in [&["a"][..], &["a", "b"], &["a", "b", "c"], &["a", "b", "c", "d"]] {
        let load: Vec<_> = accounts.iter().map(|a| (*a, 400)).collect();
        let (snapshot, seen, total) = overload(&load).await;
        assert_eq!(seen.ids().len(), total);
        assert_eq!(diverted(&snapshot, "share"), 0, "{accounts:?}: {snapshot}");
    }
}

#[tokio::test]
async fn of_99_to_1_the_loud_account_is_diverted_and_all_of_it_arrives() {
    let (snapshot, seen, total) = overload(&[("quiet", 20), ("loud", 1980)]).await;
    assert_eq!(seen.ids().len(), total);
    assert!(diverted(&snapshot, "share") > 0, "{snapshot}");
    let seen = seen.seen.lock().unwrap();
    let quiet: Vec<_> = seen.iter().filter(|m| m.account.as_deref() == Some("quiet")).collect();
    assert_eq!(quiet.len(), 20);
    assert!(
        quiet.iter().all(|m| m.reason != Some(Reason::Share)),
        "the quiet account was diverted for share"
    );
    let direct = quiet.iter().filter(|m| m.reason.is_none()).count();
    assert!(direct >= 10, "{direct} of 20 messages of the quiet account found room at once");
}

#[tokio::test]
async fn a_closed_endpoint_costs_the_others_nothing() {
    let release = Arc::new(Notify::new());
    let held = release.clone();
    let stuck = Recorder::new(move |_| {
        let held = held.clone();
        async move {
            held.notified().await;
            Ok(())
        }
    });
    let quick = Recorder::willing();
    let mut options = options(store());
    add(&mut options, "stuck", "#", stuck.clone());
    add(&mut options, "quick", "#", quick.clone());
    let bus = Runtime::start(options).await.unwrap();
    publish(&bus, messages(3000, "x", "a")).await;
    until("the quick one has all", || async { quick.count() == 3000 }).await;
    assert_eq!(stuck.count(), 0);
    until("the rest of the stuck one waits", || async {
        let rows = bus.endpoints().await.unwrap();
        rows.iter().any(|row| row.endpoint == "stuck" && row.waiting > 2900)
    })
    .await;
    until("the stuck one is let go", || async {
        release.notify_waiters();
        stuck.count() == 3000
    })
    .await;
    assert!(stuck.most_at_once.load(Ordering::SeqCst) <= 16);
}

#[tokio::test]
async fn an_endpoint_that_asks_for_rest_is_left_alone() {
    let asked = Arc::new(AtomicUsize::new(0));
    let since = Arc::new(std::sync::Mutex::new(None::<Instant>));
    let (count, first) = (asked.clone(), since.clone());
    let tired = Recorder::new(move |_| {
        let n = count.fetch_add(1, Ordering::SeqCst);
        let refused = n == 0;
        if refused {
            *first.lock().unwrap() = Some(Instant::now());
        }
        let early = first.lock().unwrap().is_some_and(|at| at.elapsed() < Duration::from_millis(4500));
        async move {
            match (refused, early) {
                (true, _) => {
                    Err(DeliveryError::retry("status-503", "busy").after(Duration::from_secs(5)).overload())
                }
                (_, true) => Err(DeliveryError::reject("early", "it was asked not to")),
                _ => Ok(()),
            }
        }
    });
    let mut options = options(store());
    add_spec(
        &mut options,
        "tired",
        "#",
        EndpointSpec { max_concurrency: 1, ..EndpointSpec::new(tired.clone()) },
    );
    let bus = Runtime::start(options).await.unwrap();
    publish(&bus, messages(1, "x", "a")).await;
    until("refused once", || async { asked.load(Ordering::SeqCst) == 1 }).await;
    until("the gate knows", || async { bus.endpoints().await.unwrap()[0].state == "waiting" }).await;
    publish(&bus, messages(50, "x", "a")).await;
    until("all delivered", || async { tired.count() == 51 }).await;
    assert!(bus.dead_list(busway_core::transport::Filter::default(), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_broken_endpoint_is_probed_from_what_waits_and_recovers() {
    let broken = Arc::new(AtomicBool::new(true));
    let tries = Arc::new(AtomicUsize::new(0));
    let (is_broken, count) = (broken.clone(), tries.clone());
    let ill = Recorder::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        let ill = is_broken.load(Ordering::SeqCst);
        async move { if ill { Err(DeliveryError::retry("refused", "refused").overload()) } else { Ok(()) } }
    });
    let mut options = options(store());
    let retry = busway_runtime::RetrySchedule {
        attempts: 10,
        first: Duration::from_millis(10),
        max: Duration::from_millis(100),
    };
    add_spec(
        &mut options,
        "ill",
        "#",
        EndpointSpec { retry, max_concurrency: 4, ..EndpointSpec::new(ill.clone()) },
    );
    let bus = Runtime::start(options).await.unwrap();
    publish(&bus, messages(500, "x", "a")).await;
    until("the breaker opens", || async { bus.endpoints().await.unwrap()[0].state == "closed" }).await;
    let tried = tries.load(Ordering::SeqCst);
    assert!(tried < 100, "{tried} deliveries before it opened");
    broken.store(false, Ordering::SeqCst);
    until("all delivered", || async { ill.ids().len() == 500 }).await;
    until_idle(&bus).await;
    assert_eq!(bus.endpoints().await.unwrap()[0].waiting, 0);
}

#[tokio::test]
async fn a_pause_holds_and_survives_a_restart() {
    let (storage, state) = (Store::new(), Arc::new(crate::bench_bus::TestState::default()));
    let open = async |endpoint: &Arc<Recorder>| {
        let transport = storage.open().await;
        let mut options = options(transport);
        options.state = state.clone();
        add(&mut options, "e", "#", endpoint.clone());
        options
    };
    let first = Recorder::willing();
    let bus = Runtime::start(open(&first).await).await.unwrap();
    bus.endpoint_pause("e", true).await.unwrap();
    bus.account_pause("b", true).await.unwrap();
    assert!(bus.endpoint_pause("none", true).await.is_err());
    publish(&bus, messages(10, "x", "a")).await;
    publish(&bus, messages(10, "x", "b")).await;
    until("all parked", || async { bus.queues().await.unwrap().queues[1].ready == Some(20) }).await;
    assert!(bus.shutdown(Duration::from_secs(60)).await);
    assert_eq!(first.count(), 0);

    let second = Recorder::willing();
    let bus = Runtime::start(open(&second).await).await.unwrap();
    assert_eq!(bus.endpoints().await.unwrap()[0].state, "paused");
    publish(&bus, messages(1, "x", "a")).await;
    until("parked too", || async { bus.queues().await.unwrap().queues[1].ready == Some(21) }).await;
    assert_eq!(second.count(), 0);
    bus.endpoint_pause("e", false).await.unwrap();
    until("account a goes on", || async { second.count() == 11 }).await;
    until_idle(&bus).await;
    assert_eq!(second.count(), 11, "account b is still paused");
    bus.account_pause("b", false).await.unwrap();
    until("account b too", || async { second.count() == 21 }).await;
}
