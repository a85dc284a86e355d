//! One run: random operations on both, and the comparison.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use busway_core::clock::now_ms;
use busway_core::reason::Reason;
use busway_core::transport::{Backlog, Declare, Filter, Group, ReceiverOptions, Selector, Standing, Turns};
use busway_core::{Leased, Message, Name, Outcome, Publication, Queue, Receipt, Receiver, Transport};
use busway_embedded::{EmbeddedConfig, EmbeddedTransport};
use fastrand::Rng;
use tempfile::TempDir;

use super::state::State;
use crate::faults::Unsynced;
use crate::support::now;

const HOUR: u64 = 3_600_000;

/// How often a message was handed out before a kill may not have reached the disk.
const UNKNOWN: u32 = u32::MAX;

/// The store, its model, and what is in hand.
pub(super) struct Run {
    seed: u64,
    rng: Rng,
    home: TempDir,
    lives: u32,
    config: EmbeddedConfig,
    disk: Unsynced,
    store: Option<Arc<EmbeddedTransport>>,
    state: State,
    held: BTreeMap<u64, Receipt>,
    made: u64,
    log: Vec<String>,
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let from = self.log.len().saturating_sub(25);
            println!(
                "seed {}, step {}; the last:\n{}",
                self.seed,
                self.log.len(),
                self.log[from..].join("\n")
            );
        }
    }
}

