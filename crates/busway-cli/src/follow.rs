//! The verbs of a bus that changes hands: where its holder ends before it has taken a call, the next
//! one is asked, which may be this process itself.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use busway::config::Config;
use busway::core::admin::{
    AccountRow, DeadLetter, DeadReport, DeadRequest, DeadRow, EndpointRow, OnceReport, OnceRequest, PeekRow,
    PublishOutcome, PublishResult, QueuesReport, Readiness, Trace,
};
use busway::core::transport::Filter;
use busway::core::{Admin, Error, ErrorClass, ErrorKind, Message, Result};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::client::{self, Opened, Reached};

/// The verbs of whoever holds the bus now.
pub(crate) struct Follow {
    config: Config,
    timeout: Duration,
    holder: Mutex<Holder>,
}

struct Holder {
    admin: Arc<dyn Admin>,
    /// Where it is this process.
    opened: Option<Box<dyn Opened>>,
}

/// What may be repeated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// Only a call that was surely not taken.
    NotTaken,
    /// Also one that may have been: once or twice is the same.
    Any,
}

impl Follow {
    /// Reaches whoever holds the bus, or opens it; that one and each later one is given `timeout`.
    ///
    /// # Errors
    /// Those of [`client::reach`].
    pub(crate) async fn reach(config: &Config, timeout: Duration) -> Result<Arc<Self>> {
        let holder = Mutex::new(Holder::of(client::reach(config, timeout).await?));
        Ok(Arc::new(Self { config: config.clone(), timeout, holder }))
    }

    /// Lets go of the bus; where this process has come to hold it, it is closed in order.
    pub(crate) async fn close(&self) -> Result<()> {
        match self.holder.lock().await.opened.take() {
            Some(opened) => opened.close().await,
            None => Ok(()),
        }
    }

    async fn holder(&self) -> Arc<dyn Admin> {
        Arc::clone(&self.holder.lock().await.admin)
    }

    /// Reaches the next holder, unless another call has done so since `gone` was asked; whether there is
    /// one to ask: after this process itself there is none. The lock is held meanwhile on purpose:
    /// nothing can be asked before there is a holder.
    async fn next(&self, gone: &Arc<dyn Admin>) -> Result<bool> {
        let mut holder = self.holder.lock().await;
        if !Arc::ptr_eq(&holder.admin, gone) {
            return Ok(true);
        }
        if holder.opened.is_some() {
            return Ok(false);
        }
        tokio::time::sleep(client::AGAIN).await;
        *holder = Holder::of(client::reach(&self.config, self.timeout).await?);
        Ok(true)
    }

    async fn ask<T, F>(&self, repeat: Repeat, verb: impl Fn(Arc<dyn Admin>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let until = Instant::now() + self.timeout;
        loop {
            let holder = self.holder().await;
            match verb(Arc::clone(&holder)).await {
                Err(error) if went(&error, repeat) && Instant::now() < until => {
                    if !self.next(&holder).await? {
                        return Err(error);
                    }
                }
                done => return done,
            }
        }
    }
}

impl Holder {
    fn of(reached: Reached) -> Self {
        match reached {
            Reached::Holder(admin) => Self { admin, opened: None },
            Reached::Opened(opened) => Self { admin: opened.admin(), opened: Some(opened) },
        }
    }
}

/// Whether the holder went away before it answered, and the call may be repeated.
fn went(error: &Error, repeat: Repeat) -> bool {
    let surely_not_taken = error.class() == ErrorClass::Reconnect;
    let perhaps_taken = error.class() == ErrorClass::Unknown && repeat == Repeat::Any;
    error.kind() == ErrorKind::Unavailable && (surely_not_taken || perhaps_taken)
}

/// Whether a message was surely not taken, because the holder went away.
fn not_taken(result: &PublishResult) -> bool {
    result.outcome == PublishOutcome::Failed
        && result.class.as_deref() == Some(ErrorClass::Reconnect.as_str())
}

#[async_trait]
impl Admin for Follow {
    async fn publish(&self, batch: Vec<Message>, deadline: Duration) -> Vec<PublishResult> {
        let until = Instant::now() + deadline;
        let holder = self.holder().await;
        let mut results = holder.publish(batch.clone(), deadline).await;
        let mut gone = holder;
        while results.iter().any(not_taken)
            && Instant::now() < until
            && self.next(&gone).await.is_ok_and(|another| another)
        {
            let open: Vec<usize> = (0..results.len()).filter(|at| not_taken(&results[*at])).collect();
            let rest = open.iter().filter_map(|at| batch.get(*at).cloned()).collect();
            gone = self.holder().await;
            let again = gone.publish(rest, until.saturating_duration_since(Instant::now())).await;
            for (at, result) in open.into_iter().zip(again) {
                results[at] = result;
            }
        }
        results
    }

