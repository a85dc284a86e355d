//! A running bus: started, drained, stopped.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use busway_core::admin::{PublishResult, Readiness};
use busway_core::{Error, ErrorKind, Message, Name, Result};
use futures_util::future::join_all;
use tokio::sync::{Notify, watch};

use crate::board::Board;
use crate::credit::Credit;
use crate::engine::{Engine, Phase};
use crate::figures::Totals;
use crate::health::Health;
use crate::inbox::{Bell, Inbox};
use crate::intake::Intake;
use crate::lanes_open::LanesOpen;
use crate::memory::Memory;
use crate::options::{EndpointSpec, FlowOptions, QUEUES, RestartPolicy, Room, RuntimeOptions};
use crate::producer::{Desk, DeskOptions, Producer};
use crate::quota::Quota;
use crate::rates::Rates;
use crate::readback::{ReadBack, prove_lanes};
use crate::router::{Desks, Router};
use crate::routes::Routes;
use crate::settler::{Ledger, Settler};
use crate::share::Shares;
use crate::subscriber::Subscriber;
use crate::supervise::{Charge, Watch, supervise};
use crate::system::ActorThread;
use crate::target::{Setting, Target};
use crate::turns::TurnsBoard;
use crate::unread::unread;
use crate::workers::Workers;

/// How long one step of a stop may take.
const CLOSING: Duration = Duration::from_secs(10);
const FAULT_DRAINING: &str = "bus";

/// A running bus. Dropping it is a forced stop: what was in hand comes again.
pub struct Runtime {
    pub(crate) engine: Arc<Engine>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) rates: Arc<Rates>,
    pub(crate) flow: FlowOptions,
    pub(crate) crew: Crew,
    pub(crate) watches: Mutex<Vec<Arc<Watch>>>,
    /// How many of the watches are of actors that publish and settle; those that deliver follow.
    back: usize,
    /// Messages found in `delayed` for endpoints that do not exist, by their names.
    pub(crate) unread: Mutex<BTreeMap<String, u64>>,
    delivers: AtomicBool,
    /// A change of what the bus goes by is under way.
    pub(crate) changing: AtomicBool,
    pub(crate) stopped: AtomicBool,
    pub(crate) threads: Mutex<Vec<ActorThread>>,
    io: Io,
}

impl Runtime {
    /// Starts a bus that takes in and delivers until it is stopped. Ready when it returns: the
    /// queues are declared and the actors are up.
    ///
    /// Works inside any tokio runtime, inside an actix program, or neither: the bus has threads of
    /// its own. Cancelling it stops what was started.
    ///
    /// # Errors
    /// `Configuration` for options that do not fit together; those of the transport and state.
    pub async fn start(options: RuntimeOptions) -> Result<Self> {
        let room = options.flow.room(options.endpoints.len());
        let runtime = Self::launch(options, room).await?;
        runtime.take_in(|| ()).await?;
        Ok(runtime)
    }

    /// Starts a bus that publishes and answers an operator, but takes nothing in; see
    /// [`Admin::run_once`](busway_core::Admin::run_once).
    ///
    /// # Errors
    /// As [`Runtime::start`].
    pub async fn start_idle(mut options: RuntimeOptions) -> Result<Self> {
        // No more at once than every endpoint has room for, so that a short run does not divert
        // what it could deliver itself.
        let room = options.flow.room(options.endpoints.len());
        let calls = |spec: &EndpointSpec| spec.max_concurrency * spec.endpoint.max_batch().max(1);
        // Of its places, an endpoint has half for one account while others of it are parked.
        let least = options.endpoints.values().map(calls).min().unwrap_or(1).min(room.messages / 2);
        options.flow.credit = options.flow.credit.min(least);
        options.flow.credit_bytes = options.flow.credit_bytes.min(room.bytes);
        Self::launch(options, room).await
    }

