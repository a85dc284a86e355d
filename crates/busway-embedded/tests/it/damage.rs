//! Damage on the disk: what was never confirmed is cut off, anything else is refused by name.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use busway_core::transport::{Declare, Selector};
use busway_core::{ErrorKind, Message, Outcome, Publication, Queue, Transport};
use busway_embedded::{EmbeddedConfig, EmbeddedTransport};
use fastrand::Rng;
use tempfile::TempDir;

use crate::faults::Unsynced;
use crate::support::{exactly, message, settle};

const GROUP_HEADER: usize = 32;

/// A store's files, taken at a moment of its life, to be damaged and opened again and again.
struct Remains {
    home: TempDir,
    files: Vec<(PathBuf, Vec<u8>)>,
    config: EmbeddedConfig,
}

impl Remains {
    fn of(home: TempDir, config: EmbeddedConfig, disk: &Unsynced) -> Self {
        let files = disk.still(|| {
            let mut files = vec![(PathBuf::from("VERSION"), fs::read(config.path.join("VERSION")).unwrap())];
            let mut names: Vec<_> = fs::read_dir(config.path.join("segments"))
                .unwrap()
                .map(|file| file.unwrap().file_name())
                .collect();
            names.sort();
            for name in names {
                let name = Path::new("segments").join(name);
                files.push((name.clone(), fs::read(config.path.join(&name)).unwrap()));
            }
            files
        });
        Self { home, files, config }
    }

    /// Lays the files out anew and opens the store.
    fn open(&self, files: &[(PathBuf, Vec<u8>)]) -> busway_core::Result<Arc<EmbeddedTransport>> {
        let path = self.home.path().join("again");
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        fs::create_dir_all(path.join("segments")).unwrap();
        for (name, bytes) in files {
            fs::write(path.join(name), bytes).unwrap();
        }
        let config = self.config_at(path);
        EmbeddedTransport::open_on(config, Arc::new(Unsynced::default()))
    }

    /// The same files as they are after the store was opened.
    fn found(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let read = |(name, _): &(PathBuf, _)| {
            (name.clone(), fs::read(self.home.path().join("again").join(name)).unwrap())
        };
        self.files.iter().map(read).collect()
    }

    fn config_at(&self, path: PathBuf) -> EmbeddedConfig {
        let mut config = self.config.clone();
        config.path = path;
        config
    }

    fn last(&self) -> &[u8] {
        &self.files.last().unwrap().1
    }

    fn with_last(&self, bytes: Vec<u8>) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = self.files.clone();
        files.last_mut().unwrap().1 = bytes;
        files
    }
}

/// Offsets and lengths of a file's groups, up to its end or what is laid out behind them.
fn groups(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 56;
    while bytes.get(at).is_some_and(|byte| *byte != 0) {
        let length = GROUP_HEADER + u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
        found.push((at, length));
        at += length;
    }
    found
}

async fn all_ids(transport: &EmbeddedTransport, queue: Queue) -> Vec<String> {
    let rows = transport.peek(&queue, &Selector::All, 0, usize::MAX).await.unwrap();
    rows.into_iter().map(|row| row.message.id).collect()
}

fn numbered(from: usize, to: usize) -> Vec<Publication> {
    let made = (from..to).map(|n| Publication::new(Queue::Priority, message(format!("m{n}"))));
    made.collect()
}

async fn publish(transport: &EmbeddedTransport, batch: Vec<Publication>) {
    for result in transport.sender().await.unwrap().publish(batch).await {
        result.unwrap();
    }
}

/// A store of one file whose last group is the publication of `m20` to `m23`.
async fn one_file() -> (Remains, usize) {
    let home = tempfile::tempdir().unwrap();
    let config = EmbeddedConfig::new("local", "shop", home.path().join("store"));
    let disk = Unsynced::default();
    let transport = EmbeddedTransport::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    transport.declare(&[Queue::Priority], Declare::Create).await.unwrap();
    for n in 0..10 {
        publish(&transport, numbered(2 * n, 2 * n + 2)).await;
    }
    publish(&transport, numbered(20, 24)).await;
    let mut remains = Remains::of(home, config, &disk);
    let mut found = groups(remains.last());
    found.retain(|(_, length)| *length > GROUP_HEADER);
    let (at, length) = *found.last().unwrap();
    remains.files.last_mut().unwrap().1.truncate(at + length);
    (remains, found.last().unwrap().0)
}

