//! What every handler is given.

use std::sync::Arc;

use busway_core::Admin;
use tokio::sync::Semaphore;

use crate::access::Access;
use crate::budget::Budget;
use crate::config::HttpConfig;
use crate::metrics::{Figures, Scrape};
use crate::reload::Reload;
use crate::server::{Aids, RenderMetrics};

/// Long verbs (replay, delete) that may run at once.
const LONG_VERBS: usize = 4;

/// Shared by all workers.
pub(crate) struct Context {
    pub(crate) admin: Arc<dyn Admin>,
    pub(crate) config: HttpConfig,
    pub(crate) access: Access,
    pub(crate) budget: Budget,
    pub(crate) figures: Figures,
    pub(crate) scrape: Scrape,
    pub(crate) render: Option<RenderMetrics>,
    pub(crate) reload: Option<Reload>,
    pub(crate) long_verbs: Arc<Semaphore>,
}

impl Context {
    pub(crate) fn new(config: HttpConfig, admin: Arc<dyn Admin>, aids: Aids) -> Self {
        Self {
            admin,
            access: Access::new(&config),
            budget: Budget::new(config.max_held_bytes),
            figures: Figures::default(),
            scrape: Scrape::default(),
            render: aids.metrics,
            reload: aids.reload,
            long_verbs: Arc::new(Semaphore::new(LONG_VERBS)),
            config,
        }
    }
}
