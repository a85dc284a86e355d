//! The suite against transports that are broken on purpose: each turns exactly the cases red that
//! are there to find it.

mod broken;
mod wrapper;

use std::time::Duration;

use busway_conformance::{Features, Report, Suite, Verdict};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use broken::*;
use wrapper::{Sabotage, Saboteur};

/// How many suites run beside each other, so that none starves.
static AT_ONCE: Semaphore = Semaphore::const_new(6);

/// How often a verdict that was not expected is asked for again, with the machine less busy.
const AGAIN: usize = 2;

async fn run<S: Sabotage>(make: fn() -> S, filter: &str) -> Report {
    let features = Features {
        scale: 0.05,
        patience: Duration::from_secs(3),
        slack: Duration::from_secs(5),
        deadline: Duration::from_secs(60),
        width: 24,
        ..Features::default()
    };
    Suite::new(Saboteur::new(make)).features(features).filter(filter).run().await.unwrap()
}

/// Whether the case is red when it runs alone.
async fn red_alone<S: Sabotage>(make: fn() -> S, case: &str) -> bool {
    run(make, case).await.verdict(case).is_some_and(Verdict::is_red)
}

/// These cases turn red, and no others.
async fn exactly<S: Sabotage>(name: &'static str, make: fn() -> S, named: Vec<&'static str>) {
    judge(name, make, &named, true).await;
}

/// These cases turn red, and others may, as time and chance have it.
async fn at_least<S: Sabotage>(name: &'static str, make: fn() -> S, named: Vec<&'static str>) {
    judge(name, make, &named, false).await;
}

async fn judge<S: Sabotage>(name: &str, make: fn() -> S, named: &[&str], alone: bool) {
    let _slot = AT_ONCE.acquire().await.unwrap();
    let report = run(make, "").await;
    for named in named {
        assert!(report.verdict(named).is_some(), "there is no case {named}");
    }
    for case in &report.cases {
        let expected = named.contains(&case.name.as_str());
        let mut red = case.verdict.is_red();
        for _ in 0..AGAIN {
            if red != expected && (expected || alone) {
                red = red_alone(make, &case.name).await;
            }
        }
        assert!(red || !expected, "{name} was not found by {}:\n{report}", case.name);
        assert!(!red || expected || !alone, "{name} was found by {} too:\n{report}", case.name);
    }
}

/// Runs the saboteurs of a test beside each other.
macro_rules! sabotage {
    ($test:ident: $($make:ident $how:ident [$($case:literal),+ $(,)?])+) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let mut runs = JoinSet::new();
            $(runs.spawn($how(stringify!($make), $make::default, vec![$($case),+]));)+
            runs.join_all().await;
        }
    };
}

sabotage! { what_loses_messages_is_found:
    AcksOnDrop exactly [
        "lease/dropped-comes-back",
        "settle/acks-out-of-order",
        "settle/foreign-receipt",
        "settle/never-worn-out",
        "lease/settled-after-receiver-closed",
        "receive/deliveries-are-counted",
        "receive/prefetch-is-exact",
        "order/head-comes-back-first",
        "depth/purge",
        "life/crash",
        "life/crash-after-confirm",
        "life/crash-keeps-groups",
        "life/crash-out-of-order",
        "life/reopened-subscriber",
        "life/ten-closed-at-once",
    ]
    AcksOnCancel exactly ["receive/cancelled-loses-nothing"]
    LosesOnCrash exactly [
        "life/crash",
        "life/crash-after-confirm",
        "life/crash-keeps-groups",
        "life/crash-out-of-order",
        "life/retried-outlives-a-crash",
    ]
    SwallowsSome at_least [
        "content/attributes-survive",
        "publish/fifty-subscribers",
        "publish/long-batch",
        "publish/twenty-queues",
        "publish/two-consumer-groups",
        "receive/cancelled-loses-nothing",
        "settle/two-of-a-hundred-released",
        "order/queue",
        "order/keys",
        "life/crash",
        "life/crash-after-confirm",
        "life/reopened-subscriber",
        "life/restart",
        "life/restarts-under-load",
        "life/ten-closed-at-once",
    ]
    DropsAnAttribute exactly [
        "content/attributes-survive",
        "content/header-values",
        "content/same-id-again",
        "settle/dead-letter",
        "lease/dropped-comes-back",
        "lease/lease-ends",
        "settle/park-waits",
        "settle/released-comes-back",
        "settle/retry-waits-and-counts",
        "life/crash",
        "life/forced-stop",
        "life/restart",
    ]
    DeadIsGone exactly [
        "settle/dead-letter",
        "settle/results-in-order",
        "order/dead-head-lets-go",
        "life/crash",
        "life/restart",
    ]
}

sabotage! { what_keeps_no_order_or_time_is_found:
    Reorders exactly [
        "order/queue",
        "order/keys",
        "order/released-keeps-its-place",
        "order/one-at-a-time",
        "order/groups-are-apart",
        "order/head-comes-back-first",
        "order/head-waits",
        "order/lost-lease-blocks",
        "order/dead-head-lets-go",
        "depth/figures",
        "depth/figures-behind-a-head",
        "depth/peek",
    ]
    IgnoresGroups exactly [
        "order/keys",
        "order/one-at-a-time",
        "order/groups-are-apart",
        "order/head-comes-back-first",
        "order/head-waits",
        "order/delayed-head",
        "order/lost-lease-blocks",
        "order/positions",
        "depth/figures-behind-a-head",
        "life/crash-keeps-groups",
    ]
    IgnoresPriority exactly ["order/priority", "depth/peek"]
    DeliversEarly exactly [
        "delay/not-early",
        "depth/figures-behind-a-head",
        "settle/park-waits",
        "settle/retry-waits-and-counts",
        "order/delayed-head",
        "order/head-waits",
        "life/crash",
        "life/restart",
        "life/retried-outlives-a-crash",
    ]
    IgnoresSelectors exactly [
        "select/accounts-in-turn",
        "select/all",
        "select/destination",
        "select/matching",
        "select/no-destination",
        "select/waits-for-its-own",
    ]
}

sabotage! { what_confuses_receipts_and_leases_is_found:
    SettlesAnything exactly [
        "settle/settles-once",
        "settle/foreign-receipt",
        "settle/results-in-order",
        "lease/lease-ends",
        "close/settle-after-close",
    ]
    ReusesReceipts exactly ["settle/settles-once", "settle/foreign-receipt"]
    ForgetsAcksOnCrash exactly ["life/crash", "life/crash-after-confirm", "life/crash-out-of-order"]
    NeverEndsALease exactly ["lease/lease-ends", "order/lost-lease-blocks"]
    EndsLeasesAtOnce at_least [
        "receive/held-is-held",
        "receive/prefetch-is-exact",
        "order/one-at-a-time",
        "order/positions",
    ]
    ExtendsNothing exactly ["lease/extended-stays"]
}

sabotage! { what_answers_wrongly_is_found:
    IgnoresPrefetch exactly ["receive/prefetch-is-exact", "life/concurrency-changed"]
    StoresWhatFits exactly ["content/limit-is-exact", "content/too-large-refuses-the-batch"]
    SucceedsNowhere exactly ["publish/undeclared-queue", "publish/results-in-order"]
    NeverCloses at_least [
        "close/closed-receiver",
        "close/closed-transport",
        "close/receiver-wakes-the-waiting",
        "close/transport-wakes-the-waiting",
    ]
}
