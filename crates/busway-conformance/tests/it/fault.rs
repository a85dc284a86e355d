//! The wrapper that goes wrong by script: each fault does what it says, and is counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use busway_conformance::fault::{FaultyTransport, Injected, Operation, Script};
use busway_conformance::{Factory, MemoryFactory, MemoryTransport, Suite};
use busway_core::error::{ErrorClass, ErrorKind};
use busway_core::transport::{Declare, Want};
use busway_core::{Leased, Message, Outcome, Publication, Queue, Receiver, Result, Sender, Transport};

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(60);

struct Bench {
    script: Script,
    transport: Arc<FaultyTransport>,
    sender: Arc<dyn Sender>,
    receiver: Arc<dyn Receiver>,
}

impl Bench {
    async fn new() -> Self {
        let script = Script::new();
        let inner = Arc::new(MemoryTransport::new("local"));
        let transport = Arc::new(FaultyTransport::new(inner, script.clone()));
        let queues = [Queue::Priority, Queue::Delayed, Queue::Dead];
        transport.declare(&queues, Declare::Create).await.unwrap();
        let sender = transport.sender().await.unwrap();
        let receiver = transport.receiver(&Queue::Priority, Default::default()).await.unwrap();
        Self { script, transport, sender, receiver }
    }

    async fn publish(&self, ids: &[&str]) -> Vec<Result<()>> {
        let message = |id: &&str| Publication::new(Queue::Priority, Message::new("t", "").id(*id));
        self.sender.publish(ids.iter().map(message).collect()).await
    }

    async fn receive(&self, max: usize, wait: Duration) -> Vec<Leased> {
        self.receiver.receive(Want::new(max, wait)).await.unwrap()
    }

    /// The ids of all that comes, acknowledged.
    async fn drain(&self) -> Vec<String> {
        let mut ids = Vec::new();
        loop {
            let leased = self.receive(100, SHORT).await;
            if leased.is_empty() {
                return ids;
            }
            ids.extend(leased.iter().map(|leased| leased.message.id.clone()));
            for result in self.ack(leased).await {
                result.unwrap();
            }
        }
    }

    async fn ack(&self, leased: Vec<Leased>) -> Vec<Result<()>> {
        self.receiver.settle(leased.into_iter().map(|leased| (leased.receipt, Outcome::Ack)).collect()).await
    }

    fn injected(&self, operation: Operation) -> Injected {
        self.script.injected(operation)
    }
}

fn told(results: &[Result<()>]) -> Vec<Option<ErrorClass>> {
    results.iter().map(|result| result.as_ref().err().map(busway_core::Error::class)).collect()
}

#[tokio::test]
async fn a_lost_confirm_is_unknown_and_the_message_is_there() {
    let bench = Bench::new().await;
    bench.script.on(Operation::Publish).every(2).next(1).lose_answer();
    let results = bench.publish(&["a", "b", "c", "d"]).await;
    assert_eq!(told(&results), [None, Some(ErrorClass::Unknown), None, None]);
    assert_eq!(bench.drain().await, ["a", "b", "c", "d"]);
    assert_eq!(bench.injected(Operation::Publish), Injected { answers_lost: 1, ..Injected::default() });
}