    async fn launch(options: RuntimeOptions, room: Room) -> Result<Self> {
        options.check()?;
        let io = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 8)))
            .thread_name(format!("busway-{}-io", options.bus))
            .enable_all()
            .build()
            .map_err(|e| {
                Error::new("start", ErrorKind::Internal, "no threads for transports").caused_by(e)
            })?;
        let handle = io.handle().clone();
        // Held from here on, so that a start that is cancelled ends its threads.
        let io = Io(Some(io));
        let started = handle.spawn(assemble(options, room, handle.clone())).await;
        let assembled = started
            .map_err(|e| Error::new("start", ErrorKind::Internal, "the start panicked").caused_by(e))?;
        let mut runtime = assembled?;
        runtime.io = io;
        Ok(runtime)
    }

    /// Publishes to `priority`; an answer for each message, in order, within `deadline`.
    ///
    /// Cancelling it leaves every outcome unknown.
    pub async fn publish(&self, batch: Vec<Message>, deadline: Duration) -> Vec<PublishResult> {
        self.engine.desk.publish(batch, deadline).await
    }

    /// Whether the bus does its work, and why not.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.engine.health.readiness()
    }

    /// Waits until the bus cannot go on by itself (an actor's restart budget is spent) and says
    /// why. It drains from that moment; stop it.
    ///
    /// Cancelling it loses nothing.
    pub async fn failed(&self) -> String {
        let mut failed = self.crew.failed.subscribe();
        match failed.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => "the bus is gone".to_owned(),
        }
    }

    /// Calls `start` where it may spawn tasks: on the bus's own runtime, which they end with.
    pub fn within<T>(&self, start: impl FnOnce() -> T) -> T {
        let _entered = self.engine.io.enter();
        start()
    }

    /// Messages in hand: received and not settled.
    #[must_use]
    pub fn in_hand(&self) -> usize {
        self.engine.in_hand()
    }

    /// Stops in order: takes nothing more in, finishes what is in hand within the grace, closes
    /// endpoints, transport and state. Whether all was finished; what was not comes again. A second
    /// call returns at once. Nothing is waited for longer than the grace and some seconds.
    ///
    /// Cancelled, the bus is left draining; drop it.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        if self.stopped.swap(true, Ordering::AcqRel) {
            return true;
        }
        let finished = self.drain(grace).await;
        let watches = self.watches();
        watches.iter().for_each(|watch| watch.stop());
        within("the actors", join_all(watches.iter().map(|watch| watch.ended()))).await;
        within("the memory of the gates", self.keep_memory()).await;
        let board = self.engine.desks.board.load_full();
        let settings: Vec<_> = board.targets.iter().map(|target| target.settings.load_full()).collect();
        within("the endpoints", join_all(settings.iter().map(|held| held.spec.endpoint.close()))).await;
        within("the journal", self.engine.journal.close()).await;
        if let Some(Err(error)) = within("the transport", self.engine.transport.close()).await {
            tracing::warn!(%error, "the transport did not close well");
        }
        if let Some(Err(error)) = within("the state store", self.memory.close()).await {
            tracing::warn!(%error, "the state store did not close well");
        }
        finished
    }

    /// Takes nothing more in and waits until nothing is in hand; whether that came within `grace`.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.engine.health.fault(FAULT_DRAINING, "it is draining");
        self.engine.desk.stop_taking();
        let deadline = Instant::now() + grace;
        let published = async {
            while !self.engine.desk.idle() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        self.finish_in_hand(grace).await && tokio::time::timeout_at(deadline.into(), published).await.is_ok()
    }

    /// Takes nothing more in and waits until nothing is in hand; whether that came within `grace`. What
    /// is published is still taken.
    async fn finish_in_hand(&self, grace: Duration) -> bool {
        self.engine.phase.send_replace(Phase::Draining);
        let deadline = Instant::now() + grace;
        let done = async {
            self.engine.readers.none().await;
            self.engine.credit.idle().await;
            while self.engine.in_hand() > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout_at(deadline.into(), done).await.is_ok()
    }

    /// Begins to take messages in and deliver them, after `prepare`, unless it has begun before;
    /// whether it had not. Failed or cancelled, it has not begun.
    pub(crate) async fn take_in(&self, prepare: impl FnOnce()) -> Result<bool> {
        if self.delivers.swap(true, Ordering::AcqRel) {
            return Ok(false);
        }
        let begun = Begun { delivers: &self.delivers, done: false };
        // Now nothing can be parked meanwhile.
        for target in &self.engine.desks.board.load_full().targets {
            prove_lanes(&self.engine, target).await?;
        }
        let unread = unread(&self.engine).await;
        *self.unread.lock().unwrap_or_else(PoisonError::into_inner) = unread;
        prepare();
        self.engine.began.store(busway_core::clock::now_ms(), Ordering::Release);
        let front = ActorThread::start(&format!("busway-{}-route", self.crew.bus))?;
        let aboard = self.crew.board_front(&front);
        self.watches.lock().unwrap_or_else(PoisonError::into_inner).extend(aboard);
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(front);
        begun.done();
        Ok(true)
    }

    /// Ends what [`Runtime::take_in`] began, so that it can begin anew; the bus goes on to publish. Where
    /// what is in hand is not finished within `grace`, it stays with this bus until it is stopped.
    pub(crate) async fn leave_off(&self, grace: Duration) {
        if !self.finish_in_hand(grace).await || self.stopped.load(Ordering::Acquire) {
            return;
        }
        let front = self.watches.lock().unwrap_or_else(PoisonError::into_inner).split_off(self.back);
        front.iter().for_each(|watch| watch.stop());
        within("the actors", join_all(front.iter().map(|watch| watch.ended()))).await;
        let thread = self.threads.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // Dropping it waits for the thread to end.
        if self.engine.io.spawn_blocking(move || drop(thread)).await.is_err() {
            tracing::error!("the thread of the router did not end well");
        }
        self.engine.phase.send_replace(Phase::Running);
        self.delivers.store(false, Ordering::Release);
        // A stop that came meanwhile stays one.
        if self.stopped.load(Ordering::Acquire) {
            self.engine.phase.send_replace(Phase::Draining);
        }
    }

    /// The bus's name.
    pub(crate) fn bus(&self) -> &Name {
        &self.crew.bus
    }

    /// Whether it takes messages in, or did until it was told to drain.
    pub(crate) fn delivers(&self) -> bool {
        self.delivers.load(Ordering::Acquire)
    }

    pub(crate) fn watches(&self) -> Vec<Arc<Watch>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn unread(&self) -> BTreeMap<String, u64> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) async fn keep_memory(&self) {
        for target in &self.engine.desks.board.load_full().targets {
            if let Err(error) = self.memory.gate(&target.name, &target.gate.memory()).await {
                tracing::warn!(%error, endpoint = %target.name, "how the gate stands was not kept");
            }
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.engine.phase.send_replace(Phase::Draining);
        self.watches().iter().for_each(|watch| watch.stop());
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        drop(threads);
        self.engine.let_go();
    }
}

