//! The embedded store beside two stores that one might have built it on, each synced to disk once
//! a batch and with the queue's order kept in memory:
//!
//! - `file`: the log's bytes appended to one file, the floor that none can be better than
//! - `fjall`: a log-structured merge tree, one write batch and `SyncAll` a batch
//! - `redb`: a copy-on-write B-tree, one transaction with `Durability::Immediate` a batch
//!
//! `cargo run --release [-- SECONDS]` prints a table: the median of the ratios to `file` of the same
//! round, and the rates. All take turns within each round; the figures
//! are medians of fifteen rounds, the spread beside them.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use busway_core::transport::{Declare, Want};
use busway_core::{Message, Outcome, Publication, Queue, Receiver, Sender, Transport};
use busway_embedded::{EmbeddedConfig, EmbeddedTransport};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use redb::{Durability, ReadableDatabase, TableDefinition};

const BODY: usize = 256;
/// Bytes of such a message on disk, so that all write about the same.
const STORED: usize = 344;
const ROUNDS: usize = 15;
const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("queue");

type Failure = Box<dyn std::error::Error>;

/// One of the stores: publishes a batch, or takes and acknowledges one, durably.
trait Subject {
    fn enqueue(&mut self, batch: usize) -> Result<(), Failure>;
    fn take(&mut self, batch: usize) -> Result<(), Failure>;
}

fn main() -> Result<(), Failure> {
    let seconds: f64 = std::env::args().nth(1).map_or(Ok(1.0), |text| text.parse())?;
    let window = Duration::from_secs_f64(seconds);
    println!("measure      batch       store   ratio  messages/s (least, most)");
    for life in [false, true] {
        for batch in [1, 64, 1024] {
            let mut rates: Vec<(&str, Vec<f64>)> = Vec::new();
            let mut floor = Vec::new();
            for _ in 0..ROUNDS {
                for name in ["file", "busway", "fjall", "redb"] {
                    let home = tempfile::tempdir_in(".")?;
                    let mut subject = open(name, home.path())?;
                    let rate = measure(subject.as_mut(), batch, life, window)?;
                    if name == "file" {
                        floor.push(rate);
                    }
                    match rates.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, all)) => all.push(rate),
                        None => rates.push((name, vec![rate])),
                    }
                }
            }
            for (name, mut all) in rates {
                let mut ratios: Vec<f64> = all.iter().zip(&floor).map(|(rate, floor)| rate / floor).collect();
                ratios.sort_by(f64::total_cmp);
                all.sort_by(f64::total_cmp);
                let measure = if life { "life" } else { "enqueue" };
                let (least, middle, most) = (all[0], all[all.len() / 2], all[all.len() - 1]);
                let ratio = ratios[ratios.len() / 2];
                println!(
                    "{measure:<10}{batch:>8}{name:>12}{ratio:>8.2}{middle:>12.0} ({least:.0}, {most:.0})"
                );
            }
        }
    }
    Ok(())
}

fn measure(subject: &mut dyn Subject, batch: usize, life: bool, window: Duration) -> Result<f64, Failure> {
    subject.enqueue(batch)?;
    subject.take(batch)?;
    let begun = Instant::now();
    let mut messages = 0;
    while begun.elapsed() < window {
        subject.enqueue(batch)?;
        if life {
            subject.take(batch)?;
        }
        messages += batch;
    }
    Ok(messages as f64 / begun.elapsed().as_secs_f64())
}

fn open(name: &str, home: &Path) -> Result<Box<dyn Subject>, Failure> {
    Ok(match name {
        "busway" => Box::new(Busway::open(home)?),
        "fjall" => Box::new(Fjall::open(home)?),
        "redb" => Box::new(Redb::open(home)?),
        _ => Box::new(Plain(OpenOptions::new().create(true).append(true).open(home.join("file"))?)),
    })
}

struct Plain(std::fs::File);

impl Subject for Plain {
    fn enqueue(&mut self, batch: usize) -> Result<(), Failure> {
        self.0.write_all(&vec![b'.'; STORED * batch + 32])?;
        Ok(self.0.sync_data()?)
    }

    fn take(&mut self, batch: usize) -> Result<(), Failure> {
        self.0.write_all(&vec![b'.'; 8 * batch + 37])?;
        Ok(self.0.sync_data()?)
    }
}