    async fn queues(&self) -> Result<QueuesReport> {
        self.ask(Repeat::Any, |bus| async move { bus.queues().await }).await
    }

    async fn peek(&self, queue: &str, max: usize, why: bool) -> Result<Vec<PeekRow>> {
        self.ask(Repeat::Any, |bus| async move { bus.peek(queue, max, why).await }).await
    }

    async fn trace(&self, id: &str) -> Result<Option<Trace>> {
        self.ask(Repeat::Any, |bus| async move { bus.trace(id).await }).await
    }

    async fn dead_list(&self, filter: Filter, max: usize) -> Result<Vec<DeadRow>> {
        let verb = |bus: Arc<dyn Admin>| {
            let filter = filter.clone();
            async move { bus.dead_list(filter, max).await }
        };
        self.ask(Repeat::Any, verb).await
    }

    async fn dead_show(&self, id: &str) -> Result<Option<DeadLetter>> {
        self.ask(Repeat::Any, |bus| async move { bus.dead_show(id).await }).await
    }

    async fn dead_replay(&self, request: DeadRequest) -> Result<DeadReport> {
        let verb = |bus: Arc<dyn Admin>| {
            let request = request.clone();
            async move { bus.dead_replay(request).await }
        };
        self.ask(Repeat::NotTaken, verb).await
    }

    async fn dead_delete(&self, request: DeadRequest) -> Result<DeadReport> {
        let verb = |bus: Arc<dyn Admin>| {
            let request = request.clone();
            async move { bus.dead_delete(request).await }
        };
        self.ask(Repeat::NotTaken, verb).await
    }

    async fn endpoints(&self) -> Result<Vec<EndpointRow>> {
        self.ask(Repeat::Any, |bus| async move { bus.endpoints().await }).await
    }

    async fn endpoint_pause(&self, name: &str, pause: bool) -> Result<()> {
        self.ask(Repeat::Any, |bus| async move { bus.endpoint_pause(name, pause).await }).await
    }

    async fn endpoint_test(&self, name: &str) -> Result<String> {
        self.ask(Repeat::Any, |bus| async move { bus.endpoint_test(name).await }).await
    }

    async fn accounts(&self) -> Result<Vec<AccountRow>> {
        self.ask(Repeat::Any, |bus| async move { bus.accounts().await }).await
    }

    async fn account_pause(&self, name: &str, pause: bool) -> Result<()> {
        self.ask(Repeat::Any, |bus| async move { bus.account_pause(name, pause).await }).await
    }

    async fn account_weight(&self, name: &str, weight: u32) -> Result<()> {
        self.ask(Repeat::Any, |bus| async move { bus.account_weight(name, weight).await }).await
    }

    async fn readiness(&self) -> Readiness {
        self.holder().await.readiness().await
    }

    async fn snapshots(&self) -> Value {
        self.holder().await.snapshots().await
    }

    /// Repeated where the answer did not come: what was delivered then is settled, and the rest is taken.
    async fn run_once(&self, request: OnceRequest) -> Result<OnceReport> {
        self.ask(Repeat::Any, |bus| async move { bus.run_once(request).await }).await
    }
}
