//! Supervision: an actor is run as a task whose end is seen, panics included; it is made anew with
//! fresh state, after a back-off, under a new address, within a budget.
//!
//! actix's own `Supervisor` restarts on a deliberate stop only, at once and without end; a panic
//! leaves its actor dead and the mailbox closed. So each actor's future runs in a local task here.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix::prelude::*;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::options::RestartPolicy;

/// What is seen of one supervised actor from outside.
pub(crate) struct Watch {
    name: String,
    generation: AtomicU64,
    panics: AtomicU64,
    running: AtomicBool,
    spent: AtomicBool,
    stop: Notify,
    stopping: AtomicBool,
    ended: Notify,
    finished: AtomicBool,
    observe: Box<dyn Fn() -> Value + Send + Sync>,
    last: Mutex<Option<String>>,
}

impl Watch {
    /// Restarts so far.
    pub(crate) fn restarts(&self) -> u64 {
        self.generation.load(Ordering::Relaxed).saturating_sub(1)
    }

    /// State, restarts and what the actor itself shows. `generation` is the number of its address:
    /// it changes with each restart.
    pub(crate) fn snapshot(&self) -> Value {
        let state = match (self.spent.load(Ordering::Relaxed), self.running.load(Ordering::Relaxed)) {
            (true, _) => "given-up",
            (_, true) => "running",
            _ => "down",
        };
        json!({
            "actor": self.name,
            "state": state,
            "generation": self.generation.load(Ordering::Relaxed),
            "restarts": self.restarts(),
            "panics": self.panics.load(Ordering::Relaxed),
            "last_panic": *self.last.lock().unwrap_or_else(PoisonError::into_inner),
            "figures": (self.observe)(),
        })
    }

    /// Ends the actor for good.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.stop.notify_waiters();
    }

    /// Waits until the actor has ended for good.
    pub(crate) async fn ended(&self) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.finished.load(Ordering::Acquire) {
                return;
            }
            ended.await;
        }
    }
}

/// What supervision of one actor needs.
pub(crate) struct Charge<A> {
    /// The actor's name in snapshots and logs.
    pub(crate) name: String,
    /// Makes it, with fresh state.
    pub(crate) make: Box<dyn Fn() -> A + Send>,
    /// What it shows of itself; must not block.
    pub(crate) observe: Box<dyn Fn() -> Value + Send + Sync>,
    /// Called once when the budget is spent.
    pub(crate) give_up: Box<dyn Fn(&str) + Send>,
}

/// Starts an actor on `arbiter` and keeps it alive until its watch is told to stop.
pub(crate) fn supervise<A>(arbiter: &ArbiterHandle, policy: RestartPolicy, charge: Charge<A>) -> Arc<Watch>
where
    A: Actor<Context = Context<A>>,
{
    let Charge { name, make, observe, give_up } = charge;
    let watch = Arc::new(Watch {
        name,
        generation: AtomicU64::new(0),
        panics: AtomicU64::new(0),
        running: AtomicBool::new(false),
        spent: AtomicBool::new(false),
        stop: Notify::new(),
        stopping: AtomicBool::new(false),
        ended: Notify::new(),
        finished: AtomicBool::new(false),
        observe,
        last: Mutex::new(None),
    });
    let kept = Arc::clone(&watch);
    let started = arbiter.spawn_fn(move || {
        actix::spawn(async move {
            keep_alive(&kept, policy, make, give_up).await;
            kept.running.store(false, Ordering::Release);
            kept.finished.store(true, Ordering::Release);
            kept.ended.notify_waiters();
        });
    });
    if !started {
        watch.finished.store(true, Ordering::Release);
        tracing::error!(actor = %watch.name, "the actor thread is gone");
    }
    watch
}