#[tokio::test]
async fn a_failed_publish_has_no_effect() {
    let bench = Bench::new().await;
    bench.script.on(Operation::Publish).matching(|message| message.id == "b").fail(ErrorKind::Full);
    let results = bench.publish(&["a", "b", "c"]).await;
    assert_eq!(results[1].as_ref().unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(told(&results), [None, Some(ErrorClass::Retry), None]);
    assert_eq!(bench.drain().await, ["a", "c"]);
    assert_eq!(bench.injected(Operation::Publish).failed, 1);
}

#[tokio::test]
async fn a_rule_meets_only_its_queue() {
    let bench = Bench::new().await;
    bench.script.on(Operation::Publish).queue(Queue::Delayed).fail(ErrorKind::Full);
    assert_eq!(told(&bench.publish(&["a"]).await), [None]);
    let parked = Publication::new(Queue::Delayed, Message::new("t", ""));
    assert_eq!(told(&bench.sender.publish(vec![parked]).await), [Some(ErrorClass::Retry)]);
}

#[tokio::test]
async fn duplicates_come_twice_whichever_way_they_are_made() {
    let bench = Bench::new().await;
    bench.script.on(Operation::Publish).next(1).duplicate();
    assert_eq!(told(&bench.publish(&["stored"]).await), [None]);
    assert_eq!(bench.drain().await, ["stored", "stored"]);

    bench.script.on(Operation::Receive).next(1).duplicate();
    bench.publish(&["handed"]).await;
    assert_eq!(bench.drain().await, ["handed", "handed"]);

    bench.script.on(Operation::Settle).next(1).duplicate();
    bench.publish(&["acked"]).await;
    assert_eq!(bench.drain().await, ["acked", "acked"]);
    for operation in [Operation::Publish, Operation::Receive, Operation::Settle] {
        assert_eq!(bench.injected(operation).duplicated, 1, "{operation:?}");
    }
}

#[tokio::test]
async fn a_failing_settle_brings_the_message_again_and_a_lost_answer_does_not() {
    let bench = Bench::new().await;
    bench.publish(&["a", "b"]).await;
    bench.script.on(Operation::Settle).matching(|message| message.id == "a").next(1).fail(ErrorKind::Io);
    bench.script.on(Operation::Settle).matching(|message| message.id == "b").lose_answer();
    let results = bench.ack(bench.receive(2, LONG).await).await;
    assert_eq!(told(&results), [Some(ErrorClass::Fatal), Some(ErrorClass::Unknown)]);
    assert_eq!(bench.drain().await, ["a"]);
}

#[tokio::test]
async fn a_held_call_waits_for_its_gate_and_only_then_takes_effect() {
    let bench = Arc::new(Bench::new().await);
    let gate = bench.script.on(Operation::Publish).hold();
    let publishing = tokio::spawn({
        let bench = Arc::clone(&bench);
        async move { bench.publish(&["held"]).await }
    });
    assert!(gate.reached(1, LONG).await);
    assert!(bench.receive(1, SHORT).await.is_empty(), "it took effect before the gate was released");
    assert!(!publishing.is_finished());
    gate.release();
    assert_eq!(told(&publishing.await.unwrap()), [None]);
    assert_eq!(gate.waiting(), 0);
    assert_eq!(told(&bench.publish(&["free"]).await), [None]);
    assert_eq!(bench.drain().await, ["held", "free"]);
    assert_eq!(bench.injected(Operation::Publish).slowed, 1);
}

#[tokio::test]
async fn slow_settles_and_receives_take_their_time_and_no_longer_than_they_were_given() {
    let bench = Bench::new().await;
    bench.publish(&["a"]).await;
    bench.script.on(Operation::Settle).delay(SHORT);
    let held = bench.receive(1, LONG).await;
    let begun = Instant::now();
    assert_eq!(told(&bench.ack(held).await), [None]);
    assert!(begun.elapsed() >= SHORT);

    bench.publish(&["b"]).await;
    let gate = bench.script.on(Operation::Receive).hold();
    assert!(bench.receive(1, SHORT).await.is_empty());
    gate.release();
    assert_eq!(bench.drain().await, ["b"]);
}

#[tokio::test]
async fn a_cut_ends_every_call_and_healing_lets_all_go_on() {
    let bench = Arc::new(Bench::new().await);
    bench.publish(&["a"]).await;
    let held = bench.receive(1, LONG).await;
    let waiting = tokio::spawn({
        let receiver = Arc::clone(&bench.receiver);
        async move { receiver.receive(Want::new(1, LONG)).await.map(|leased| leased.len()) }
    });
    tokio::task::yield_now().await;
    bench.script.cut();
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(told(&bench.publish(&["b"]).await), [Some(ErrorClass::Reconnect)]);
    assert!(bench.receiver.receive(Want::new(1, LONG)).await.is_err());
    assert!(bench.transport.inspect(&Queue::Priority, &Default::default()).await.is_err());
    assert!(bench.transport.receiver(&Queue::Priority, Default::default()).await.is_err());
    assert_eq!(told(&bench.ack(held).await), [Some(ErrorClass::Reconnect)]);
    bench.script.heal();
    assert_eq!(told(&bench.publish(&["c"]).await), [None]);
    let mut got = bench.drain().await;
    got.sort();
    assert_eq!(got, ["a", "c"]);
    assert!(bench.injected(Operation::Publish).cut == 1 && bench.injected(Operation::Settle).cut == 1);
}

#[tokio::test]
async fn a_held_publish_that_is_cut_off_has_no_effect() {
    let bench = Arc::new(Bench::new().await);
    let gate = bench.script.on(Operation::Publish).hold();
    let publishing = tokio::spawn({
        let bench = Arc::clone(&bench);
        async move { bench.publish(&["held"]).await }
    });
    assert!(gate.reached(1, LONG).await);
    bench.script.cut();
    assert_eq!(told(&publishing.await.unwrap()), [Some(ErrorClass::Reconnect)]);
    bench.script.heal();
    bench.script.clear();
    assert!(bench.drain().await.is_empty());
}

#[tokio::test]
async fn lost_leases_bring_messages_again_and_their_receipts_settle_nothing() {
    let bench = Bench::new().await;
    bench.publish(&["a"]).await;
    let held = bench.receive(1, LONG).await;
    assert_eq!(bench.script.lose_leases(), 1);
    let again = bench.receive(1, LONG).await;
    assert_eq!(again[0].message.id, "a");
    let token = held[0].receipt.token();
    let extended = bench.receiver.extend(&[token, again[0].receipt.token()], LONG).await;
    assert_eq!(extended[0].as_ref().unwrap_err().kind(), ErrorKind::LeaseLost);
    assert!(extended[1].is_ok());
    assert_eq!(bench.ack(held).await[0].as_ref().unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(told(&bench.ack(again).await), [None]);
    assert!(bench.drain().await.is_empty());
    assert_eq!(bench.script.in_hand(), 0);
}

#[tokio::test]
async fn a_dropped_receipt_returns_through_the_wrapper() {
    let bench = Bench::new().await;
    bench.publish(&["a"]).await;
    drop(bench.receive(1, LONG).await);
    assert_eq!(bench.script.in_hand(), 0);
    let again = bench.receive(1, LONG).await;
    assert_eq!(again[0].deliveries, Some(2));
}

struct Quiet(MemoryFactory);

#[async_trait]
impl Factory for Quiet {
    async fn open(&self, namespace: &str) -> Result<Arc<dyn Transport>> {
        Ok(Arc::new(FaultyTransport::new(self.0.open(namespace).await?, Script::new())))
    }

    async fn remove(&self, namespace: &str) -> Result<()> {
        self.0.remove(namespace).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrapper_without_a_rule_passes_every_case() {
    let report = Suite::new(Quiet(MemoryFactory::new())).run().await.unwrap();
    report.assert_green();
    assert!(report.skipped().is_empty(), "{report}");
}
