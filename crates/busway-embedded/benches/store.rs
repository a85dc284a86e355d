//! What the store does beside a plain file that is given the same bytes with the same syncs.
//!
//! `cargo bench -p busway-embedded [-- SECONDS]` prints one JSON object a measurement. Subject and
//! twin take turns, fifteen pairs each; the ratio is subject over twin, more is better.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use busway_core::transport::{Declare, Want};
use busway_core::{Message, Outcome, Publication, Queue, Receiver, Sender, Transport};
use busway_embedded::{EmbeddedConfig, EmbeddedTransport};

const BODY: usize = 256;
const PAIRS: usize = 15;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let seconds: f64 = arguments.next().map_or(1.0, |text| text.parse().unwrap());
    let window = Duration::from_secs_f64(seconds);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let home = tempfile::tempdir_in(".").unwrap();
    for batch in [1, 64, 1024] {
        for life in [false, true] {
            let mut rows = Vec::new();
            for pair in 0..PAIRS {
                let path = home.path().join(format!("{batch}-{life}-{pair}"));
                let store = runtime.block_on(store(&path, batch, life, window));
                let twin = twin(&path.with_extension("twin"), batch, life, &store.groups, window);
                rows.push((store, twin));
            }
            report(batch, life, &rows, syncs(home.path()));
        }
    }
    backlog(&runtime, home.path());
}

struct Run {
    rate: f64,
    cpu_us: f64,
    messages: u64,
    lost: u64,
    /// Bytes that one round of the loop wrote, a number a sync.
    groups: Vec<usize>,
}

