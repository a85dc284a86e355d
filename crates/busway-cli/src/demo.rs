//! The demo: the main job on the embedded transport with real data.
//!
//! A bus in a temporary directory delivers real webhook payloads, of which one account sends most,
//! to an HTTP endpoint that has too much to do part of the time, and to a file.
//!
//! | module | holds |
//! |---|---|
//! | `data` | the messages: real webhook payloads |
//! | `peer` | the HTTP endpoint, a server of its own on loopback |
//! | `table` | what happened, as a table or as JSON |

pub(crate) mod data;
mod peer;
pub(crate) mod table;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use busway::config::{Concurrency, Endpoint, FileTarget, HttpTarget, Retry, Target};
use busway::core::transport::Filter;
use busway::core::{Admin, Message};
use busway::{Bus, BusBuilder};
use serde_json::Value;

use self::peer::{Peer, Seen};
use self::table::Report;
use crate::exit::{Failure, Outcome};
use crate::output::complain;
use crate::output::progress::Progress;

/// Messages published at once, and how often: a flood in which the quiet accounts are mixed.
const BURST: usize = 4;
const EVERY: Duration = Duration::from_millis(35);
const LONGEST: Duration = Duration::from_secs(60);
/// How long an interrupted demo may deliver what it has in hand.
const GRACE: Duration = Duration::from_secs(1);
const REST: Duration = Duration::from_millis(20);

/// Publishes and delivers these messages, and tells what happened, unless it is interrupted before. Its
/// directory is gone when it returns: the bus has stopped then, and writes no more.
pub(crate) async fn run(messages: Vec<Message>, interrupted: impl Future<Output = ()>) -> Outcome<Report> {
    let failed = |what: &str, why: &dyn std::fmt::Display| Failure::Failed(format!("{what}: {why}"));
    let directory = tempfile::tempdir().map_err(|e| failed("no temporary directory", &e))?;
    let peer = Peer::start().await.map_err(|e| failed("no HTTP endpoint", &e))?;
    let file = directory.path().join("audit.jsonl");
    let bus = bus(directory.path(), &file, &peer).build()?;
    let reported = tokio::select! {
        reported = work(&bus, &peer, &file, messages) => reported,
        () = interrupted => Err(Failure::Interrupted),
    };
    match bus.shutdown().await {
        Err(late) if reported.is_ok() => Err(late.into()),
        _ => reported,
    }
}

async fn work(bus: &Bus, peer: &Peer, file: &Path, messages: Vec<Message>) -> Outcome<Report> {
    bus.start().await?;
    complain(&format!("a bus in a temporary directory, an HTTP endpoint at {}, a file", peer.url()));
    let started = Instant::now();
    let loud = loudest(&messages);
    let ids: Vec<String> = messages.iter().map(|message| message.id.clone()).collect();
    let progress = Progress::of(messages.len() as u64, "publishing");
    let published = publish(bus, messages, &progress).await?;
    drop(progress);
    complain(&format!("{published} messages published; waiting until each has come to its outcome"));
    let admin = bus.admin().await?;
    let progress = Progress::of(published, "delivering");
    settle(&*admin, published, started, &progress).await?;
    drop(progress);
    let seconds = started.elapsed().as_secs_f64();
    let snapshot = admin.snapshots().await;
    let dead = admin.dead_list(Filter::default(), 100_000).await?.len() as u64;
    let mut report = Report { published, dead, seconds, ..figures(&snapshot) };
    let written = lines(file).map_err(|e| Failure::Failed(format!("the file: {e}")))?;
    count(&mut report, &ids, &peer.seen(), &written);
    latencies(&mut report, &peer.seen(), &loud);
    Ok(report)
}

fn bus(directory: &Path, file: &Path, peer: &Peer) -> BusBuilder {
    let mut inventory = Endpoint::new(Target::Http(HttpTarget { url: peer.url(), ..HttpTarget::default() }));
    inventory.policy.concurrency = Concurrency { min: 1, max: Some(4) };
    inventory.policy.retry = Retry { first: Duration::from_millis(200), ..Retry::default() };
    let audit = Endpoint::new(Target::File(FileTarget { path: file.to_owned() }));
    Bus::builder("demo")
        .embedded(directory)
        .configure(|config| config.flow.shutdown_grace = GRACE)
        .endpoint("inventory", inventory)
        .endpoint("audit", audit)
        .route(&["#"], &["inventory", "audit"])
}