struct Busway {
    runtime: tokio::runtime::Runtime,
    sender: Arc<dyn Sender>,
    reader: Arc<dyn Receiver>,
    _transport: Arc<EmbeddedTransport>,
}

impl Busway {
    fn open(home: &Path) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let transport = EmbeddedTransport::open(EmbeddedConfig::new("local", "bench", home.join("store")))?;
        let (sender, reader) = runtime.block_on(async {
            transport.declare(&[Queue::Priority], Declare::Create).await?;
            let reader = transport.receiver(&Queue::Priority, Default::default()).await?;
            Ok::<_, busway_core::Error>((transport.sender().await?, reader))
        })?;
        Ok(Self { runtime, sender, reader, _transport: transport })
    }
}

impl Subject for Busway {
    fn enqueue(&mut self, batch: usize) -> Result<(), Failure> {
        let make = |_| Publication::new(Queue::Priority, Message::new("t", vec![b'.'; BODY]));
        let results = self.runtime.block_on(self.sender.publish((0..batch).map(make).collect()));
        Ok(results.into_iter().collect::<busway_core::Result<()>>()?)
    }

    fn take(&mut self, batch: usize) -> Result<(), Failure> {
        self.runtime.block_on(async {
            let leased = self.reader.receive(Want::new(batch, Duration::from_secs(10))).await?;
            assert_eq!(leased.len(), batch);
            let acks = leased.into_iter().map(|leased| (leased.receipt, Outcome::Ack)).collect();
            let results = self.reader.settle(acks).await;
            Ok(results.into_iter().collect::<busway_core::Result<()>>()?)
        })
    }
}

struct Fjall {
    database: Database,
    keys: Keyspace,
    next: u64,
    ready: VecDeque<u64>,
}

impl Fjall {
    fn open(home: &Path) -> Result<Self, Failure> {
        let database = Database::builder(home.join("fjall")).open()?;
        let keys = database.keyspace("queue", KeyspaceCreateOptions::default)?;
        Ok(Self { database, keys, next: 0, ready: VecDeque::new() })
    }
}

impl Subject for Fjall {
    fn enqueue(&mut self, batch: usize) -> Result<(), Failure> {
        let mut writes = self.database.batch().durability(Some(PersistMode::SyncData));
        for _ in 0..batch {
            writes.insert(&self.keys, self.next.to_be_bytes(), vec![b'.'; STORED]);
            self.ready.push_back(self.next);
            self.next += 1;
        }
        Ok(writes.commit()?)
    }

    fn take(&mut self, batch: usize) -> Result<(), Failure> {
        let mut writes = self.database.batch().durability(Some(PersistMode::SyncData));
        for key in self.ready.drain(..batch) {
            let value = self.keys.get(key.to_be_bytes())?;
            assert_eq!(value.map(|value| value.len()), Some(STORED));
            writes.remove(&self.keys, key.to_be_bytes());
        }
        Ok(writes.commit()?)
    }
}

struct Redb {
    database: redb::Database,
    next: u64,
    ready: VecDeque<u64>,
}

impl Redb {
    fn open(home: &Path) -> Result<Self, Failure> {
        Ok(Self { database: redb::Database::create(home.join("redb"))?, next: 0, ready: VecDeque::new() })
    }
}

impl Subject for Redb {
    fn enqueue(&mut self, batch: usize) -> Result<(), Failure> {
        let mut writes = self.database.begin_write()?;
        writes.set_durability(Durability::Immediate)?;
        {
            let mut table = writes.open_table(TABLE)?;
            for _ in 0..batch {
                table.insert(self.next, &*vec![b'.'; STORED])?;
                self.ready.push_back(self.next);
                self.next += 1;
            }
        }
        Ok(writes.commit()?)
    }

    fn take(&mut self, batch: usize) -> Result<(), Failure> {
        let keys: Vec<u64> = self.ready.drain(..batch).collect();
        let reads = self.database.begin_read()?;
        let table = reads.open_table(TABLE)?;
        for key in &keys {
            assert_eq!(table.get(key)?.map(|value| value.value().len()), Some(STORED));
        }
        let mut writes = self.database.begin_write()?;
        writes.set_durability(Durability::Immediate)?;
        {
            let mut table = writes.open_table(TABLE)?;
            for key in keys {
                table.remove(key)?;
            }
        }
        Ok(writes.commit()?)
    }
}
