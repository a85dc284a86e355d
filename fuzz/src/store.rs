//! The files of the embedded store.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use busway_core::transport::Selector;
use busway_core::{ErrorKind, Queue, Result, Transport};
use busway_embedded::fuzz;
use busway_embedded::{EmbeddedConfig, EmbeddedTransport};

use crate::bounds::{block_on, bounded, bounded_with, brief, folder};

/// What an empty store may take: its index and its buffers.
const STORE: usize = 48 << 20;

/// What the first file of a store's log is called.
pub(crate) const FILE: &str = "segments/00000001.log";
const VERSION: &str = "busway-embedded 1\n";

/// A stored message.
pub(crate) fn message(input: &[u8]) {
    let party = bounded(input.len(), || fuzz::party(input));
    if let Some(message) = bounded(input.len(), || fuzz::message(input)) {
        assert_eq!(party, Some((message.account.as_deref(), message.destination.as_deref())));
        assert_eq!(fuzz::message(&fuzz::encode_message(&message)), Some(message));
    }
}

/// The records of a group.
pub(crate) fn records(input: &[u8]) {
    match bounded(input.len(), || fuzz::records(input)) {
        Ok((count, bodies)) => assert!(count <= input.len() && bodies <= input.len()),
        Err(error) => drop(brief(error)),
    }
}

/// The one file of a log. Where the first byte is odd, its checksums are made right before it is read.
pub(crate) fn segment(input: &[u8]) {
    let Some((how, bytes)) = input.split_first() else { return };
    let mut file = bytes.to_vec();
    if how % 2 == 1 {
        fuzz::reseal(&mut file);
    }
    let folder = folder();
    fs::create_dir(folder.path().join("segments")).unwrap();
    fs::write(folder.path().join("VERSION"), VERSION).unwrap();
    fs::write(folder.path().join(FILE), &file).unwrap();
    let store = match bounded_with(STORE, file.len(), || open(folder.path())) {
        Ok(store) => store,
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Version), "{error}");
            let text = brief(error);
            assert!(text.contains("/segments"), "the file is not named: {text}");
            assert_eq!(fs::read(folder.path().join(FILE)).unwrap(), file, "a refused file was changed");
            return;
        }
    };
    let seen = look(&store);
    let again = open(folder.path()).expect("what was opened is opened again");
    assert_eq!(look(&again), seen, "what is seen after the next start");
}

/// What a store says of its version.
pub(crate) fn version(input: &[u8]) {
    let folder = folder();
    fs::create_dir(folder.path().join("segments")).unwrap();
    fs::write(folder.path().join("VERSION"), input).unwrap();
    match bounded_with(STORE, input.len(), || open(folder.path())) {
        Ok(_) => panic!("opened, although there is no log"),
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Version), "{error}");
            brief(error);
        }
    }
}

/// A store that keeps nothing back on the disk.
pub(crate) fn open(path: &Path) -> Result<Arc<EmbeddedTransport>> {
    let mut config = EmbeddedConfig::new("local", "shop", path);
    config.reserve_bytes = 0;
    EmbeddedTransport::open(config)
}

/// The messages of each queue, then the store is closed. What cannot be read is the kind of its error.
fn look(store: &EmbeddedTransport) -> Vec<String> {
    let queues = [Queue::Priority, Queue::Delayed, Queue::Dead];
    let seen = queues.map(|queue| {
        block_on(async {
            match store.peek(&queue, &Selector::All, 0, 1_000).await {
                Ok(rows) => format!("{:?}", rows.iter().map(|row| &row.message.id).collect::<Vec<_>>()),
                Err(error) => format!("{:?}", error.kind()),
            }
        })
    });
    // A store that met damage meanwhile refuses to go on, and says so here as well.
    block_on(store.close()).ok();
    seen.into()
}