async fn publish(bus: &Bus, messages: Vec<Message>, progress: &Progress) -> Outcome<u64> {
    let mut published = 0;
    let mut pace = tokio::time::interval(EVERY);
    for batch in messages.chunks(BURST) {
        pace.tick().await;
        for result in bus.publish_all(batch.to_vec()).await {
            result.map_err(|error| Failure::Failed(error.to_string()))?;
            published += 1;
        }
        progress.at(published);
    }
    Ok(published)
}

/// Waits until every message has been delivered to both endpoints or is dead.
async fn settle(admin: &dyn Admin, published: u64, started: Instant, progress: &Progress) -> Outcome<()> {
    loop {
        let report = admin.queues().await?;
        let waiting: u64 = report
            .queues
            .iter()
            .filter(|row| row.queue != "dead")
            .flat_map(|row| [row.ready, row.in_flight, row.delayed])
            .flatten()
            .sum();
        let taken = admin.snapshots().await["totals"]["received"].as_u64().unwrap_or_default();
        progress.at(published.saturating_sub(waiting));
        if waiting == 0 && taken >= published {
            return Ok(());
        }
        if started.elapsed() > LONGEST {
            return Err(Failure::Failed(format!("{waiting} messages still wait after {LONGEST:?}")));
        }
        tokio::time::sleep(REST).await;
    }
}

fn figures(snapshot: &Value) -> Report {
    let mut report = Report::default();
    let mut diverted: BTreeMap<String, u64> = BTreeMap::new();
    let shared = snapshot["totals"]["share_diverted"].as_u64().unwrap_or_default();
    diverted.insert("share".to_owned(), shared);
    for actor in snapshot["actors"].as_array().into_iter().flatten() {
        let figures = &actor["figures"]["figures"];
        report.delivered += figures["delivered"].as_u64().unwrap_or_default();
        report.retried += figures["retried"].as_u64().unwrap_or_default();
        for (reason, count) in figures["diverted"].as_object().into_iter().flatten() {
            *diverted.entry(reason.clone()).or_default() += count.as_u64().unwrap_or_default();
        }
    }
    diverted.retain(|reason, count| *count > 0 || reason == "share" || reason == "saturated");
    report.diverted = diverted;
    report
}

fn loudest(messages: &[Message]) -> String {
    let mut accounts: HashMap<&str, usize> = HashMap::new();
    for message in messages {
        *accounts.entry(message.account_or_dash()).or_default() += 1;
    }
    accounts.into_iter().max_by_key(|(_, count)| *count).map_or_else(String::new, |(name, _)| name.to_owned())
}

/// Ids of the file's lines, each as often as it stands there.
fn lines(file: &Path) -> std::io::Result<Vec<String>> {
    let text = std::fs::read_to_string(file)?;
    let id = |line: &str| -> std::io::Result<String> {
        let event: Value = serde_json::from_str(line).map_err(std::io::Error::other)?;
        Ok(event["id"].as_str().unwrap_or_default().to_owned())
    };
    text.lines().map(id).collect()
}

/// Counts, at both endpoints, what did not come and what came again.
fn count(report: &mut Report, ids: &[String], seen: &[Seen], written: &[String]) {
    let posted: Vec<&str> = seen.iter().map(|seen| seen.id.as_str()).collect();
    let written: Vec<&str> = written.iter().map(String::as_str).collect();
    for endpoint in [posted, written] {
        let mut times: HashMap<&str, u64> = HashMap::new();
        for id in &endpoint {
            *times.entry(id).or_default() += 1;
        }
        let missing = ids.iter().filter(|id| !times.contains_key(id.as_str())).count() as u64;
        report.lost += missing;
        report.duplicated += times.values().map(|n| n - 1).sum::<u64>();
    }
    report.lost = report.lost.saturating_sub(report.dead);
}

fn latencies(report: &mut Report, seen: &[Seen], loud: &str) {
    let p99 = |of_loud: bool| {
        let mut times: Vec<f64> =
            seen.iter().filter(|seen| (seen.account == loud) == of_loud).map(|seen| seen.waited_ms).collect();
        times.sort_by(f64::total_cmp);
        let last = (times.len() * 99).div_ceil(100).saturating_sub(1);
        times.get(last).copied().unwrap_or_default()
    };
    report.quiet_p99_ms = p99(false);
    report.loud_p99_ms = p99(true);
}

/// Shared by the server's tasks and the demo.
type Record = Arc<std::sync::Mutex<Vec<Seen>>>;