/// A start of the taking in, taken back where it is not done.
struct Begun<'a> {
    delivers: &'a AtomicBool,
    done: bool,
}

impl Begun<'_> {
    fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.delivers.store(self.done, Ordering::Release);
    }
}

/// The bus's own tokio runtime; dropped anywhere, it ends without waiting for its tasks.
struct Io(Option<tokio::runtime::Runtime>);

impl Drop for Io {
    fn drop(&mut self) {
        if let Some(io) = self.0.take() {
            io.shutdown_background();
        }
    }
}

/// Waits for one step of a stop, but not for ever.
async fn within<T>(what: &str, step: impl Future<Output = T>) -> Option<T> {
    let done = tokio::time::timeout(CLOSING, step).await;
    if done.is_err() {
        tracing::warn!(what, "did not end in time");
    }
    done.ok()
}

/// Builds everything in the order in which it depends on each other. Runs on the bus's own runtime.
async fn assemble(options: RuntimeOptions, room: Room, io: tokio::runtime::Handle) -> Result<Runtime> {
    let RuntimeOptions { transport, state, flow, restarts, faults, .. } = &options;
    transport.declare(&QUEUES, options.declare).await?;
    let totals = Arc::new(Totals::new(options.bus.as_str()));
    let health = Arc::new(Health::default());
    let desk = Desk::new(DeskOptions {
        transport: transport.name().to_owned(),
        limits: (flow.publish_backlog, flow.publish_backlog_bytes),
        max_message: transport.capabilities().max_message_bytes,
        deadline: flow.publish_deadline,
        sender: transport.sender().await?,
        totals: Arc::clone(&totals),
        health: Arc::clone(&health),
        journal: Arc::clone(&options.journal),
        io: io.clone(),
    });
    let engine = Arc::new(Engine {
        transport: Arc::clone(transport),
        desks: desks(&options, room, &desk, &totals, &io)?,
        desk,
        journal: Arc::clone(&options.journal),
        settlements: Arc::default(),
        slots: Mutex::default(),
        credit: Credit::new(flow.credit, flow.credit_bytes),
        shared_credit: Credit::new(usize::MAX / 2, room.bytes),
        readers: Arc::default(),
        added: Bell::default(),
        health,
        totals,
        quota: Quota::default(),
        phase: watch::Sender::new(Phase::Running),
        faults: faults.clone(),
        io,
        lease: flow.lease,
        began: AtomicU64::new(busway_core::clock::now_ms()),
    });
    let memory = Arc::new(Memory::new(Arc::clone(state)));
    for target in &engine.desks.board.load_full().targets {
        memory.recall_gate(target).await?;
    }
    memory.recall_turns(&engine.desks.turns).await?;
    let failed = Arc::new(watch::Sender::new(None));
    let crew = Crew { bus: options.bus.clone(), engine: Arc::clone(&engine), restarts: *restarts, failed };
    let back = ActorThread::start(&format!("busway-{}-store", options.bus))?;
    let watches = crew.board_back(&back);
    let rates = Arc::new(Rates::default());
    keep_time(&engine, &memory, &rates);
    Ok(Runtime {
        engine,
        memory,
        rates,
        flow: flow.clone(),
        crew,
        back: watches.len(),
        watches: Mutex::new(watches),
        unread: Mutex::default(),
        delivers: AtomicBool::new(false),
        changing: AtomicBool::new(false),
        stopped: AtomicBool::new(false),
        threads: Mutex::new(vec![back]),
        io: Io(None),
    })
}