fn first_twenty() -> Vec<String> {
    (0..20).map(|n| format!("m{n}")).collect()
}

#[tokio::test]
async fn a_last_group_that_was_cut_short_anywhere_is_cut_off_and_nothing_else() {
    let (remains, start) = one_file().await;
    let whole = remains.last().to_vec();
    let mut rng = Rng::with_seed(7);
    for cut in start..whole.len() {
        for fill in ["cut", "zeros", "garbage"] {
            let mut bytes = whole[..cut].to_vec();
            match fill {
                "zeros" => bytes.resize(whole.len() + 512, 0),
                "garbage" => bytes.extend((0..whole.len() - cut).map(|_| rng.u8(..))),
                _ => {}
            }
            if bytes == whole {
                continue;
            }
            let transport = remains.open(&remains.with_last(bytes)).unwrap();
            assert_eq!(all_ids(&transport, Queue::Priority).await, first_twenty(), "{fill} at {cut}");
            if cut % 50 == 0 {
                publish(&transport, numbered(30, 31)).await;
            }
            transport.close().await.unwrap();
            let length = fs::metadata(remains.home.path().join("again/segments/00000001.log")).unwrap().len();
            assert!(length >= start as u64);
        }
    }
    let transport = remains.open(&remains.files).unwrap();
    assert_eq!(all_ids(&transport, Queue::Priority).await.len(), 24, "the whole group counts");
}

#[tokio::test]
async fn after_a_cut_the_store_goes_on_and_opens_again() {
    let (remains, start) = one_file().await;
    let bytes = remains.last()[..start + 40].to_vec();
    let transport = remains.open(&remains.with_last(bytes)).unwrap();
    publish(&transport, numbered(40, 42)).await;
    transport.close().await.unwrap();
    drop(transport);
    let path = remains.home.path().join("again");
    let transport = EmbeddedTransport::open(remains.config_at(path)).unwrap();
    let mut expected = first_twenty();
    expected.extend(["m40".to_owned(), "m41".to_owned()]);
    assert_eq!(all_ids(&transport, Queue::Priority).await, expected);
}

#[tokio::test]
async fn damage_with_confirmed_groups_behind_it_is_refused_by_file_and_offset() {
    let (remains, start) = one_file().await;
    let found = groups(remains.last());
    for (offset, length) in found.iter().filter(|(offset, _)| *offset < start) {
        for at in [*offset, offset + 5, offset + 30, offset + length - 1] {
            let mut bytes = remains.last().to_vec();
            bytes[at] ^= 0x10;
            let error = remains.open(&remains.with_last(bytes)).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            let text = error.to_string();
            assert!(text.contains("00000001.log") && text.contains(&format!("byte {offset}")), "{text}");
        }
    }
}

