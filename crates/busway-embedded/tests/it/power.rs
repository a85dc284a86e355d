//! The power fails: of what was not synced anything may be lost, in any order, in part or whole.
//! What was confirmed before is there afterwards, what was acknowledged is not.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use busway_core::reason::Reason;
use busway_core::transport::{Declare, Selector};
use busway_core::{Message, Outcome, Publication, Queue, Transport};
use busway_embedded::disk::{Disk, DiskFile, RealDisk};
use busway_embedded::{EmbeddedConfig, EmbeddedTransport};
use fastrand::Rng;

/// A disk that remembers what has been synced and what has not.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Platter>>);

#[derive(Default)]
struct Platter {
    files: HashMap<u64, Content>,
    /// Names as they are after a power failure, and what was done to them since.
    names: BTreeMap<PathBuf, u64>,
    changes: Vec<Change>,
    /// Names as programs see them.
    seen: BTreeMap<PathBuf, u64>,
    next: u64,
}

#[derive(Default)]
struct Content {
    durable: Vec<u8>,
    since: Vec<Write>,
}

enum Write {
    Bytes(u64, Vec<u8>),
    Length(u64),
}

enum Change {
    Made(PathBuf, u64),
    Removed(PathBuf),
    Renamed(PathBuf, PathBuf),
}

struct MemoryFile(Memory, u64, Box<dyn DiskFile>);

const SECTOR: usize = 512;