impl Run {
    pub(super) async fn new(seed: u64) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut config = EmbeddedConfig::new("local", "shop", home.path().join("0"));
        config.segment_bytes = 64 << 10;
        config.garbage_bytes = 32 << 10;
        config.idle_garbage_bytes = 16 << 10;
        config.cache_bytes = 40 << 10;
        config.reserve_bytes = 0;
        config.backoff_first = Duration::from_secs(3600);
        config.backoff_max = Duration::from_secs(3600);
        config.lease = Duration::from_secs(3600);
        let state = State { next: 1, ..State::default() };
        let rng = Rng::with_seed(seed);
        let log = Vec::new();
        let held = BTreeMap::new();
        let mut run = Self {
            seed,
            rng,
            home,
            lives: 0,
            config,
            disk: Unsynced::default(),
            store: None,
            state,
            held,
            made: 0,
            log,
        };
        run.open();
        run.store().declare(&queues(), Declare::Create).await.unwrap();
        run
    }

    pub(super) async fn step(&mut self) {
        match self.rng.u8(0..100) {
            0..30 => self.publish().await,
            30..55 => self.receive().await,
            55..85 => self.settle().await,
            85..88 => self.abandon().await,
            88 => self.purge().await,
            89..93 => self.restart().await,
            93..96 => self.die().await,
            _ => self.compare().await,
        }
    }

    pub(super) async fn finish(&mut self) {
        self.compare().await;
        self.restart().await;
        self.compare().await;
    }

    fn store(&self) -> &Arc<EmbeddedTransport> {
        self.store.as_ref().unwrap()
    }

    fn note(&mut self, what: String) {
        self.log.push(what);
    }

    fn open(&mut self) {
        self.store =
            Some(EmbeddedTransport::open_on(self.config.clone(), Arc::new(self.disk.clone())).unwrap());
    }

    async fn publish(&mut self) {
        let count = self.rng.usize(1..8);
        let mut batch = Vec::new();
        let now = now_ms();
        for _ in 0..count {
            let queue = self.queue();
            let message = self.message(now);
            let group = self.rng.bool().then(|| Group {
                key: self.rng.u64(0..4),
                position: self.rng.bool().then(|| self.rng.u64(1..50)),
            });
            let group = group.filter(|_| queue == Queue::Delayed);
            batch.push(Publication { queue, message, group });
        }
        let first = self.state.next;
        for publication in &batch {
            let Publication { queue, message, group } = publication.clone();
            self.state.add(queue, message, group, now);
        }
        self.note(format!("publish {count} from {first}"));
        for result in self.store().sender().await.unwrap().publish(batch).await {
            result.unwrap();
        }
    }

    fn message(&mut self, now: u64) -> Message {
        self.made += 1;
        let size = if self.rng.u8(0..10) == 0 { self.rng.usize(0..9000) } else { self.rng.usize(0..400) };
        let mut message = Message::new(*self.rng.choice(&["a.b", "c.d"]).unwrap(), ".".repeat(size));
        message.id = format!("id-{}", self.made);
        message.account =
            self.rng.choice(&[None, Some("x"), Some("y"), Some("z")]).unwrap().map(str::to_owned);
        message.destination =
            self.rng.choice(&[None, None, Some("a"), Some("b")]).unwrap().map(str::to_owned);
        message.priority = *self.rng.choice(&[4, 4, 4, 0, 9]).unwrap();
        message.accepted = Some(now - self.rng.u64(0..1000));
        message.deliver_at = match self.rng.u8(0..8) {
            0 => Some(now + HOUR + self.rng.u64(0..1000)),
            1 => Some(now - 5),
            _ => None,
        };
        message
    }

    async fn receive(&mut self) {
        let queue = self.queue();
        let selector = self.selector();
        let turns = self.rng.u8(0..4) == 0;
        let options = ReceiverOptions { selector: selector.clone(), ..ReceiverOptions::default() };
        let reader = self.store().receiver(&queue, options).await.unwrap();
        let mut paused = None;
        if turns {
            paused = Some("x".to_owned());
            let weights = [("y".to_owned(), 3)].into();
            reader.set_turns(Turns { paused: ["x".to_owned()].into(), weights }).unwrap();
        }
        let max = self.rng.usize(1..12);
        let wall = now_ms();
        let mut ready = self.state.ready(&queue, &selector, wall);
        ready.retain(|position| {
            paused.as_deref() != Some(self.state.items[position].message.account_or_dash())
        });
        let got = now(&reader, max).await;
        let text: Vec<&str> = got.iter().map(|leased| leased.message.id.as_str()).collect();
        self.note(format!("receive {max} of {queue} {selector:?} paused {paused:?}: {text:?}"));
        assert_eq!(got.len(), max.min(ready.len()), "of {ready:?}");
        let in_order = selector == Selector::All && !turns;
        let found = matches!(selector, Selector::Matching(_));
        self.check_received(&ready, got, in_order, found);
    }

    /// What came is what the model says: the very first ones of a queue, or the first ones of each
    /// account where accounts take turns.
    fn check_received(&mut self, ready: &[u64], got: Vec<Leased>, in_order: bool, found: bool) {
        let mut lanes: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for position in ready {
            let message = &self.state.items[position].message;
            let lane = format!("{} {:?}", message.account_or_dash(), message.destination);
            lanes.entry(lane).or_default().push(*position);
        }
        for (at, leased) in got.into_iter().enumerate() {
            let id = &leased.message.id;
            let position = *self.state.items.iter().find(|(_, item)| item.message.id == *id).unwrap().0;
            assert!(ready.contains(&position), "{id} was not ready");
            if in_order {
                assert_eq!(ready[at], position, "{id} came out of turn");
            } else if !found {
                let message = &leased.message;
                let lane = format!("{} {:?}", message.account_or_dash(), message.destination);
                assert_eq!(lanes.get_mut(&lane).unwrap().remove(0), position, "{id} overtook its account");
            }
            let order = self.state.order(position).0;
            let item = self.state.items.get_mut(&position).unwrap();
            item.leased = true;
            item.deliveries = match item.deliveries {
                UNKNOWN => leased.deliveries.unwrap(),
                known => known + 1,
            };
            assert_eq!(leased.message, item.message);
            assert_eq!(leased.deliveries, Some(item.deliveries), "{id}");
            assert_eq!(leased.position, Some(order));
            self.held.insert(position, leased.receipt);
        }
    }

    async fn settle(&mut self) {
        let count = self.rng.usize(1..10).min(self.held.len());
        let reader = self.reader().await;
        let mut batch = Vec::new();
        let mut plan = Vec::new();
        for _ in 0..count {
            let position = *self.rng.choice(&self.held.keys().copied().collect::<Vec<_>>()).unwrap();
            let outcome = self.outcome();
            plan.push((position, outcome.clone()));
            batch.push((self.held.remove(&position).unwrap(), outcome));
        }
        self.note(format!("settle {plan:?}"));
        let before = now_ms();
        for result in reader.settle(batch).await {
            result.unwrap();
        }
        for (position, outcome) in &plan {
            match outcome {
                Outcome::Ack => drop(self.state.items.remove(position)),
                Outcome::Release => {
                    let item = self.state.items.get_mut(position).unwrap();
                    (item.leased, item.deliveries) = (false, 0);
                }
                Outcome::Retry { after, reason } => self.wait(*position, *after, reason, true, before),
                Outcome::Park { after, reason } => self.wait(*position, *after, reason, false, before),
                Outcome::Dead { .. } => {}
            }
        }
        for (position, outcome) in plan {
            if let Outcome::Dead { reason, attempts } = outcome {
                self.state.bury(position, reason, attempts, now_ms());
            }
        }
        self.learn_times(before).await;
    }

    fn outcome(&mut self) -> Outcome {
        let after = Duration::from_millis(*self.rng.choice(&[0, HOUR]).unwrap());
        let reasons = [Reason::Share, Reason::error("timeout"), Reason::error("x")];
        let reason = self.rng.choice(&reasons).unwrap().clone();
        match self.rng.u8(0..10) {
            0..5 => Outcome::Ack,
            5 => Outcome::Release,
            6 => Outcome::Retry { after, reason },
            7 => Outcome::Park { after, reason },
            _ => Outcome::Dead { reason, attempts: self.rng.u32(0..5) },
        }
    }

    fn wait(&mut self, position: u64, after: Duration, reason: &Reason, attempted: bool, now: u64) {
        let item = self.state.items.get_mut(&position).unwrap();
        (item.leased, item.deliveries) = (false, 0);
        item.message.reason = Some(reason.clone());
        item.message.attempt += u32::from(attempted);
        item.message.deliver_at = Some(now + after.as_millis() as u64);
        item.message.parked = Some(now);
    }

    /// Moments that the store chose (between `since` and now) are taken over by the model, after a
    /// look at whether they are right.
    async fn learn_times(&mut self, since: u64) {
        let until = now_ms();
        for queue in queues() {
            for peeked in self.store().peek(&queue, &Selector::All, 0, usize::MAX).await.unwrap() {
                let seen = peeked.message;
                let mine = self.state.items.values_mut().find(|item| item.message.id == seen.id).unwrap();
                let item = &mut mine.message;
                if let (Some(ours), Some(theirs)) = (item.parked, seen.parked)
                    && ours != theirs
                {
                    assert!((since..=until).contains(&theirs), "parked at {theirs}");
                    item.parked = Some(theirs);
                    if let (Some(ours), Some(theirs)) = (item.deliver_at, seen.deliver_at) {
                        assert!((ours..=ours + until - since + 1).contains(&theirs), "due at {theirs}");
                    }
                }
                if let (Some(ours), Some(theirs)) = (item.deliver_at, seen.deliver_at)
                    && ours != theirs
                {
                    assert!(
                        (ours..=ours + until - since + 1).contains(&theirs),
                        "due at {theirs} not {ours}"
                    );
                    item.deliver_at = Some(theirs);
                }
            }
        }
    }

    async fn abandon(&mut self) {
        let Some(position) = self.rng.choice(&self.held.keys().copied().collect::<Vec<_>>()).copied() else {
            return;
        };
        self.note(format!("abandon {position}"));
        drop(self.held.remove(&position));
        let item = self.state.items.get_mut(&position).unwrap();
        (item.leased, item.held) = (false, true);
        let queue = item.queue.clone();
        let in_flight = self.state.items.values().filter(|item| item.queue == queue && item.leased).count();
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.store().inspect(&queue, &Selector::All).await.unwrap().in_flight != Some(in_flight as u64)
        {
            assert!(Instant::now() < deadline, "an abandoned message returns");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn purge(&mut self) {
        let queue = self.queue();
        let gone: Vec<u64> = self
            .state
            .within(&queue, &Selector::All)
            .filter(|position| !self.state.items[position].leased)
            .collect();
        self.note(format!("purge {queue}: {gone:?}"));
        assert_eq!(self.store().purge(&queue).await.unwrap(), gone.len() as u64);
        for position in gone {
            self.state.items.remove(&position);
        }
    }

    /// Closes the store in order and opens it again.
    async fn restart(&mut self) {
        self.note("restart".to_owned());
        self.store().close().await.unwrap();
        self.held.clear();
        self.store = None;
        self.state.restart();
        self.open();
    }

    /// Leaves the store as a kill would and goes on with what was on the disk at that moment.
    async fn die(&mut self) {
        self.note("die".to_owned());
        self.lives += 1;
        let next = self.home.path().join(self.lives.to_string());
        self.disk.still(|| copy(&self.config.path, &next));
        let old = self.store.take().unwrap();
        self.held.clear();
        old.close().await.unwrap();
        std::fs::remove_dir_all(&self.config.path).unwrap();
        self.config.path = next;
        self.state.restart();
        self.open();
        self.state.items.values_mut().for_each(|item| item.deliveries = UNKNOWN);
    }

    async fn compare(&mut self) {
        self.note("compare".to_owned());
        let wall = now_ms();
        for queue in queues() {
            let mut selectors = vec![Selector::All, Selector::NoDestination];
            selectors.extend(["a", "b", "nobody"].map(|name| Selector::Destination(name.into())));
            let account = Filter { account: Some("x".to_owned()), ..Filter::default() };
            let r#type = Filter { r#type: Some("a.b".to_owned()), ..Filter::default() };
            selectors.extend([Selector::Matching(account), Selector::Matching(r#type)]);
            for selector in selectors {
                self.compare_depth(&queue, &selector, wall).await;
            }
            self.compare_rows(&queue, wall).await;
            self.compare_breakdown(&queue).await;
        }
    }

    async fn compare_depth(&self, queue: &Queue, selector: &Selector, wall: u64) {
        let depth = self.store().inspect(queue, selector).await.unwrap();
        let within: Vec<u64> = self.state.within(queue, selector).collect();
        let standing: Vec<Standing> =
            within.iter().map(|position| self.state.standing(*position, wall)).collect();
        let count =
            |wanted: fn(&Standing) -> bool| Some(standing.iter().filter(|s| wanted(s)).count() as u64);
        let what = format!("{queue} {selector:?}");
        assert_eq!(depth.ready, count(|s| *s == Standing::Ready), "ready in {what}");
        assert_eq!(depth.in_flight, count(|s| *s == Standing::InFlight), "in flight in {what}");
        let waits = |s: &Standing| matches!(s, Standing::Delayed(_) | Standing::Behind);
        assert_eq!(depth.delayed, count(waits), "delayed in {what}");
        let oldest = within.iter().map(|position| self.state.items[position].accepted).min();
        assert_eq!(depth.oldest, oldest, "oldest in {what}");
        let ready = within.iter().zip(&standing).filter(|(_, s)| **s == Standing::Ready);
        let lowest = ready.map(|(position, _)| self.state.order(*position).0).min();
        assert_eq!(depth.lowest_ready, lowest, "lowest ready in {what}");
        let due = standing.iter().filter_map(|s| match s {
            Standing::Delayed(due) => Some(*due),
            _ => None,
        });
        match due.min() {
            Some(u64::MAX) => assert!(depth.next_due.is_some_and(|due| due > wall)),
            Some(due) => assert!(depth.next_due.is_some_and(|next| next <= due), "next due in {what}"),
            None => assert_eq!(depth.next_due, None, "next due in {what}"),
        }
    }

    async fn compare_rows(&self, queue: &Queue, wall: u64) {
        let rows = self.store().peek(queue, &Selector::All, 0, usize::MAX).await.unwrap();
        let within: Vec<u64> = self.state.within(queue, &Selector::All).collect();
        assert_eq!(rows.len(), within.len(), "messages in {queue}");
        for (row, position) in rows.into_iter().zip(within) {
            assert_eq!(row.message, self.state.items[&position].message);
            assert_eq!(row.position, Some(self.state.order(position).0));
            match self.state.standing(position, wall) {
                Standing::Delayed(u64::MAX) => assert!(matches!(row.standing, Standing::Delayed(_))),
                standing => assert_eq!(row.standing, standing, "{}", row.message.id),
            }
        }
        let skipped = self.store().peek(queue, &Selector::All, 2, 3).await.unwrap();
        assert!(skipped.len() <= 3);
    }

    async fn compare_breakdown(&self, queue: &Queue) {
        let mut rows = self.store().breakdown(queue, usize::MAX).await.unwrap();
        let key = |row: &Backlog| (row.destination.clone(), row.account.clone());
        rows.sort_by_key(key);
        let mut mine: BTreeMap<(Option<String>, String), Vec<u64>> = BTreeMap::new();
        for destination in self.state.destinations() {
            for position in self.state.within(queue, &Selector::All) {
                let item = &self.state.items[&position];
                if item.message.destination == destination {
                    let account = item.message.account_or_dash().to_owned();
                    mine.entry((destination.clone(), account)).or_default().push(item.accepted);
                }
            }
        }
        let mine: Vec<Backlog> = mine
            .into_iter()
            .map(|((destination, account), ages)| Backlog {
                destination,
                account,
                messages: ages.len() as u64,
                oldest: ages.into_iter().min(),
            })
            .collect();
        assert_eq!(rows, mine, "breakdown of {queue}");
    }

    async fn reader(&self) -> Arc<dyn Receiver> {
        self.store().receiver(&Queue::Priority, ReceiverOptions::default()).await.unwrap()
    }

    fn queue(&mut self) -> Queue {
        self.rng.choice(&queues()).unwrap().clone()
    }

    fn selector(&mut self) -> Selector {
        let text = |text: &str| Some(text.to_owned());
        match self.rng.u8(0..10) {
            0..5 => Selector::All,
            5 | 6 => Selector::Destination("a".into()),
            7 => Selector::NoDestination,
            8 => Selector::Matching(Filter { account: text("y"), ..Filter::default() }),
            _ => Selector::Matching(Filter {
                r#type: text("c.d"),
                destination: text("b"),
                ..Filter::default()
            }),
        }
    }
}

fn queues() -> [Queue; 4] {
    [Queue::Priority, Queue::Delayed, Queue::Dead, Queue::To(Name::new("other").unwrap())]
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy(&file.path(), &target);
        } else if file.file_name() != "busway.sock" {
            std::fs::copy(file.path(), target).unwrap();
        }
    }
}