#[tokio::test]
async fn a_quiet_store_notices_damage_in_its_very_last_message() {
    let home = tempfile::tempdir().unwrap();
    let config = EmbeddedConfig::new("local", "shop", home.path().join("store"));
    let disk = Unsynced::default();
    let transport = EmbeddedTransport::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    transport.declare(&[Queue::Priority], Declare::Create).await.unwrap();
    publish(&transport, numbered(0, 1)).await;
    let file = config.path.join("segments/00000001.log");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while groups(&fs::read(&file).unwrap()).last().unwrap().1 > GROUP_HEADER {
        assert!(std::time::Instant::now() < deadline, "a witness is written behind the last group");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let remains = Remains::of(home, config, &disk);
    let found = groups(remains.last());
    let (offset, length) = found[found.len() - 2];
    let mut bytes = remains.last().to_vec();
    bytes[offset + length - 3] ^= 1;
    let error = remains.open(&remains.with_last(bytes)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

/// A store of several files, with something of everything in it, closed in order.
async fn many_files() -> (Remains, Vec<(String, Vec<String>)>) {
    let home = tempfile::tempdir().unwrap();
    let mut config = EmbeddedConfig::new("local", "shop", home.path().join("store"));
    config.segment_bytes = 64 << 10;
    let disk = Unsynced::default();
    let transport = EmbeddedTransport::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    let queues = [Queue::Priority, Queue::Delayed, Queue::Dead];
    transport.declare(&queues, Declare::Create).await.unwrap();
    let reader = transport.receiver(&Queue::Delayed, Default::default()).await.unwrap();
    for round in 0..40 {
        let make = |n: usize| {
            let queue = queues[n % 2].clone();
            let body = ".".repeat(100 + 137 * n % 900);
            Publication::new(queue, Message::new("t", body).id(format!("r{round}-{n}")).account("acme"))
        };
        publish(&transport, (0..16).map(make).collect()).await;
        let leased = exactly(&reader, 3).await;
        let mut leased = leased.into_iter();
        let reason = busway_core::Reason::error("x");
        let after = std::time::Duration::from_secs(3600);
        settle(&reader, leased.next().into_iter().collect(), Outcome::Ack).await;
        let retry = Outcome::Retry { after, reason: reason.clone() };
        settle(&reader, leased.next().into_iter().collect(), retry).await;
        settle(&reader, leased.next().into_iter().collect(), Outcome::Dead { reason, attempts: 1 }).await;
    }
    let mut state = Vec::new();
    for queue in queues {
        state.push((queue.to_string(), all_ids(&transport, queue).await));
    }
    transport.close().await.unwrap();
    let remains = Remains::of(home, config, &disk);
    assert!(remains.files.len() > 6, "{} files", remains.files.len());
    (remains, state)
}

#[tokio::test]
async fn a_flipped_bit_anywhere_but_in_the_last_group_is_noticed() {
    let (remains, state) = many_files().await;
    let whole = remains.open(&remains.files).unwrap();
    for (queue, ids) in &state {
        assert_eq!(all_ids(&whole, Queue::parse(queue).unwrap()).await, *ids);
    }
    whole.close().await.unwrap();
    let last_group = groups(remains.last()).last().unwrap().0;
    let sizes: Vec<usize> = remains.files.iter().map(|(_, bytes)| bytes.len()).collect();
    let mut rng = Rng::with_seed(11);
    for _ in 0..600 {
        let mut at = rng.usize(0..sizes.iter().sum());
        let file = sizes
            .iter()
            .position(|size| {
                at < *size || {
                    at -= size;
                    false
                }
            })
            .unwrap();
        let mut files = remains.files.clone();
        files[file].1[at] ^= 1 << rng.u8(0..8);
        match remains.open(&files) {
            Err(error) => {
                let known = matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Version);
                assert!(known, "byte {at} of {}: {error}", files[file].0.display());
                let name = files[file].0.file_name().unwrap().to_str().unwrap();
                let text = error.to_string();
                assert!(text.contains(name), "{name} is to be named: {text}");
            }
            Ok(transport) => {
                let harmless = file == files.len() - 1 && at >= last_group;
                assert!(harmless, "byte {at} of {} went unnoticed", files[file].0.display());
                for (queue, ids) in &state {
                    assert_eq!(all_ids(&transport, Queue::parse(queue).unwrap()).await, *ids);
                }
            }
        }
    }
}

#[tokio::test]
async fn pages_that_were_lost_are_noticed() {
    let (remains, _) = many_files().await;
    let mut rng = Rng::with_seed(12);
    for _ in 0..100 {
        let file = rng.usize(1..remains.files.len() - 1);
        let mut files = remains.files.clone();
        let bytes = &mut files[file].1;
        let page = rng.usize(0..bytes.len() / 4096) * 4096;
        bytes[page..page + 4096].fill(0);
        let error = remains.open(&files).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
}

#[tokio::test]
async fn a_missing_shortened_or_exchanged_file_is_refused() {
    let (remains, _) = many_files().await;
    for gone in 1..remains.files.len() {
        let mut files = remains.files.clone();
        let (name, _) = files.remove(gone);
        let error = remains.open(&files).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains(name.file_name().unwrap().to_str().unwrap()), "{error}");
    }
    for shortened in 1..remains.files.len() - 1 {
        let mut files = remains.files.clone();
        let cut = groups(&files[shortened].1).last().unwrap().0;
        files[shortened].1.truncate(cut);
        let error = remains.open(&files).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
    let mut files = remains.files.clone();
    files[3].1 = files[2].1.clone();
    assert_eq!(remains.open(&files).err().unwrap().kind(), ErrorKind::Corrupt);
    let nothing = [remains.files[0].clone()];
    assert_eq!(remains.open(&nothing).err().unwrap().kind(), ErrorKind::Corrupt);
    let no_version = &remains.files[1..];
    assert_eq!(remains.open(no_version).err().unwrap().kind(), ErrorKind::Corrupt);
}

/// A file's length once it was opened and the store went away without closing it.
async fn length_after_open(remains: &Remains, bytes: Vec<u8>) -> (Vec<String>, u64) {
    let transport = remains.open(&remains.with_last(bytes)).unwrap();
    let ids = all_ids(&transport, Queue::Priority).await;
    let length = fs::metadata(remains.home.path().join("again/segments/00000001.log")).unwrap().len();
    (ids, length)
}

#[tokio::test]
async fn room_laid_out_behind_the_last_group_is_kept_and_anything_else_there_is_cut_off() {
    let (remains, _) = one_file().await;
    let whole = remains.last().to_vec();
    let all: Vec<String> = (0..24).map(|n| format!("m{n}")).collect();
    let mut bytes = whole.clone();
    bytes.resize(whole.len() + 300_000, 0);
    assert_eq!(length_after_open(&remains, bytes.clone()).await, (all.clone(), bytes.len() as u64));
    for at in [0, 1, 31, 4096, 299_999] {
        let mut torn = bytes.clone();
        torn[whole.len() + at] = 0xff;
        let (ids, length) = length_after_open(&remains, torn).await;
        assert_eq!(ids, all, "at {at}");
        assert!(length < whole.len() as u64 + 80_000, "{length}: cut off and laid out anew");
    }
}

#[tokio::test]
async fn damage_is_refused_also_with_room_laid_out_behind_the_last_group() {
    let (remains, start) = one_file().await;
    for (offset, length) in groups(remains.last()).iter().filter(|(offset, _)| *offset < start) {
        for zeros in [false, true] {
            let mut bytes = remains.last().to_vec();
            bytes.resize(bytes.len() + 200_000, 0);
            match zeros {
                true => bytes[*offset..offset + length].fill(0),
                false => bytes[offset + length - 1] ^= 0x10,
            }
            let error = remains.open(&remains.with_last(bytes)).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert!(error.to_string().contains(&format!("byte {offset}")), "{error}");
        }
    }
}

/// Lets a group say that less was durable when it was written.
fn forge_durable(file: &mut [u8], at: usize, length: usize, durable: usize) {
    let salt = file[16..24].to_vec();
    let group = &mut file[at..at + length];
    group[12..16].copy_from_slice(&(durable as u32).to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    [&salt, &group[4..28], &group[GROUP_HEADER..]].iter().for_each(|part| hasher.update(part));
    group[28..GROUP_HEADER].copy_from_slice(&hasher.finalize().to_le_bytes());
}

#[tokio::test]
async fn a_group_that_outlived_the_one_before_it_never_comes_back() {
    let (remains, start) = one_file().await;
    let last = remains.last().len();
    let transport = remains.open(&remains.files).unwrap();
    publish(&transport, numbered(24, 28)).await;
    let path = remains.home.path().join("again/segments/00000001.log");
    let mut bytes = fs::read(&path).unwrap();
    drop(transport);
    let (at, length) =
        *groups(&bytes).iter().find(|(at, length)| *at >= last && *length > GROUP_HEADER).unwrap();
    bytes.truncate(at + length);
    forge_durable(&mut bytes, at, length, start);
    let transport = remains.open(&remains.with_last(bytes.clone())).unwrap();
    assert_eq!(all_ids(&transport, Queue::Priority).await.len(), 28, "what was forged is a group");
    drop(transport);

    // None of the last three groups was synced before the power went, and only the third survived.
    bytes[start..at].fill(0);
    bytes.resize(at + length + 100_000, 0);
    let transport = remains.open(&remains.with_last(bytes)).unwrap();
    // What is written in the place of the first two is as long as those were.
    publish(&transport, numbered(20, 24)).await;
    let bytes = fs::read(&path).unwrap();
    drop(transport);
    let again = remains.open(&remains.with_last(bytes)).unwrap();
    let mut expected = first_twenty();
    expected.extend((20..24).map(|n| format!("m{n}")));
    assert_eq!(all_ids(&again, Queue::Priority).await, expected);
}

#[tokio::test]
async fn a_newer_store_is_left_alone() {
    let (remains, _) = one_file().await;
    let mut files = remains.files.clone();
    files[0].1 = b"busway-embedded 2\n".to_vec();
    let error = remains.open(&files).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Version);
    let text = error.to_string();
    assert!(text.contains("format 2") && text.contains("the program that wrote it"), "{text}");
    assert_eq!(remains.found(), files, "nothing was changed");
    let mut newer = remains.files.clone();
    let header = &mut newer[1].1[..56];
    header[8..12].copy_from_slice(&2_u32.to_le_bytes());
    let crc = crc32fast::hash(&header[..52]);
    header[52..].copy_from_slice(&crc.to_le_bytes());
    let error = remains.open(&newer).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Version, "{error}");
    assert!(error.to_string().contains("00000001.log"), "{error}");
    assert_eq!(remains.found(), newer, "nothing was changed");
    for text in [&b""[..], b"busway-embedded", b"something else 1\n", b"busway-embedded 1", b"\xff\xfe"] {
        files[0].1 = text.to_vec();
        assert_eq!(remains.open(&files).err().unwrap().kind(), ErrorKind::Corrupt);
    }
}

#[tokio::test]
async fn a_new_file_that_was_not_used_yet_is_made_again() {
    let (remains, _) = many_files().await;
    let last = remains.files.len() - 1;
    // As if the process had died between making the last file and ending the one before it.
    let mut files = remains.files.clone();
    let end = groups(&files[last - 1].1).last().unwrap().0;
    files[last - 1].1.truncate(end);
    let first = groups(&files[last].1)[0];
    files[last].1.truncate(first.0 + first.1);
    for torn in [files[last].1.len(), first.0 + 3, 56, 20, 0] {
        let mut files = files.clone();
        files[last].1.truncate(torn);
        let transport = remains.open(&files).unwrap();
        publish(&transport, numbered(0, 200)).await;
        let before = all_ids(&transport, Queue::Priority).await;
        transport.close().await.unwrap();
        drop(transport);
        let path = remains.home.path().join("again");
        let again = EmbeddedTransport::open(remains.config_at(path)).unwrap();
        assert_eq!(all_ids(&again, Queue::Priority).await, before);
    }
}

#[tokio::test]
async fn a_body_that_holds_log_bytes_is_no_group() {
    let (remains, start) = one_file().await;
    let transport = remains.open(&remains.files).unwrap();
    let copy = remains.last().to_vec();
    let batch = vec![Publication::new(Queue::Priority, Message::new("t", copy).id("log"))];
    publish(&transport, batch).await;
    let path = remains.home.path().join("again/segments/00000001.log");
    let mut bytes = fs::read(&path).unwrap();
    let (last, length) = *groups(&bytes).iter().rfind(|(_, length)| *length > GROUP_HEADER).unwrap();
    assert!(last > start && length > remains.last().len());
    bytes.truncate(last + length - 1);
    let transport = remains.open(&remains.with_last(bytes)).unwrap();
    assert_eq!(all_ids(&transport, Queue::Priority).await.len(), 24);
}

#[test]
fn a_store_that_cannot_be_there_is_refused_in_words() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "x").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = EmbeddedTransport::open(EmbeddedConfig::new("local", "shop", &path)).err().unwrap();
        assert!(matches!(error.kind(), ErrorKind::Configuration | ErrorKind::Io), "{error}");
        assert!(error.to_string().contains("file"), "{error}");
    }
    let path = home.path().join("unreadable");
    fs::create_dir_all(path.join("VERSION")).unwrap();
    assert!(EmbeddedTransport::open(EmbeddedConfig::new("local", "shop", &path)).is_err());
}
