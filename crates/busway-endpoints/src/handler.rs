//! An endpoint around an async function of this process.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use async_trait::async_trait;
use busway_core::{Delivery, DeliveryError, Endpoint};

type Answer = Pin<Box<dyn Future<Output = Result<(), DeliveryError>> + Send>>;

/// Calls a function for each delivery; its answer is the delivery's.
///
/// A panic of the function goes through to the caller of [`Endpoint::deliver`]. The function bounds
/// its own time.
pub struct HandlerEndpoint {
    function: Box<dyn Fn(Delivery) -> Answer + Send + Sync>,
}

impl HandlerEndpoint {
    /// An endpoint around `function`.
    pub fn new<F, Fut>(function: F) -> Self
    where
        F: Fn(Delivery) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), DeliveryError>> + Send + 'static,
    {
        Self { function: Box::new(move |delivery| Box::pin(function(delivery))) }
    }
}

impl fmt::Debug for HandlerEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerEndpoint").finish_non_exhaustive()
    }
}

#[async_trait]
impl Endpoint for HandlerEndpoint {
    fn kind(&self) -> &'static str {
        "handler"
    }

    async fn deliver(&self, batch: Vec<Delivery>) -> Vec<Result<(), DeliveryError>> {
        let mut answers = Vec::with_capacity(batch.len());
        for delivery in batch {
            answers.push((self.function)(delivery).await);
        }
        answers
    }

    async fn test(&self) -> Result<String, DeliveryError> {
        Ok("a handler of this process".to_owned())
    }

    async fn close(&self) {}
}
