//! The operator's verbs on a running bus.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use busway_core::admin::{
    AccountRow, DeadLetter, DeadReport, DeadRequest, DeadRow, EndpointRow, OnceReport, OnceRequest, PeekRow,
    PublishResult, QueueRow, QueuesReport, Readiness, Trace, TraceEvent,
};
use busway_core::journal::Found;
use busway_core::transport::{Backlog, Depth, Filter, Selector};
use busway_core::{Admin, Error, ErrorKind, Message, Queue, Result, clock, envelope};
use serde_json::{Value, json};

use crate::options::QUEUES;
use crate::rates::InOut;
use crate::runtime::Runtime;
use crate::target::Target;
use crate::unread::{gone, waiting};

const ROWS: usize = 1000;

#[async_trait]
impl Admin for Runtime {
    async fn publish(&self, batch: Vec<Message>, deadline: Duration) -> Vec<PublishResult> {
        Runtime::publish(self, batch, deadline).await
    }

    async fn queues(&self) -> Result<QueuesReport> {
        let rates = self.rates.of(&self.engine.totals);
        let mut queues = Vec::new();
        for (queue, rate) in QUEUES.iter().zip(rates) {
            let depth = self.engine.transport.inspect(queue, &Selector::All).await?;
            queues.push(self.queue_row(queue, &depth, Some(rate)));
        }
        for queue in self.further_queues() {
            match self.engine.transport.inspect(&queue, &Selector::All).await {
                Ok(depth) => queues.push(self.queue_row(&queue, &depth, None)),
                // It is declared when its endpoint is opened.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let waiting = waiting(&self.engine).await?;
        let endpoints = self.endpoint_rows(&waiting).await?;
        Ok(QueuesReport { queues, accounts: self.account_rows(&waiting), endpoints })
    }

    async fn peek(&self, queue: &str, max: usize, why: bool) -> Result<Vec<PeekRow>> {
        let queue = Queue::parse(queue)?;
        let seen = self.engine.transport.peek(&queue, &Selector::All, 0, max.min(ROWS)).await?;
        Ok(seen.iter().map(|peeked| self.peek_row(&queue, peeked, why)).collect())
    }

    async fn trace(&self, id: &str) -> Result<Option<Trace>> {
        self.trace_of(id).await
    }

    async fn dead_list(&self, filter: Filter, max: usize) -> Result<Vec<DeadRow>> {
        let seen = self
            .engine
            .transport
            .peek(&Queue::Dead, &Selector::Matching(filter), 0, max.min(100_000))
            .await?;
        Ok(seen.iter().map(|peeked| dead_row(&peeked.message)).collect())
    }

    async fn dead_show(&self, id: &str) -> Result<Option<DeadLetter>> {
        let filter = Filter { id: Some(id.to_owned()), ..Filter::default() };
        let seen = self.engine.transport.peek(&Queue::Dead, &Selector::Matching(filter), 0, 1).await?;
        let Some(peeked) = seen.first() else { return Ok(None) };
        let found = self.engine.journal.find(id).await?;
        dead_letter(&peeked.message, found).map(Some)
    }

    async fn dead_replay(&self, request: DeadRequest) -> Result<DeadReport> {
        self.replay(request).await
    }

    async fn dead_delete(&self, request: DeadRequest) -> Result<DeadReport> {
        self.delete(request).await
    }

    async fn endpoints(&self) -> Result<Vec<EndpointRow>> {
        self.endpoint_rows(&waiting(&self.engine).await?).await
    }

    async fn endpoint_pause(&self, name: &str, pause: bool) -> Result<()> {
        let target = self.target(name)?;
        self.memory.endpoint_paused(name, pause).await?;
        target.gate.set_paused(pause);
        target.room.bell().ring();
        Ok(())
    }

    async fn endpoint_test(&self, name: &str) -> Result<String> {
        let target = self.target(name)?;
        target.settings.load_full().spec.endpoint.test().await.map_err(|error| {
            Error::new("test", ErrorKind::Unavailable, error.to_string()).at(format!("endpoint {name}"))
        })
    }

    async fn accounts(&self) -> Result<Vec<AccountRow>> {
        Ok(self.account_rows(&waiting(&self.engine).await?))
    }

    async fn account_pause(&self, name: &str, pause: bool) -> Result<()> {
        self.memory.account_paused(name, pause).await?;
        self.engine.desks.turns.change(|turns| {
            if pause {
                turns.paused.insert(name.to_owned());
            } else {
                turns.paused.remove(name);
            }
        });
        Ok(())
    }

    async fn account_weight(&self, name: &str, weight: u32) -> Result<()> {
        if !(1..=1000).contains(&weight) {
            return Err(Error::new("weight", ErrorKind::Configuration, "a weight is 1 to 1000").at(name));
        }
        self.memory.account_weight(name, weight).await?;
        self.engine.desks.turns.change(|turns| {
            turns.weights.insert(name.to_owned(), weight);
        });
        Ok(())
    }

    async fn readiness(&self) -> Readiness {
        Runtime::readiness(self)
    }

    async fn snapshots(&self) -> Value {
        let actors: Vec<Value> = self.watches().iter().map(|watch| watch.snapshot()).collect();
        json!({
            "actors": actors,
            "totals": self.engine.totals.snapshot(),
            "in_hand": self.in_hand(),
            "unread": self.unread(),
            "workers": self.engine.desks.workers.used(),
        })
    }

    async fn run_once(&self, request: OnceRequest) -> Result<OnceReport> {
        self.once(request).await
    }
}

impl Runtime {
    fn target(&self, name: &str) -> Result<Arc<Target>> {
        let board = self.engine.desks.board.load();
        board.target(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = board.targets.iter().map(|target| &*target.name).collect();
            Error::new("find", ErrorKind::NotFound, "there is no such endpoint")
                .at(format!("endpoint {name}"))
                .advise(format!("there are: {}", known.join(", ")))
        })
    }

    /// The endpoints, and those that are gone and still have something waiting.
    async fn endpoint_rows(&self, waiting: &[Backlog]) -> Result<Vec<EndpointRow>> {
        let mut rows = Vec::new();
        for target in &self.engine.desks.board.load_full().targets {
            rows.push(self.endpoint_row(target).await?);
        }
        let gone = gone(&self.engine, waiting);
        rows.extend(gone.into_iter().map(|(name, waiting)| gone_row(name, waiting)));
        Ok(rows)
    }

    fn account_rows(&self, waiting: &[Backlog]) -> Vec<AccountRow> {
        let mut rows: BTreeMap<String, AccountRow> = BTreeMap::new();
        let turns = self.engine.desks.turns.turns();
        let shares = self.engine.desks.lock_shares().list(ROWS);
        for share in shares {
            let row = row_of(&mut rows, &share.account);
            row.share = share.share;
            row.diverted = share.over;
        }
        for backlog in waiting {
            let row = row_of(&mut rows, &backlog.account);
            row.waiting += backlog.messages;
            let since = backlog.oldest.map(clock::format_rfc3339);
            row.waiting_since = row.waiting_since.take().into_iter().chain(since).min();
        }
        for account in &turns.paused {
            row_of(&mut rows, account).paused = true;
        }
        for (account, weight) in &turns.weights {
            row_of(&mut rows, account).weight = *weight;
        }
        let mut rows: Vec<AccountRow> = rows.into_values().collect();
        rows.sort_by(|a, b| b.share.total_cmp(&a.share).then(b.waiting.cmp(&a.waiting)));
        rows
    }

    /// Queues that endpoints write to, without the bus's own three.
    fn further_queues(&self) -> BTreeSet<Queue> {
        let board = self.engine.desks.board.load();
        let written = board.targets.iter().filter_map(|target| target.settings.load().spec.queue.clone());
        written.filter(|queue| !QUEUES.contains(queue)).collect()
    }

    fn queue_row(&self, queue: &Queue, depth: &Depth, rate: Option<InOut>) -> QueueRow {
        let age = depth.oldest.map(|at| Duration::from_millis(clock::now_ms().saturating_sub(at)));
        QueueRow {
            queue: queue.to_string(),
            transport: self.engine.transport.name().to_owned(),
            physical: self.engine.transport.physical(queue),
            ready: depth.ready,
            in_flight: depth.in_flight,
            delayed: depth.delayed,
            oldest_age_seconds: age.map(|age| age.as_secs_f64()),
            in_rate: rate.map(|rate| rate.in_rate),
            out_rate: rate.map(|rate| rate.out_rate),
            approximate: !depth.staleness.is_zero(),
        }
    }

    async fn endpoint_row(&self, target: &Target) -> Result<EndpointRow> {
        let selector = Selector::Destination(Arc::clone(&target.name));
        let depth = self.engine.transport.inspect(&Queue::Delayed, &selector).await?;
        let (state, why) = target.gate.describe();
        let (calls, limit) = target.gate.calls();
        Ok(EndpointRow {
            endpoint: target.name.to_string(),
            kind: target.settings.load().spec.endpoint.kind().to_owned(),
            state: state.to_owned(),
            why,
            in_flight: calls as u64,
            limit: limit as u64,
            waiting: [depth.ready, depth.delayed, depth.in_flight].into_iter().flatten().sum(),
            delivered: target.figures.delivered.get(),
            failed: target.figures.failed.get(),
            diverted: target.figures.diversions(),
        })
    }
}

fn row_of<'a>(rows: &'a mut BTreeMap<String, AccountRow>, account: &str) -> &'a mut AccountRow {
    rows.entry(account.to_owned()).or_insert_with(|| AccountRow {
        account: account.to_owned(),
        weight: 1,
        ..AccountRow::default()
    })
}

