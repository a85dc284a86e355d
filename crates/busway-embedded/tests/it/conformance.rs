//! The public suite on the embedded store, each case in a directory of its own.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use busway_conformance::{Factory, Suite};
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
    let report = Suite::new(Stores(directory.path().to_owned())).run().await.unwrap();
    println!("{report}");
    report.assert_green();
    assert!(report.skipped().is_empty(), "{report}");
}
