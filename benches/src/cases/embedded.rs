//! `embedded`: the store beside one file that is appended to with the same bytes and as many syncs.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use busway_core::transport::{Declare, ReceiverOptions, Selector, Want};
use busway_core::{Message, Outcome, Publication, Queue, Receiver, Sender, Transport};
use busway_embedded::{EmbeddedConfig, EmbeddedTransport};
use tokio::runtime::Runtime;

use super::Case;
use crate::{Bench, Limit, Measure, Run, Side, Stopwatch};

pub(super) const CASE: Case = Case {
    name: "embedded",
    about: "durable queues in a directory: enqueue, whole life, start, depth, space",
    run,
};

const BODY: usize = 256;
/// Messages of a group, and of one run.
const SIZES: [(usize, u64); 3] = [(1, 2_000), (64, 64_000), (1024, 204_800)];
const DEEP: u64 = 1_000_000;
const SHALLOW: u64 = 1_000;
/// How long the store may take to give the disk back.
const PATIENCE: Duration = Duration::from_secs(60);
/// What an idle store of no messages may keep, laid out ahead and not worth cleaning.
const KEPT: u64 = 8 << 20;
/// Memory that a million stored messages may take.
const MEMORY: u64 = 500 << 20;

fn run(bench: &mut Bench<'_>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for (size, messages) in SIZES {
        let batches = usize::try_from(bench.scale(messages))?.div_ceil(size);
        enqueue(bench, &runtime, size, batches, 1)?;
        if size > 1 {
            enqueue(bench, &runtime, size, batches, 2)?;
        }
    }
    for (size, messages) in SIZES {
        let batches = usize::try_from(bench.scale(messages))?.div_ceil(size);
        life(bench, &runtime, size, batches)?;
    }
    start(bench, &runtime)?;
    depth(bench, &runtime)?;
    space(bench, &runtime)
}

fn enqueue(
    bench: &mut Bench<'_>,
    on: &Runtime,
    size: usize,
    batches: usize,
    publishers: usize,
) -> Result<()> {
    let home = bench.scratch()?;
    let groups = on.block_on(groups(&home.path().join("probe"), size))?;
    let name = if publishers == 1 { String::new() } else { format!(", {publishers} publishers") };
    let mut measure = Measure::new(format!("enqueue {size}{name}"), "publish", "file, append and fdatasync")
        .body_bytes(BODY as u64)
        .durable()
        .notes(format!(
            "each publisher has one batch of {size} under way; messages made beforehand; twin: {} bytes a group",
            groups[0]
        ));
    // One alone has nothing to do while its large group is synced, nor the disk while it encodes.
    if size < 1024 || publishers > 1 {
        measure = measure.limit(Limit::Ratio(0.5));
    }
    bench.measure(&measure, |side| {
        let path = home.path().join("run");
        let run = match side {
            Side::Twin => append(&path, &groups[..1], batches, size),
            Side::Subject => on.block_on(async {
                let store = open(&path).await?;
                let mut work: Vec<Vec<_>> = (0..publishers).map(|_| Vec::new()).collect();
                (0..batches).for_each(|n| work[n % publishers].push(batch(size)));
                let watch = Stopwatch::start();
                let mut tasks = Vec::new();
                for mine in work {
                    let sender = store.sender().await?;
                    tasks.push(tokio::spawn(async move {
                        for batch in mine {
                            publish(&sender, batch).await?;
                        }
                        anyhow::Ok(())
                    }));
                }
                for task in tasks {
                    task.await??;
                }
                let due = (batches * size) as u64;
                let run = watch.stop(due);
                let stored = ready(&store).await?;
                store.close().await?;
                Ok(run.counted(due.saturating_sub(stored), stored.saturating_sub(due)))
            }),
        };
        remove(&path)?;
        run
    })
}

fn life(bench: &mut Bench<'_>, on: &Runtime, size: usize, batches: usize) -> Result<()> {
    let home = bench.scratch()?;
    let groups = on.block_on(groups(&home.path().join("probe"), size))?;
    let mut measure = Measure::new(
        format!("life {size}"),
        "publish, receive, settle",
        "file, append and fdatasync",
    )
    .body_bytes(BODY as u64)
    .durable()
    .notes(format!(
        "one batch of {size} after another; messages made beforehand; twin: {} and {} bytes, a sync each",
        groups[0], groups[1]
    ));
    if size == 1024 {
        measure = measure.limit(Limit::Rate(80_000.0));
    }
    bench.measure(&measure, |side| {
        let path = home.path().join("run");
        let run = match side {
            Side::Twin => append(&path, &groups, batches, size),
            Side::Subject => on.block_on(async {
                let store = open(&path).await?;
                let run = lives(&store, size, batches).await?;
                let left = ready(&store).await?;
                store.close().await?;
                Ok(run.counted(left, 0))
            }),
        };
        remove(&path)?;
        run
    })
}

