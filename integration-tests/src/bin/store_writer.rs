//! Publishes to an embedded store from several tasks, receives and settles meanwhile, and says on standard
//! output what became durable: `C id` is confirmed, `A id` is about to be acknowledged, `D id` is
//! acknowledged for good.
//!
//! `store_writer FOLDER FIRST-ID BATCHES SEED`

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use busway_core::clock::now_ms;
use busway_core::transport::{Declare, Group, Publication, ReceiverOptions, Want};
use busway_core::{Outcome, Queue, Reason, Receipt, Receiver, Sender, Transport};
use busway_integration_tests::small_store;
use fastrand::Rng;

/// A task's error goes to main by its text.
type Fallible = Result<(), String>;

const PUBLISHERS: u64 = 4;
const READERS: u64 = 2;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("store_writer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Fallible {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, first, batches, seed] = &arguments[..] else {
        return Err("store_writer FOLDER FIRST-ID BATCHES SEED".to_owned());
    };
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
    let work = work(Path::new(folder), number(first)?, number(batches)?, number(seed)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(text)?.block_on(work)
}

async fn work(folder: &Path, first: u64, batches: u64, seed: u64) -> Fallible {
    let store = small_store::open(folder).map_err(text)?;
    store.declare(&small_store::QUEUES, Declare::Create).await.map_err(text)?;
    let publishing = Arc::new(AtomicUsize::new(PUBLISHERS as usize));
    let mut tasks = tokio::task::JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let sender = store.sender().await.map_err(text)?;
        let (ids, random) = (first + publisher * 100_000, Rng::with_seed(seed ^ publisher));
        let publishing = publishing.clone();
        tasks.spawn(async move {
            let done = publish(sender.as_ref(), ids, batches / PUBLISHERS, random).await;
            publishing.fetch_sub(1, Ordering::Relaxed);
            done
        });
    }
    for reader in 0..READERS {
        let queue = if reader == 0 { Queue::Priority } else { Queue::Delayed };
        let receiver = store.receiver(&queue, ReceiverOptions::default()).await.map_err(text)?;
        let (publishing, random) = (publishing.clone(), Rng::with_seed(!seed ^ reader));
        tasks.spawn(async move { read(receiver.as_ref(), &publishing, random).await });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(text)??;
    }
    store.close().await.map_err(text)
}

async fn publish(sender: &dyn Sender, first: u64, batches: u64, mut random: Rng) -> Fallible {
    let mut next = first;
    for _ in 0..batches {
        let ids: Vec<u64> = (next..next + random.u64(1..12)).collect();
        next += ids.len() as u64;
        let results = sender.publish(ids.iter().map(|id| publication(*id, &mut random)).collect()).await;
        if let Some(error) = results.into_iter().find_map(Result::err) {
            return Err(text(error));
        }
        say('C', &ids)?;
    }
    Ok(())
}

fn publication(id: u64, random: &mut Rng) -> Publication {
    let queue = if random.u8(..3) == 0 { Queue::Delayed } else { Queue::Priority };
    let mut message = small_store::message(id);
    message.priority = random.u8(..10);
    message.account = (random.u8(..2) == 0).then(|| format!("account-{}", random.u8(..5)));
    message.deliver_at = (random.u8(..4) == 0).then(|| now_ms() + random.u64(..20));
    let mut publication = Publication::new(queue, message);
    publication.group = (random.u8(..4) == 0).then(|| Group { key: random.u64(..8), position: None });
    publication
}

/// Receives and settles until nobody publishes any more and nothing comes.
async fn read(receiver: &dyn Receiver, publishing: &AtomicUsize, mut random: Rng) -> Fallible {
    loop {
        let last = publishing.load(Ordering::Relaxed) == 0;
        let want = Want::new(random.usize(1..30), Duration::from_millis(5));
        let leased = receiver.receive(want).await.map_err(text)?;
        if leased.is_empty() && last {
            return Ok(());
        }
        let mut acked = Vec::new();
        let mut batch: Vec<(Receipt, Outcome)> = Vec::new();
        for leased in leased {
            let id = small_store::number(&leased.message).ok_or("a message is not what was published")?;
            match outcome(&mut random) {
                // Dropped: abandoned.
                None => drop(leased.receipt),
                Some(outcome) => {
                    if outcome == Outcome::Ack {
                        acked.push(id);
                    }
                    batch.push((leased.receipt, outcome));
                }
            }
        }
        say('A', &acked)?;
        let results = receiver.settle(batch).await;
        if let Some(error) = results.into_iter().find_map(Result::err) {
            return Err(text(error));
        }
        say('D', &acked)?;
    }
}

/// Half are done; the others stay in the store in one way or another.
fn outcome(random: &mut Rng) -> Option<Outcome> {
    let after = Duration::from_millis(random.u64(..20));
    Some(match random.u8(..20) {
        0..10 => Outcome::Ack,
        10..13 => Outcome::Retry { after, reason: Reason::Saturated },
        13..15 => Outcome::Park { after, reason: Reason::Share },
        15..17 => Outcome::Dead { reason: Reason::Expired, attempts: 1 },
        17..19 => Outcome::Release,
        _ => return None,
    })
}

/// One write for all, past every buffer: what is said was true before it is said.
fn say(what: char, ids: &[u64]) -> Fallible {
    let lines: String = ids.iter().map(|id| format!("{what} {id}\n")).collect();
    let mut out = io::stdout().lock();
    out.write_all(lines.as_bytes()).and_then(|()| out.flush()).map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
