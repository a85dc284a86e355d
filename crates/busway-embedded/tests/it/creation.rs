//! What a process that was killed while it made or changed a store leaves to the next one: names that
//! are there and may not be on the disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use busway_core::transport::Declare;
use busway_core::{Queue, Transport};
use busway_embedded::{EmbeddedConfig, EmbeddedTransport};

use crate::faults::Faulty;

/// The directories that are synced while a store is opened at `path`.
async fn synced(path: &Path) -> Vec<PathBuf> {
    let disk = Faulty::default();
    let config = EmbeddedConfig::new("local", "shop", path);
    let transport = EmbeddedTransport::open_on(config, Arc::new(disk.clone())).unwrap();
    let mut directories = Vec::new();
    disk.set(|faults| directories = std::mem::take(&mut faults.directories));
    transport.declare(&[Queue::Priority], Declare::Create).await.unwrap();
    transport.close().await.unwrap();
    directories
}

#[tokio::test]
async fn names_of_directories_that_another_process_made_are_synced() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a/b/store");
    std::fs::create_dir_all(&path).unwrap();
    let directories = synced(&path).await;
    for above in path.ancestors().skip(1) {
        assert!(directories.iter().any(|synced| synced == above), "{above:?} not in {directories:?}");
    }
    let again = synced(&path).await;
    assert!(again.contains(&home.path().join("a/b")), "{again:?}");
    assert!(!again.contains(&home.path().join("a")), "a store that is there had its place synced: {again:?}");
}

#[tokio::test]
async fn a_directory_above_that_may_not_be_listed_is_no_obstacle() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store");
    std::fs::create_dir(&path).unwrap();
    let disk = Faulty::default();
    disk.set(|faults| faults.denied = Some(home.path().into()));
    for _ in 0..2 {
        let config = EmbeddedConfig::new("local", "shop", &path);
        let transport = EmbeddedTransport::open_on(config, Arc::new(disk.clone())).unwrap();
        transport.close().await.unwrap();
    }
}

#[tokio::test]
async fn names_of_files_that_another_process_made_are_synced() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store");
    synced(&path).await;
    let again = synced(&path).await;
    assert!(again.contains(&path), "the name of VERSION: {again:?}");
    assert!(again.contains(&path.join("segments")), "the names of the log's files: {again:?}");
}
