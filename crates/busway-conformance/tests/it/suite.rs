//! The suite against the reference transport as it is, with less, and with one that hangs.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use busway_conformance::fault::{FaultyTransport, Operation, Script};
use busway_conformance::memory::capabilities;
use busway_conformance::{Factory, Features, MemoryFactory, Need, Suite, Verdict, cases};
use busway_core::capability::{DepthPrecision, HeaderRule};
use busway_core::error::{Error, ErrorKind};
use busway_core::{Capabilities, Result, Support, Transport};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reference_transport_passes_every_case() {
    let report = Suite::new(MemoryFactory::new()).run().await.unwrap();
    report.assert_green();
    assert!(report.skipped().is_empty(), "{report}");
    assert_eq!(report.cases.len(), cases().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_limits_are_kept_and_nothing_is_skipped_for_them() {
    let small = Capabilities {
        publish_batch: 6,
        receive_batch: 3,
        settle_batch: 4,
        max_message_bytes: 20 << 10,
        headers: HeaderRule::NoControl,
        ..capabilities()
    };
    let report = Suite::new(MemoryFactory::with_capabilities(small)).run().await.unwrap();
    report.assert_green();
    assert!(report.skipped().is_empty(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transport_with_the_least_is_green_and_skips_only_what_names_what_it_lacks() {
    let least = Capabilities {
        order: Support::Refused,
        groups: Support::Refused,
        delay: Support::Refused,
        priority: Support::Refused,
        selectors: Support::Refused,
        transactions: Support::Refused,
        lease: None,
        delivery_count: Support::Refused,
        depth: DepthPrecision::None,
        ..capabilities()
    };
    let features = Features { can_restart: false, ..Features::of(&least) };
    let factory = MemoryFactory::with_capabilities(least);
    let report = Suite::new(factory).features(features).run().await.unwrap();
    report.assert_green();
    let skipped: HashSet<&str> = report.skipped().into_iter().collect();
    for case in cases() {
        let name = case.full_name();
        assert_eq!(skipped.contains(name.as_str()), !case.needs.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_lack_skips_the_cases_that_name_it_and_says_why() {
    let without = Capabilities { priority: Support::Refused, ..capabilities() };
    let factory = MemoryFactory::with_capabilities(without);
    let report = Suite::new(factory).filter("order/p").run().await.unwrap();
    assert_eq!(report.skipped(), ["order/priority"]);
    let why = Verdict::Skipped("priority is refused".to_owned());
    assert_eq!(report.verdict("order/priority"), Some(&why));
    assert_eq!(report.verdict("order/positions"), Some(&Verdict::Passed));
    assert!(cases().iter().any(|case| case.needs == [Need::Priority]));
}

struct Hanging(MemoryFactory, Script);

#[async_trait]
impl Factory for Hanging {
    async fn open(&self, namespace: &str) -> Result<Arc<dyn Transport>> {
        Ok(Arc::new(FaultyTransport::new(self.0.open(namespace).await?, self.1.clone())))
    }
}

#[tokio::test]
async fn a_transport_that_hangs_gets_a_whole_report_and_each_case_its_reason() {
    let script = Script::new();
    let _never_released = script.on(Operation::Publish).hold();
    let short = Duration::from_millis(30);
    let features = Features { patience: short, slack: short, width: 64, ..Features::default() };
    let told = Arc::new(Mutex::new(Vec::new()));
    let suite = Suite::new(Hanging(MemoryFactory::new(), script)).features(features).filter("settle/");
    let suite = suite.on_done({
        let told = Arc::clone(&told);
        move |case| told.lock().unwrap().push(case.name.clone())
    });
    let report = suite.run().await.unwrap();
    assert_eq!(report.red().len(), report.cases.len(), "{report}");
    assert!(report.to_string().contains("publish did not end within 0.1 s"), "{report}");
    assert_eq!(told.lock().unwrap().len(), report.cases.len());
}

struct Away;

#[async_trait]
impl Factory for Away {
    async fn open(&self, _: &str) -> Result<Arc<dyn Transport>> {
        Err(Error::new("connect", ErrorKind::Unavailable, "nobody listens"))
    }
}

#[tokio::test]
async fn a_transport_that_cannot_be_opened_is_an_error_and_no_report() {
    let error = busway_conformance::run(Away, Features::default(), "").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}