/// A million stored messages are read at a start, and none.
fn start(bench: &mut Bench<'_>, on: &Runtime) -> Result<()> {
    let home = bench.scratch()?;
    let path = home.path().join("store");
    let count = bench.scale(DEEP);
    on.block_on(async {
        let store = open(&path).await?;
        fill(&store, count).await?;
        anyhow::Ok(store.close().await?)
    })?;
    let notes = format!("memory grows by less than {} MB, else this fails", MEMORY >> 20);
    let measure = Measure::alone("start, 1,000,000 stored", "open")
        .body_bytes(BODY as u64)
        .limit(Limit::Rate(100_000.0))
        .notes(notes);
    bench.measure(&measure, |_| {
        let before = resident()?;
        let watch = Stopwatch::start();
        let store = EmbeddedTransport::open(config(&path))?;
        let run = watch.stop(count);
        let grown = resident()?.saturating_sub(before);
        ensure!(grown < MEMORY, "{grown} bytes of memory for {count} messages");
        let stored = on.block_on(ready(&store))?;
        on.block_on(store.close())?;
        Ok(run.counted(count.saturating_sub(stored), stored.saturating_sub(count)))
    })?;
    let measure = Measure::alone("start, empty", "open")
        .limit(Limit::Rate(5.0))
        .notes("a store that is not there yet is made; one start counts as one message");
    bench.measure(&measure, |_| {
        let path = home.path().join("empty");
        let watch = Stopwatch::start();
        let store = EmbeddedTransport::open(config(&path))?;
        let run = watch.stop(1);
        on.block_on(store.close())?;
        remove(&path)?;
        Ok(run)
    })
}

/// The same life behind a million messages and behind a thousand.
fn depth(bench: &mut Bench<'_>, on: &Runtime) -> Result<()> {
    const SIZE: usize = 64;
    let home = bench.scratch()?;
    let batches = usize::try_from(bench.scale(32_000))?.div_ceil(SIZE);
    let fill = |name: &str, count| {
        on.block_on(async {
            let store = open(&home.path().join(name)).await?;
            fill(&store, count).await?;
            anyhow::Ok(store)
        })
    };
    let (deep, shallow) = (fill("deep", bench.scale(DEEP))?, fill("shallow", SHALLOW)?);
    let measure = Measure::new("1,000,000 deep", "life behind 1,000,000", "life behind 1,000")
        .body_bytes(BODY as u64)
        .durable()
        .limit(Limit::Ratio(0.8))
        .notes("both are stores of busway; batches of 64, the oldest message is read");
    bench.measure(&measure, |side| {
        let store = if side == Side::Subject { &deep } else { &shallow };
        on.block_on(async {
            let before = ready(store).await?;
            let run = lives(store, SIZE, batches).await?;
            let after = ready(store).await?;
            Ok(run.counted(before.saturating_sub(after), after.saturating_sub(before)))
        })
    })?;
    on.block_on(async {
        deep.close().await?;
        Ok(shallow.close().await?)
    })
}

