//! Delivers to a further queue of a transport.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use busway_core::transport::Group;
use busway_core::{
    Delivery, DeliveryError, Endpoint, Error, ErrorClass, ErrorKind, Message, Publication, Queue, Sender,
};
use tokio::time::timeout;

/// The most deliveries of a call.
const MAX_BATCH: usize = 512;
/// How long a publish may take. A sender bounds its own time; this holds where one does not.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Publishes a copy of each message to a queue; success is the transport's confirm.
///
/// The copy is as if the bus had just taken the message: what belongs to its way through this bus'
/// own queues (destination, attempts, reason, due time) is not in it.
pub struct QueueEndpoint {
    sender: Arc<dyn Sender>,
    queue: Queue,
    /// What a message for a handler is ordered by, if by anything.
    handler: Option<Box<Key>>,
}

type Key = dyn Fn(&Message) -> Option<u64> + Send + Sync;

impl QueueEndpoint {
    /// An endpoint that publishes to `queue` by `sender`. The queue must be declared.
    #[must_use]
    pub fn new(sender: Arc<dyn Sender>, queue: Queue) -> Self {
        Self { sender, queue, handler: None }
    }

    /// An endpoint in front of the queue of a handler: the copies keep their destination, and those with
    /// one key stay in order.
    pub fn for_handler(
        sender: Arc<dyn Sender>,
        queue: Queue,
        key: impl Fn(&Message) -> Option<u64> + Send + Sync + 'static,
    ) -> Self {
        Self { sender, queue, handler: Some(Box::new(key)) }
    }

    fn publication(&self, delivery: &Delivery) -> Publication {
        let mut copy = copy(&delivery.message);
        let mut group = None;
        if let Some(key) = &self.handler {
            copy.destination = Some(delivery.destination.to_string());
            group = key(&copy).map(|key| Group { key, position: None });
        }
        Publication { queue: self.queue.clone(), message: copy, group }
    }

    fn unknown(&self, detail: &str) -> DeliveryError {
        DeliveryError::retry("unknown", format!("publishing to {}: {detail}", self.queue))
    }
}

impl fmt::Debug for QueueEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueEndpoint").field("queue", &self.queue).finish_non_exhaustive()
    }
}

#[async_trait]
impl Endpoint for QueueEndpoint {
    fn kind(&self) -> &'static str {
        if self.handler.is_some() { "handler" } else { "queue" }
    }

    fn max_batch(&self) -> usize {
        MAX_BATCH
    }

    async fn deliver(&self, batch: Vec<Delivery>) -> Vec<Result<(), DeliveryError>> {
        let count = batch.len();
        let copies = batch.iter().map(|delivery| self.publication(delivery)).collect::<Vec<_>>();
        let mut answers: Vec<_> = match timeout(TIMEOUT, self.sender.publish(copies)).await {
            Ok(results) => results.into_iter().map(|result| result.map_err(|e| failure(&e))).collect(),
            Err(_) => vec![Err(self.unknown("no confirm in time").overload()); count],
        };
        answers.resize_with(count, || Err(self.unknown("the sender gave no result")));
        answers
    }

    async fn test(&self) -> Result<String, DeliveryError> {
        Ok(format!("publishes to {}; nothing was published", self.queue))
    }

    async fn close(&self) {}
}

fn copy(message: &Message) -> Message {
    Message { destination: None, attempt: 0, reason: None, deliver_at: None, parked: None, ..message.clone() }
}

/// What a failed publish means for the delivery.
fn failure(error: &Error) -> DeliveryError {
    let detail = error.to_string();
    let class = match (error.class(), error.kind()) {
        (ErrorClass::Unknown, _) => "unknown",
        (_, ErrorKind::Full) => "full",
        (_, ErrorKind::Timeout) => "timeout",
        (_, ErrorKind::Unavailable) => "unavailable",
        (_, ErrorKind::TooLarge) => "too-large",
        (_, ErrorKind::InvalidHeader) => "invalid-header",
        (_, ErrorKind::NotFound) => "not-found",
        (_, ErrorKind::Unroutable) => "unroutable",
        (_, ErrorKind::Denied) => "denied",
        (_, ErrorKind::Closed) => "closed",
        (class, _) => class.as_str(),
    };
    if error.class() == ErrorClass::Reject {
        return DeliveryError::reject(class, detail);
    }
    let failure = DeliveryError::retry(class, detail);
    match error.kind() {
        ErrorKind::Full | ErrorKind::Timeout | ErrorKind::Unavailable => failure.overload(),
        _ => failure,
    }
}
