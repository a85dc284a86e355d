//! Handlers that are actors: what they answer, and what becomes of a message whose actor does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use busway::actix::prelude::*;
use busway::config::{Policy, Retry};
use busway::core::transport::Filter;
use busway::{Bus, Delivery, HandlerError, Message};

use crate::handlers::until;

/// Does what the message's type says; `id` goes along.
struct Clerk {
    mailbox: usize,
    done: Arc<AtomicUsize>,
    begun: Arc<AtomicUsize>,
}

impl Actor for Clerk {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(self.mailbox);
    }
}

impl Supervised for Clerk {}

impl Handler<Delivery> for Clerk {
    type Result = ResponseActFuture<Self, Result<(), HandlerError>>;

    fn handle(&mut self, delivery: Delivery, ctx: &mut Self::Context) -> Self::Result {
        let (done, first) = (Arc::clone(&self.done), delivery.attempt == 1);
        self.begun.fetch_add(1, Ordering::SeqCst);
        if &*delivery.message.r#type == "ends" && first {
            ctx.terminate();
        }
        Box::pin(
            async move {
                match &*delivery.message.r#type {
                    "fails" if first => return Err(HandlerError::retry("not yet")),
                    "decode" => drop(delivery.json::<u64>()?),
                    "hangs" if first => std::future::pending().await,
                    "slow" => busway::actix::clock::sleep(Duration::from_millis(2)).await,
                    _ => {}
                }
                done.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
            .into_actor(self),
        )
    }
}

struct Bed {
    bus: Bus,
    done: Arc<AtomicUsize>,
    begun: Arc<AtomicUsize>,
    _directory: tempfile::TempDir,
}

/// A bus with one actor, which lives in the actix program that runs this.
async fn bed(timeout: Duration, mailbox: usize) -> Bed {
    let directory = tempfile::tempdir().unwrap();
    let bus = Bus::builder("shop").embedded(directory.path()).build().unwrap();
    let (done, begun): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
    let (counted, seen) = (Arc::clone(&done), Arc::clone(&begun));
    let clerk =
        Supervisor::start(move |_| Clerk { mailbox, done: Arc::clone(&counted), begun: Arc::clone(&seen) });
    let retry = Retry { first: Duration::from_millis(20), ..Retry::default() };
    let policy = Policy { timeout, retry, ..Policy::default() };
    bus.subscribe_with("clerk", "#", policy, clerk.recipient()).unwrap();
    bus.start().await.unwrap();
    Bed { bus, done, begun, _directory: directory }
}

impl Bed {
    async fn publish(&self, kind: &str) {
        self.bus.publish(Message::new(kind, "no number")).await.unwrap();
    }

    async fn until_done(&self, count: usize) {
        until("all are handled", || async { self.done.load(Ordering::SeqCst) == count }).await;
    }
}

#[test]
fn an_actor_answers_as_a_function_does() {
    System::new().block_on(async {
        let bed = bed(Duration::from_secs(30), 16).await;
        for kind in ["well", "fails", "decode"] {
            bed.publish(kind).await;
        }
        bed.until_done(2).await;
        let admin = bed.bus.admin().await.unwrap();
        until("one is dead", || async { admin.dead_list(Filter::default(), 9).await.unwrap().len() == 1 })
            .await;
        assert_eq!(admin.dead_list(Filter::default(), 9).await.unwrap()[0].reason, "error:decode");
        let row = admin.endpoints().await.unwrap().remove(0);
        assert_eq!((&*row.kind, row.failed), ("actor", 2));
        bed.bus.shutdown().await.unwrap();
    });
}

#[test]
fn an_actor_that_dies_over_a_message_gets_it_again_when_it_is_back() {
    System::new().block_on(async {
        let bed = bed(Duration::from_secs(30), 16).await;
        bed.publish("ends").await;
        bed.until_done(1).await;
        assert_eq!(bed.begun.load(Ordering::SeqCst), 2);
        assert_eq!(bed.bus.admin().await.unwrap().endpoints().await.unwrap()[0].failed, 1);
        bed.bus.shutdown().await.unwrap();
    });
}

#[test]
fn an_actor_that_never_answers_has_failed_at_its_time_out() {
    System::new().block_on(async {
        let bed = bed(Duration::from_millis(100), 16).await;
        bed.publish("hangs").await;
        bed.until_done(1).await;
        assert_eq!(bed.bus.admin().await.unwrap().endpoints().await.unwrap()[0].failed, 1);
        bed.bus.shutdown().await.unwrap();
    });
}

#[test]
fn a_full_mailbox_loses_nothing() {
    System::new().block_on(async {
        let bed = bed(Duration::from_secs(30), 1).await;
        let batch = (0..200).map(|_| Message::new("slow", "")).collect();
        assert!(bed.bus.publish_all(batch).await.into_iter().all(|result| result.is_ok()));
        bed.until_done(200).await;
        bed.bus.shutdown().await.unwrap();
    });
}

#[test]
fn a_closed_mailbox_is_a_failed_try_and_the_message_waits_for_the_next_actor() {
    System::new().block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let clerk = || Clerk { mailbox: 16, done: Arc::default(), begun: Arc::default() };
        let gone = clerk().start();
        let (recipient, weak) = (gone.clone().recipient::<Delivery>(), gone.downgrade());
        let bus = Bus::builder("shop").embedded(directory.path()).build().unwrap();
        let retry = Retry { first: Duration::from_millis(20), ..Retry::default() };
        let policy = Policy { retry, ..Policy::default() };
        bus.subscribe_with("clerk", "#", policy.clone(), recipient).unwrap();
        bus.start().await.unwrap();
        gone.do_send(Leave);
        until("it has left", || async { !weak.upgrade().is_some_and(|clerk| clerk.connected()) }).await;
        bus.publish(Message::new("well", "")).await.unwrap();
        let admin = bus.admin().await.unwrap();
        until("a try has failed", || async { admin.endpoints().await.unwrap()[0].failed > 0 }).await;
        assert!(admin.dead_list(Filter::default(), 9).await.unwrap().is_empty());
        bus.shutdown().await.unwrap();

        let bus = Bus::builder("shop").embedded(directory.path()).build().unwrap();
        let next = clerk();
        let done = Arc::clone(&next.done);
        bus.subscribe_with("clerk", "#", policy, next.start().recipient()).unwrap();
        bus.start().await.unwrap();
        until("the next one has handled it", || async { done.load(Ordering::SeqCst) == 1 }).await;
        bus.shutdown().await.unwrap();
    });
}

/// Ends the actor.
struct Leave;

impl busway::actix::Message for Leave {
    type Result = ();
}

impl Handler<Leave> for Clerk {
    type Result = ();

    fn handle(&mut self, _: Leave, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