fn desks(
    options: &RuntimeOptions,
    room: Room,
    desk: &Arc<Desk>,
    totals: &Arc<Totals>,
    io: &tokio::runtime::Handle,
) -> Result<Arc<Desks>> {
    let flow = &options.flow;
    let names: Vec<Arc<str>> = options.endpoints.keys().map(|name| name.as_str().into()).collect();
    let origin = format!("{}/{}", options.transport.name(), busway_core::Queue::Priority);
    let workers = Workers::new(flow.workers, names.len());
    let setting = Setting { bus: &options.bus, room, workers: &workers, desk, origin: &origin, io };
    let target = |(index, (name, spec)): (usize, (&String, &EndpointSpec))| {
        Target::new(name, index, spec.clone(), &setting)
    };
    let targets: Vec<Arc<Target>> = options.endpoints.iter().enumerate().map(target).collect();
    targets.iter().for_each(|target| target.wake_for_workers());
    let routes = Routes::compile(&options.routes, &names)?;
    Ok(Arc::new(Desks {
        inbox: Inbox::default(),
        board: ArcSwap::from_pointee(Board { routes, targets }),
        replaced: Notify::new(),
        workers,
        shares: Mutex::new(Shares::new(flow.max_share, flow.window)),
        turns: TurnsBoard::default(),
        desk: Arc::clone(desk),
        totals: Arc::clone(totals),
        origin,
        max_deliveries: flow.max_deliveries,
        lanes_open: LanesOpen::default(),
    }))
}

/// Samples rates each second, and keeps how the gates stand whenever that has changed.
fn keep_time(engine: &Arc<Engine>, memory: &Arc<Memory>, rates: &Arc<Rates>) {
    let (engine, memory, rates) = (Arc::downgrade(engine), Arc::clone(memory), Arc::clone(rates));
    let Some(io) = engine.upgrade().map(|engine| engine.io.clone()) else { return };
    io.spawn(async move {
        let mut kept = BTreeMap::new();
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            second.tick().await;
            let Some(engine) = engine.upgrade() else { return };
            rates.sample(&engine.totals);
            for target in &engine.desks.board.load_full().targets {
                // What was parked while the gate was shut is looked at again when it opens.
                target.room.bell().ring();
                let now = target.gate.memory();
                if kept.get(&target.index) == Some(&now)
                    || (now.is_null() && !kept.contains_key(&target.index))
                {
                    continue;
                }
                match memory.gate(&target.name, &now).await {
                    Ok(()) => {
                        kept.insert(target.index, now);
                    }
                    Err(error) => tracing::debug!(%error, "how a gate stands was not kept"),
                }
            }
        }
    });
}