/// An endpoint that is not configured any more, with messages that wait for it.
fn gone_row(endpoint: String, waiting: u64) -> EndpointRow {
    let why = "not in the configuration: nothing reads what waits for it; configure it again";
    let (state, why) = ("gone".to_owned(), Some(why.to_owned()));
    EndpointRow { endpoint, kind: "-".to_owned(), state, why, waiting, ..EndpointRow::default() }
}

fn dead_row(message: &Message) -> DeadRow {
    DeadRow {
        id: message.id.clone(),
        reason: message.reason.as_ref().map(ToString::to_string).unwrap_or_default(),
        destination: message.destination.clone(),
        attempts: message.attempt,
        replays: message.replays(),
        origin: message.origin.clone(),
        since: message.parked.map(clock::format_rfc3339),
        r#type: message.r#type.clone(),
        account: message.account.clone(),
    }
}

fn dead_letter(message: &Message, found: Found) -> Result<DeadLetter> {
    let text = String::from_utf8_lossy(&envelope::json::encode(message)).into_owned();
    let raw = serde_json::value::RawValue::from_string(text).map_err(|e| {
        Error::new("show", ErrorKind::Internal, "a dead letter has no JSON form").at(&message.id).caused_by(e)
    })?;
    let history = found.events.into_iter().map(TraceEvent::from).collect();
    Ok(DeadLetter { row: dead_row(message), history, missing: found.missing, message: raw })
}
