//! An endpoint that is made when it is first used: a process that only looks at a bus must not
//! open files or connections of its endpoints.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use busway_core::{Delivery, DeliveryError, Endpoint, Result};
use tokio::sync::OnceCell;

type Making = Pin<Box<dyn Future<Output = Result<Arc<dyn Endpoint>>> + Send>>;
type Make = dyn Fn() -> Making + Send + Sync;

/// Makes the endpoint behind it at the first delivery or test.
pub(crate) struct LazyEndpoint {
    kind: &'static str,
    max_batch: usize,
    make: Box<Make>,
    made: OnceCell<Arc<dyn Endpoint>>,
}

impl LazyEndpoint {
    pub(crate) fn new<M>(
        kind: &'static str,
        max_batch: usize,
        make: impl Fn() -> M + Send + Sync + 'static,
    ) -> Self
    where
        M: Future<Output = Result<Arc<dyn Endpoint>>> + Send + 'static,
    {
        Self { kind, max_batch, make: Box::new(move || Box::pin(make())), made: OnceCell::new() }
    }

    async fn made(&self) -> Result<&Arc<dyn Endpoint>, DeliveryError> {
        self.made
            .get_or_try_init(|| (self.make)())
            .await
            .map_err(|error| DeliveryError::retry("unusable", error.to_string()))
    }
}

#[async_trait]
impl Endpoint for LazyEndpoint {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }

    async fn deliver(&self, batch: Vec<Delivery>) -> Vec<Result<(), DeliveryError>> {
        match self.made().await {
            Ok(endpoint) => endpoint.deliver(batch).await,
            Err(error) => batch.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn test(&self) -> Result<String, DeliveryError> {
        self.made().await?.test().await
    }

    async fn close(&self) {
        if let Some(endpoint) = self.made.get() {
            endpoint.close().await;
        }
    }
}
