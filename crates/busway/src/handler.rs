//! What can handle the messages of a subscription.

use std::future::Future;
use std::sync::Arc;

use busway_core::Endpoint;
use busway_endpoints::HandlerEndpoint;
use busway_runtime::actix::Recipient;
use busway_runtime::{ActorEndpoint, Delivery, HandlerError};

/// A handler: an async function of a [`Delivery`] that answers `Result<(), HandlerError>`, or the
/// recipient of an actor whose answer to a [`Delivery`] is one. `Kind` tells the two apart and is always
/// inferred.
pub trait IntoHandler<Kind> {
    /// The endpoint that calls it.
    fn into_endpoint(self) -> Arc<dyn Endpoint>;
}

/// The kind of handlers that are async functions.
#[derive(Debug)]
pub enum Function {}

/// The kind of handlers that are actors.
#[derive(Debug)]
pub enum Actor {}

impl<F, Fut> IntoHandler<Function> for F
where
    F: Fn(Delivery) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), HandlerError>> + Send + 'static,
{
    fn into_endpoint(self) -> Arc<dyn Endpoint> {
        Arc::new(HandlerEndpoint::new(move |delivery| {
            let answer = self(delivery.into());
            async move { answer.await.map_err(HandlerError::into_delivery_error) }
        }))
    }
}

impl IntoHandler<Actor> for Recipient<Delivery> {
    fn into_endpoint(self) -> Arc<dyn Endpoint> {
        Arc::new(ActorEndpoint::new(self))
    }
}