impl Change {
    fn directory(&self) -> &Path {
        let (Self::Made(path, _) | Self::Removed(path) | Self::Renamed(path, _)) = self;
        path.parent().unwrap()
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Made(path, file) => drop(names.insert(path.clone(), *file)),
            Self::Removed(path) => drop(names.remove(path)),
            Self::Renamed(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }
}

impl Write {
    /// Applies the write; with `rng` only parts of it.
    fn apply(&self, content: &mut Vec<u8>, rng: Option<&mut Rng>) {
        match (self, rng) {
            (Self::Length(length), None) => content.resize(*length as usize, 0),
            (Self::Length(length), Some(rng)) => {
                if rng.bool() {
                    content.resize(*length as usize, 0);
                }
            }
            (Self::Bytes(offset, bytes), None) => put(content, *offset as usize, bytes),
            (Self::Bytes(offset, bytes), Some(rng)) => {
                let mut at = 0;
                let likely = rng.u8(1..=10);
                while at < bytes.len() {
                    let to_edge = SECTOR - (*offset as usize + at) % SECTOR;
                    let length = to_edge.min(bytes.len() - at);
                    if rng.u8(0..10) < likely {
                        put(content, *offset as usize + at, &bytes[at..at + length]);
                    }
                    at += length;
                }
            }
        }
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if content.len() < offset + bytes.len() {
        content.resize(offset + bytes.len(), 0);
    }
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}

impl Memory {
    fn with<T>(&self, work: impl FnOnce(&mut Platter) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    fn change(&self, change: Change) {
        self.with(|platter| {
            change.apply(&mut platter.seen);
            platter.changes.push(change);
        });
    }

    /// Lays out under `to` what a power failure would leave of the store at `from`.
    fn fail(&self, from: &Path, to: &Path, rng: &mut Rng) {
        self.with(|platter| {
            let mut names = platter.names.clone();
            for change in &platter.changes {
                if rng.bool() {
                    change.apply(&mut names);
                }
            }
            std::fs::create_dir_all(to.join("segments")).unwrap();
            for (path, file) in names {
                let content = &platter.files[&file];
                let mut bytes = content.durable.clone();
                for write in &content.since {
                    write.apply(&mut bytes, Some(rng));
                }
                std::fs::write(to.join(path.strip_prefix(from).unwrap()), bytes).unwrap();
            }
        });
    }
}

impl Disk for Memory {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let real = RealDisk.create(path)?;
        let file = self.with(|platter| {
            platter.next += 1;
            platter.files.insert(platter.next, Content::default());
            platter.next
        });
        self.change(Change::Made(path.to_owned(), file));
        Ok(Box::new(MemoryFile(self.clone(), file, real)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = self.with(|platter| platter.seen[path]);
        Ok(Box::new(MemoryFile(self.clone(), file, RealDisk.open(path)?)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)?;
        self.change(Change::Removed(path.to_owned()));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)?;
        self.change(Change::Renamed(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.with(|platter| {
            let changes = std::mem::take(&mut platter.changes);
            for change in changes {
                if change.directory() == path {
                    change.apply(&mut platter.names);
                } else {
                    platter.changes.push(change);
                }
            }
        });
        Ok(())
    }
}

impl MemoryFile {
    fn note(&self, write: Write) {
        self.0.with(|platter| platter.files.get_mut(&self.1).unwrap().since.push(write));
    }
}

impl DiskFile for MemoryFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.note(Write::Bytes(offset, bytes.to_vec()));
        self.2.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.with(|platter| {
            let content = platter.files.get_mut(&self.1).unwrap();
            for write in std::mem::take(&mut content.since) {
                write.apply(&mut content.durable, None);
            }
        });
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.note(Write::Length(length));
        self.2.set_length(length)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.2.read_at(bytes, offset)
    }
}

/// What callers were told.
#[derive(Clone, Default)]
struct Told {
    stored: HashSet<String>,
    /// Handed to settle, and how often without an answer that it waits again.
    settling: HashMap<String, u32>,
    acked: HashSet<String>,
    /// Told to be dead.
    dead: HashSet<String>,
    /// Told to wait, with how many attempts.
    waiting: HashMap<String, u32>,
}

async fn work(transport: Arc<EmbeddedTransport>, told: Arc<Mutex<Told>>, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let Ok(sender) = transport.sender().await else { return };
    let Ok(reader) = transport.receiver(&Queue::Priority, Default::default()).await else { return };
    for round in 0..10_000 {
        let ids: Vec<String> = (0..rng.usize(1..6)).map(|n| format!("{seed}-{round}-{n}")).collect();
        let make = |id: &String| Message::new("t", ".".repeat(rng.usize(0..1500))).id(id.clone());
        let batch = ids.iter().map(make).map(|m| Publication::new(Queue::Priority, m)).collect();
        for (id, result) in ids.into_iter().zip(sender.publish(batch).await) {
            if result.is_err() {
                return;
            }
            told.lock().unwrap().stored.insert(id);
        }
        let want = busway_core::transport::Want::new(rng.usize(1..8), Duration::ZERO);
        let Ok(leased) = reader.receive(want).await else { return };
        for leased in leased {
            let id = leased.message.id.clone();
            let attempts = leased.message.attempt;
            *told.lock().unwrap().settling.entry(id.clone()).or_default() += 1;
            let reason = Reason::error("x");
            let outcome = match rng.u8(0..10) {
                0..6 => Outcome::Ack,
                6 | 7 => Outcome::Retry { after: Duration::ZERO, reason },
                8 => Outcome::Retry { after: Duration::from_secs(3600), reason },
                _ => Outcome::Dead { reason, attempts: 7 },
            };
            let result = reader.settle(vec![(leased.receipt, outcome.clone())]).await.remove(0);
            if result.is_err() {
                return;
            }
            let mut told = told.lock().unwrap();
            match outcome {
                Outcome::Ack => drop(told.acked.insert(id)),
                Outcome::Dead { .. } => drop(told.dead.insert(id)),
                _ => {
                    *told.settling.get_mut(&id).unwrap() -= 1;
                    told.waiting.insert(id, attempts + 1);
                }
            }
        }
    }
}

async fn judge(path: &Path, told: &Told) {
    let config = EmbeddedConfig::new("local", "shop", path);
    let transport = EmbeddedTransport::open_on(config, Arc::new(crate::faults::Unsynced::default())).unwrap();
    if transport.declare(&[Queue::Priority, Queue::Dead], Declare::Verify).await.is_err() {
        assert!(told.stored.is_empty());
        return;
    }
    let rows = transport.peek(&Queue::Priority, &Selector::All, 0, usize::MAX).await.unwrap();
    let alive: HashMap<String, u32> =
        rows.into_iter().map(|row| (row.message.id, row.message.attempt)).collect();
    let rows = transport.peek(&Queue::Dead, &Selector::All, 0, usize::MAX).await.unwrap();
    let dead: HashSet<String> = rows.into_iter().map(|row| row.message.id).collect();
    for id in &told.stored {
        let gone = told.settling.get(id).is_some_and(|open| *open > 0)
            || told.acked.contains(id)
            || told.dead.contains(id);
        assert!(alive.contains_key(id) || gone, "{id} was confirmed and is lost");
        assert!(!(alive.contains_key(id) && dead.contains(id)), "{id} is twice there");
    }
    for id in &told.acked {
        assert!(!alive.contains_key(id) && !dead.contains(id), "{id} was acknowledged and is back");
    }
    for id in &told.dead {
        assert!(dead.contains(id) && !alive.contains_key(id), "{id} was to be dead");
    }
    for (id, attempts) in &told.waiting {
        if let Some(kept) = alive.get(id) {
            assert!(kept >= attempts, "{id} was tried {attempts} times, {kept} are known");
        }
    }
    let sender = transport.sender().await.unwrap();
    let after = Publication::new(Queue::Priority, Message::new("t", "x").id("after"));
    sender.publish(vec![after]).await.remove(0).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn whatever_the_power_takes_nothing_confirmed_is_lost() {
    let first: u64 = std::env::var("BUSWAY_SEED").map_or(0, |seed| seed.parse().unwrap());
    let rounds: u64 = std::env::var("BUSWAY_RUNS").map_or(40, |runs| runs.parse().unwrap());
    let (mut stored, mut acked, mut files) = (0, 0, 0);
    for seed in first..first + rounds {
        let mut rng = Rng::with_seed(seed);
        let home = tempfile::tempdir().unwrap();
        let store = home.path().join("store");
        let mut config = EmbeddedConfig::new("local", "shop", &store);
        config.segment_bytes = 64 << 10;
        config.garbage_bytes = 32 << 10;
        config.idle_garbage_bytes = 8 << 10;
        config.reserve_bytes = 4 << 10;
        let disk = Memory::default();
        let transport = EmbeddedTransport::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
        if rng.u8(0..20) > 0 {
            transport.declare(&[Queue::Priority, Queue::Dead], Declare::Create).await.unwrap();
        }
        let told = Arc::new(Mutex::new(Told::default()));
        let workers: Vec<_> =
            (0..3).map(|n| tokio::spawn(work(transport.clone(), told.clone(), seed * 3 + n))).collect();
        for cut in 0..4 {
            tokio::time::sleep(Duration::from_millis(rng.u64(0..60))).await;
            let mut known = told.lock().unwrap().clone();
            let remains = home.path().join(format!("remains-{cut}"));
            disk.fail(&store, &remains, &mut rng);
            // What was told to be settled between the two looks may be gone as well.
            for (id, open) in &told.lock().unwrap().settling {
                *known.settling.entry(id.clone()).or_default() += open;
            }
            println!("seed {seed}, cut {cut}");
            judge(&remains, &known).await;
            stored += known.stored.len();
            acked += known.acked.len();
            files += std::fs::read_dir(remains.join("segments")).unwrap().count();
        }
        transport.close().await.unwrap();
        for worker in workers {
            worker.await.unwrap();
        }
    }
    println!("{stored} stored, {acked} acked, {files} files");
    assert!(stored > 1000 && acked > 1000, "{stored} {acked}");
}