/// Starts the actors.
pub(crate) struct Crew {
    bus: Name,
    engine: Arc<Engine>,
    restarts: RestartPolicy,
    failed: Arc<watch::Sender<Option<String>>>,
}

impl Crew {
    /// The producer and settler.
    fn board_back(&self, back: &ActorThread) -> Vec<Arc<Watch>> {
        let engine = &self.engine;
        let mut watches = Vec::new();
        let desk = (Arc::clone(&engine.desk), engine.faults.clone());
        let seen = Arc::clone(&engine.desk);
        watches.push(self.start(
            back,
            "producer",
            move || Producer { desk: Arc::clone(&desk.0), faults: desk.1.clone() },
            move || {
                let (callers, parcels) = seen.depth();
                serde_json::json!({ "callers": callers, "parcels": parcels })
            },
        ));
        let (shared, under_way) = (Arc::clone(engine), Arc::new(AtomicUsize::new(0)));
        let ledger = Ledger {
            totals: Arc::clone(&engine.totals),
            health: Arc::clone(&engine.health),
            deadline: engine.desk.deadline(),
        };
        let seen = Arc::clone(&engine.settlements);
        watches.push(self.start(
            back,
            "settler",
            move || Settler {
                inbox: Arc::clone(&shared.settlements),
                under_way: Arc::clone(&under_way),
                ledger: ledger.clone(),
                faults: shared.faults.clone(),
                io: shared.io.clone(),
            },
            move || serde_json::json!({ "mailbox": seen.len() }),
        ));
        watches
    }

    /// The subscriber of one endpoint.
    pub(crate) fn board_subscriber(&self, front: &ActorThread, target: &Arc<Target>) -> Arc<Watch> {
        let (own, shared, seen) = (Arc::clone(target), Arc::clone(&self.engine), Arc::clone(target));
        self.start(
            front,
            &format!("subscriber {}", target.name),
            move || Subscriber {
                target: Arc::clone(&own),
                faults: shared.faults.clone(),
                io: shared.io.clone(),
            },
            move || seen.snapshot(),
        )
    }

    /// What takes in and delivers.
    fn board_front(&self, front: &ActorThread) -> Vec<Arc<Watch>> {
        let engine = &self.engine;
        let mut watches = Vec::new();
        for target in &engine.desks.board.load().targets {
            watches.push(self.board_subscriber(front, target));
        }
        let (shared, seen) = (Arc::clone(engine), Arc::clone(engine));
        watches.push(self.start(
            front,
            "router",
            move || Router {
                desks: Arc::clone(&shared.desks),
                faults: shared.faults.clone(),
                io: shared.io.clone(),
            },
            move || serde_json::json!({ "mailbox": seen.desks.inbox.len() }),
        ));
        let (shared, seen) = (Arc::clone(engine), Arc::clone(engine));
        watches.push(self.start(
            front,
            "read-back",
            move || ReadBack::new(Arc::clone(&shared)),
            move || serde_json::json!({ "in_hand": seen.read_back_in_hand() }),
        ));
        let (shared, seen) = (Arc::clone(engine), Arc::clone(engine));
        watches.push(self.start(
            front,
            "intake",
            move || Intake { engine: Arc::clone(&shared), pump: None },
            move || {
                let (messages, bytes) = seen.credit.used();
                serde_json::json!({ "in_hand": messages, "in_hand_bytes": bytes })
            },
        ));
        watches
    }

    fn start<A: actix::Actor<Context = actix::Context<A>>>(
        &self,
        thread: &ActorThread,
        name: &str,
        make: impl Fn() -> A + Send + 'static,
        observe: impl Fn() -> serde_json::Value + Send + Sync + 'static,
    ) -> Arc<Watch> {
        let (engine, failed) = (Arc::clone(&self.engine), Arc::clone(&self.failed));
        let charge = Charge {
            name: name.to_owned(),
            make: Box::new(make),
            observe: Box::new(observe),
            give_up: Box::new(move |name| {
                let why = format!("the {name} died more often than its budget allows");
                tracing::error!(%why, "the bus drains");
                engine.health.fault(name, &*why);
                engine.phase.send_replace(Phase::Draining);
                failed.send_replace(Some(why));
            }),
        };
        supervise(thread.arbiter(), self.restarts, charge)
    }
}
