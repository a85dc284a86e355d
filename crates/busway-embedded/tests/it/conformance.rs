//! The public suite on the embedded store, each case in a directory of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use busway_conformance::{Factory, Features, Suite};
use busway_core::{Result, Transport};
use busway_embedded::{EmbeddedConfig, EmbeddedTransport};

struct Stores(PathBuf);

#[async_trait]
impl Factory for Stores {
    async fn open(&self, namespace: &str) -> Result<Arc<dyn Transport>> {
        Ok(EmbeddedTransport::open(EmbeddedConfig::new("local", namespace, self.0.join(namespace)))?)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_passes_every_case() {
    let directory = tempfile::tempdir().unwrap();
    // A case does some work within a lease, each step of which may wait for a slow disk.
    let features = Features { lease: Duration::from_secs(5), ..Features::default() };
    let suite = Suite::new(Stores(directory.path().to_owned())).features(features);
    let report = suite.run().await.unwrap();
    println!("{report}");
    report.assert_green();
    assert!(report.skipped().is_empty(), "{report}");
}
