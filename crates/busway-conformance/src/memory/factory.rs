//! The reference transport for the suite: a storage for every namespace.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use busway_core::error::Result;
use busway_core::{Capabilities, Transport};

use super::{MemoryStorage, MemoryTransport, capabilities};
use crate::suite::Factory;
use crate::sync::lock;

/// Opens memory transports; a namespace keeps its storage until it is removed.
pub struct MemoryFactory {
    capabilities: Capabilities,
    storages: Mutex<HashMap<String, MemoryStorage>>,
}

impl MemoryFactory {
    /// Storages that can do everything.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capabilities(capabilities())
    }

    /// Storages with these limits.
    #[must_use]
    pub fn with_capabilities(capabilities: Capabilities) -> Self {
        Self { capabilities, storages: Mutex::default() }
    }
}

impl Default for MemoryFactory {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Factory for MemoryFactory {
    async fn open(&self, namespace: &str) -> Result<Arc<dyn Transport>> {
        let mut storages = lock(&self.storages);
        let storage = storages
            .entry(namespace.to_owned())
            .or_insert_with(|| MemoryStorage::with_capabilities(self.capabilities.clone()));
        Ok(Arc::new(MemoryTransport::open("memory", storage)))
    }

    async fn remove(&self, namespace: &str) -> Result<()> {
        lock(&self.storages).remove(namespace);
        Ok(())
    }
}