async fn store(path: &Path, batch: usize, life: bool, window: Duration) -> Run {
    let config = EmbeddedConfig::new("local", "bench", path);
    let transport = EmbeddedTransport::open(config).unwrap();
    transport.declare(&[Queue::Priority], Declare::Create).await.unwrap();
    let sender = transport.sender().await.unwrap();
    let reader = transport.receiver(&Queue::Priority, Default::default()).await.unwrap();
    let mut groups = Vec::new();
    let mut before = written(path);
    publish(&sender, batch).await;
    groups.push(written(path) - before);
    before = written(path);
    take(&reader, batch).await;
    if life {
        groups.push(written(path) - before);
    }
    let (cpu, begun) = (cpu(), Instant::now());
    let (mut messages, mut taken) = (0, 0);
    while begun.elapsed() < window {
        publish(&sender, batch).await;
        messages += batch as u64;
        if life {
            taken += take(&reader, batch).await;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cpu_us = (self::cpu() - cpu) * 1e6 / messages as f64;
    let lost = if life { messages - taken } else { 0 };
    transport.close().await.unwrap();
    std::fs::remove_dir_all(path).unwrap();
    Run { rate: messages as f64 / seconds, cpu_us, messages, lost, groups }
}

async fn publish(sender: &Arc<dyn Sender>, batch: usize) {
    let make = |_| {
        let message = Message::new("item.updated", vec![b'.'; BODY]).account("acme").subject("item/42");
        Publication::new(Queue::Priority, message)
    };
    for result in sender.publish((0..batch).map(make).collect()).await {
        result.unwrap();
    }
}

async fn take(reader: &Arc<dyn Receiver>, batch: usize) -> u64 {
    let mut taken = 0;
    while taken < batch {
        let leased = reader.receive(Want::new(batch - taken, Duration::from_secs(10))).await.unwrap();
        assert!(!leased.is_empty());
        taken += leased.len();
        for result in reader.settle(leased.into_iter().map(|l| (l.receipt, Outcome::Ack)).collect()).await {
            result.unwrap();
        }
    }
    taken as u64
}

/// The same bytes in as many writes and syncs, to one file.
fn twin(path: &Path, batch: usize, life: bool, groups: &[usize], window: Duration) -> Run {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    let bytes = vec![b'.'; *groups.iter().max().unwrap()];
    let (cpu, begun) = (cpu(), Instant::now());
    let mut messages = 0;
    while begun.elapsed() < window {
        for group in groups {
            file.write_all(&bytes[..*group]).unwrap();
            file.sync_data().unwrap();
        }
        messages += batch as u64;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cpu_us = (self::cpu() - cpu) * 1e6 / messages as f64;
    std::fs::remove_file(path).unwrap();
    assert_eq!(groups.len(), 1 + usize::from(life));
    Run { rate: messages as f64 / seconds, cpu_us, messages, lost: 0, groups: Vec::new() }
}

fn report(batch: usize, life: bool, rows: &[(Run, Run)], syncs: f64) {
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        (values[0], values[values.len() / 2], values[values.len() - 1])
    };
    let (least, ratio, most) = middle(rows.iter().map(|(store, twin)| store.rate / twin.rate).collect());
    let (_, subject_rate, _) = middle(rows.iter().map(|(store, _)| store.rate).collect());
    let (_, twin_rate, _) = middle(rows.iter().map(|(_, twin)| twin.rate).collect());
    let (_, cpu, _) = middle(rows.iter().map(|(store, _)| store.cpu_us).collect());
    let (_, twin_cpu, _) = middle(rows.iter().map(|(_, twin)| twin.cpu_us).collect());
    let messages: u64 = rows.iter().map(|(store, _)| store.messages).sum();
    let lost: u64 = rows.iter().map(|(store, _)| store.lost).sum();
    let measure = if life { "life" } else { "enqueue" };
    println!(
        "{{\"bench\":\"embedded\",\"measure\":\"{measure}-{batch}\",\"subject\":\"busway-embedded\",\
         \"twin\":\"file\",\"messages\":{messages},\"body_bytes\":{BODY},\"ratio\":{{\"min\":{least:.2},\
         \"median\":{ratio:.2},\"max\":{most:.2}}},\"subject_rate\":{subject_rate:.0},\"twin_rate\":\
         {twin_rate:.0},\"cpu_us\":{cpu:.2},\"twin_cpu_us\":{twin_cpu:.2},\"lost\":{lost},\
         \"duplicated\":0,\"fsync_per_s\":{syncs:.0}}}"
    );
}

/// A million parked messages: how long a start takes, and memory.
fn backlog(runtime: &tokio::runtime::Runtime, home: &Path) {
    const MESSAGES: usize = 1_000_000;
    let path = home.join("backlog");
    let open = || EmbeddedTransport::open(EmbeddedConfig::new("local", "bench", &path)).unwrap();
    let before = resident();
    runtime.block_on(async {
        let transport = open();
        transport.declare(&[Queue::Delayed], Declare::Create).await.unwrap();
        let sender = transport.sender().await.unwrap();
        let due = busway_core::clock::now_ms() + 3_600_000;
        for round in 0..MESSAGES / 1000 {
            let make = |n: usize| {
                let mut message =
                    Message::new("item.updated", vec![b'.'; BODY]).account(format!("a{}", n % 100));
                message.destination = Some(format!("endpoint-{}", n % 10));
                message.deliver_at = Some(due + (round * 1000 + n) as u64);
                Publication::new(Queue::Delayed, message)
            };
            assert!(sender.publish((0..1000).map(make).collect()).await.iter().all(Result::is_ok));
        }
        let bytes = (resident() - before) / MESSAGES as f64;
        println!("{{\"bench\":\"embedded\",\"measure\":\"memory\",\"bytes_per_parked\":{bytes:.0}}}");
        transport.close().await.unwrap();
    });
    let begun = Instant::now();
    let transport = open();
    let seconds = begun.elapsed().as_secs_f64();
    let bytes = (resident() - before) / MESSAGES as f64;
    println!(
        "{{\"bench\":\"embedded\",\"measure\":\"start\",\"messages\":{MESSAGES},\"seconds\":{seconds:.2},\
         \"bytes_per_parked\":{bytes:.0}}}"
    );
    runtime.block_on(transport.close()).unwrap();
}

fn written(store: &Path) -> usize {
    let files = std::fs::read_dir(store.join("segments")).unwrap();
    let files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.iter().map(|file| std::fs::metadata(file).unwrap().len() as usize).sum()
}

/// Small synced writes a second.
fn syncs(home: &Path) -> f64 {
    let path = home.join("syncs");
    let mut file = File::create(&path).unwrap();
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < Duration::from_millis(300) {
        file.write_all(&[b'.'; 512]).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    std::fs::remove_file(&path).unwrap();
    f64::from(count) / begun.elapsed().as_secs_f64()
}

/// User and system time of this process, in seconds.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit_once(") ").unwrap().1.split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
}