/// What a million messages took of the disk is given back once they are acknowledged.
fn space(bench: &mut Bench<'_>, on: &Runtime) -> Result<()> {
    let home = bench.scratch()?;
    let count = bench.scale(DEEP);
    let measure = Measure::alone("space, 1,000,000 acked", "publish, receive, settle, clean")
        .body_bytes(BODY as u64)
        .durable()
        .notes(format!("until the store has less than {} MiB on the disk, else this fails", KEPT >> 20));
    bench.measure(&measure, |_| {
        let path = home.path().join("run");
        let run = on.block_on(async {
            let store = open(&path).await?;
            let watch = Stopwatch::start();
            fill(&store, count).await?;
            take(&store.receiver(&Queue::Priority, ReceiverOptions::default()).await?, count, 1024).await?;
            let deadline = Instant::now() + PATIENCE;
            while bytes_of(&path)? > KEPT {
                ensure!(Instant::now() < deadline, "{} bytes are left on the disk", bytes_of(&path)?);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let run = watch.stop(count);
            let left = ready(&store).await?;
            store.close().await?;
            Ok(run.counted(left, 0))
        });
        remove(&path)?;
        run
    })
}

fn config(path: &Path) -> EmbeddedConfig {
    EmbeddedConfig::new("local", "bench", path)
}

async fn open(path: &Path) -> Result<Arc<EmbeddedTransport>> {
    let store = EmbeddedTransport::open(config(path))?;
    store.declare(&[Queue::Priority], Declare::Create).await?;
    Ok(store)
}

fn batch(size: usize) -> Vec<Publication> {
    let make = |_| {
        let message = Message::new("item.updated", vec![b'.'; BODY]).account("acme").subject("item/42");
        Publication::new(Queue::Priority, message)
    };
    (0..size).map(make).collect()
}

async fn publish(sender: &Arc<dyn Sender>, batch: Vec<Publication>) -> Result<()> {
    Ok(sender.publish(batch).await.into_iter().collect::<busway_core::Result<()>>()?)
}

async fn fill(store: &EmbeddedTransport, count: u64) -> Result<()> {
    let sender = store.sender().await?;
    let mut left = usize::try_from(count)?;
    while left > 0 {
        let size = left.min(1024);
        publish(&sender, batch(size)).await?;
        left -= size;
    }
    Ok(())
}

async fn take(reader: &Arc<dyn Receiver>, count: u64, at_once: usize) -> Result<()> {
    let mut left = usize::try_from(count)?;
    while left > 0 {
        let leased = reader.receive(Want::new(left.min(at_once), Duration::from_secs(30))).await?;
        ensure!(!leased.is_empty(), "{left} messages do not come");
        left -= leased.len();
        let acks = leased.into_iter().map(|leased| (leased.receipt, Outcome::Ack)).collect();
        reader.settle(acks).await.into_iter().collect::<busway_core::Result<()>>()?;
    }
    Ok(())
}

async fn lives(store: &EmbeddedTransport, size: usize, batches: usize) -> Result<Run> {
    let (sender, reader) =
        (store.sender().await?, store.receiver(&Queue::Priority, ReceiverOptions::default()).await?);
    let work: Vec<_> = (0..batches).map(|_| batch(size)).collect();
    let watch = Stopwatch::start();
    for batch in work {
        publish(&sender, batch).await?;
        take(&reader, size as u64, size).await?;
    }
    Ok(watch.stop((batches * size) as u64))
}

async fn ready(store: &EmbeddedTransport) -> Result<u64> {
    store.inspect(&Queue::Priority, &Selector::All).await?.ready.context("the depth is not known")
}

/// Bytes that a batch, and the acknowledgements of it, take in the log.
async fn groups(path: &Path, size: usize) -> Result<[usize; 2]> {
    let mut exact = config(path);
    exact.ahead_bytes = 0;
    let store = EmbeddedTransport::open(exact)?;
    store.declare(&[Queue::Priority], Declare::Create).await?;
    let before = bytes_of(path)?;
    publish(&store.sender().await?, batch(size)).await?;
    let between = bytes_of(path)?;
    take(&store.receiver(&Queue::Priority, ReceiverOptions::default()).await?, size as u64, size).await?;
    let after = bytes_of(path)?;
    store.close().await?;
    Ok([usize::try_from(between - before)?, usize::try_from(after - between)?])
}

/// The twin: the same bytes in as many writes and syncs, to one file.
fn append(path: &Path, groups: &[usize], batches: usize, size: usize) -> Result<Run> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let bytes = vec![b'.'; groups.iter().copied().max().unwrap_or_default()];
    let watch = Stopwatch::start();
    for _ in 0..batches {
        for group in groups {
            file.write_all(&bytes[..*group])?;
            file.sync_data()?;
        }
    }
    Ok(watch.stop((batches * size) as u64))
}

fn bytes_of(store: &Path) -> Result<u64> {
    let mut bytes = 0;
    for file in std::fs::read_dir(store.join("segments"))? {
        // A file may be removed meanwhile.
        bytes += file?.metadata().map_or(0, |found| found.len());
    }
    Ok(bytes)
}

fn remove(path: &Path) -> Result<()> {
    let found = std::fs::metadata(path)?;
    if found.is_dir() {
        std::fs::remove_dir_all(path)?
    } else {
        std::fs::remove_file(path)?
    }
    Ok(())
}

/// Bytes of memory that this process has.
fn resident() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = text.split(' ').nth(1).context("/proc/self/statm is short")?.parse()?;
    Ok(pages * rustix::param::page_size() as u64)
}