async fn keep_alive<A>(
    watch: &Watch,
    policy: RestartPolicy,
    make: Box<dyn Fn() -> A + Send>,
    give_up: Box<dyn Fn(&str) + Send>,
) where
    A: Actor<Context = Context<A>>,
{
    let mut recent: VecDeque<Instant> = VecDeque::new();
    let mut streak = 0u32;
    loop {
        let born = Instant::now();
        watch.generation.fetch_add(1, Ordering::Relaxed);
        if !run_once(watch, &*make).await {
            return;
        }
        watch.panics.fetch_add(1, Ordering::Relaxed);
        recent.push_back(Instant::now());
        recent.retain(|at| at.elapsed() < policy.window);
        if recent.len() > policy.budget {
            watch.spent.store(true, Ordering::Release);
            give_up(&watch.name);
            return;
        }
        streak = if born.elapsed() > policy.max { 0 } else { streak + 1 };
        let wait = back_off(policy, streak);
        tracing::warn!(actor = %watch.name, ?wait, "an actor died and is made anew");
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stopped(watch) => return,
        }
    }
}

/// Runs one incarnation; whether it is to be followed by another.
async fn run_once<A>(watch: &Watch, make: &dyn Fn() -> A) -> bool
where
    A: Actor<Context = Context<A>>,
{
    let context = Context::<A>::new();
    let mut task = actix::spawn(context.into_future(make()));
    watch.running.store(true, Ordering::Release);
    let end = tokio::select! {
        end = &mut task => end,
        () = stopped(watch) => {
            task.abort();
            let _aborted = task.await;
            return false;
        }
    };
    watch.running.store(false, Ordering::Release);
    match end {
        Ok(()) => tracing::warn!(actor = %watch.name, "an actor ended by itself"),
        Err(error) => {
            let text = panic_text(error);
            tracing::error!(actor = %watch.name, panic = %text, "an actor panicked");
            *watch.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        }
    }
    true
}

async fn stopped(watch: &Watch) {
    loop {
        let stop = watch.stop.notified();
        tokio::pin!(stop);
        stop.as_mut().enable();
        if watch.stopping.load(Ordering::Acquire) {
            return;
        }
        stop.await;
    }
}

fn back_off(policy: RestartPolicy, streak: u32) -> Duration {
    let base =
        policy.first.saturating_mul(2u32.saturating_pow(streak.saturating_sub(1).min(20))).min(policy.max);
    base + base.mul_f64(fastrand::f64() * 0.1)
}

fn panic_text(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => crate::deliver::panic_message(&*payload),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::inbox::{Inbox, Poke};
    use crate::system::ActorThread;

    struct Fragile {
        inbox: Arc<Inbox<u32>>,
        seen: Arc<Mutex<Vec<u32>>>,
    }

    impl Actor for Fragile {
        type Context = Context<Self>;
        fn started(&mut self, ctx: &mut Self::Context) {
            self.inbox.bell().attach(ctx.address().recipient());
        }
    }

    impl Handler<Poke> for Fragile {
        type Result = ();
        fn handle(&mut self, _: Poke, _: &mut Self::Context) {
            self.inbox.bell().answer();
            while let Some(item) = self.inbox.pop() {
                self.seen.lock().unwrap().push(item);
                assert!(item % 3 != 0, "cannot bear {item}");
            }
        }
    }

    #[tokio::test]
    async fn an_actor_that_panics_is_made_anew_until_its_budget_is_spent() {
        let thread = ActorThread::start("test").unwrap();
        let inbox: Arc<Inbox<u32>> = Arc::default();
        let seen: Arc<Mutex<Vec<u32>>> = Arc::default();
        let spent = Arc::new(AtomicBool::new(false));
        let policy = RestartPolicy { first: Duration::from_millis(1), budget: 3, ..RestartPolicy::default() };
        let (in_actor, seen_by, told) = (inbox.clone(), seen.clone(), spent.clone());
        let watch = supervise(
            thread.arbiter(),
            policy,
            Charge {
                name: "fragile".into(),
                make: Box::new(move || Fragile { inbox: in_actor.clone(), seen: seen_by.clone() }),
                observe: Box::new(|| Value::Null),
                give_up: Box::new(move |_| told.store(true, Ordering::Release)),
            },
        );
        inbox.extend(1..=100);
        tokio::time::timeout(Duration::from_secs(10), watch.ended()).await.unwrap();
        assert!(spent.load(Ordering::Acquire));
        assert_eq!(watch.restarts(), 3);
        assert_eq!(*seen.lock().unwrap(), (1..=12).collect::<Vec<_>>(), "the inbox survives its reader");
        assert_eq!(watch.snapshot()["state"], "given-up");
        assert_eq!(inbox.len(), 88);
    }
}
