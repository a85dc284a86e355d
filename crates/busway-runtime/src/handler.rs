//! A library user's handler: what it is given, what it answers, and the endpoint around one that is
//! an actor.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use actix::Recipient;
use actix::prelude::MailboxError;
use async_trait::async_trait;
use busway_core::{DeliveryError, Endpoint};

/// One delivery of a message to a handler. Reads as the delivery of `busway-core`; to an actor it is
/// a message whose answer is a `Result<(), HandlerError>`.
#[derive(Clone, Debug)]
pub struct Delivery(busway_core::Delivery);

impl Delivery {
    /// The delivery as an endpoint of one's own is given it.
    #[must_use]
    pub fn into_inner(self) -> busway_core::Delivery {
        self.0
    }
}

impl From<busway_core::Delivery> for Delivery {
    fn from(delivery: busway_core::Delivery) -> Self {
        Self(delivery)
    }
}

impl Deref for Delivery {
    type Target = busway_core::Delivery;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl actix::Message for Delivery {
    type Result = Result<(), HandlerError>;
}

/// Why a handler did not succeed. Made by `?` from any error that can be boxed (`std` errors,
/// `anyhow::Error`, a boxed error, text): then the message is tried again by the schedule, unless the
/// error is, or was caused by, a [`DeliveryError`] (as that of [`json`](busway_core::Delivery::json)),
/// which says itself what is to be done.
#[derive(Debug)]
pub struct HandlerError(DeliveryError);

impl HandlerError {
    /// Try again by the schedule.
    #[must_use]
    pub fn retry(why: impl Into<String>) -> Self {
        Self(DeliveryError::retry("handler", why))
    }

    /// Try again, but not before this long; the others for this handler wait as well.
    #[must_use]
    pub fn retry_after(wait: Duration) -> Self {
        Self(DeliveryError::retry("handler", "asked to be tried later").after(wait))
    }

    /// Never try again: the message is dead.
    #[must_use]
    pub fn reject(why: impl Into<String>) -> Self {
        Self(DeliveryError::reject("rejected", why))
    }

    /// What the bus is told.
    #[must_use]
    pub fn into_delivery_error(self) -> DeliveryError {
        self.0
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

type Boxed = Box<dyn std::error::Error + Send + Sync>;

impl<E: Into<Boxed>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let boxed: Boxed = error.into();
        let mut link: Option<&(dyn std::error::Error + 'static)> = Some(&*boxed);
        while let Some(error) = link {
            if let Some(own) = error.downcast_ref::<DeliveryError>() {
                return Self(own.clone());
            }
            link = error.source();
        }
        Self::retry(boxed.to_string())
    }
}

/// Sends each delivery to an actor; its answer is the delivery's.
///
/// A mailbox that is closed, and an actor that ends before it has answered, is a failed try. A full
/// mailbox takes as many deliveries more as run at once. The caller bounds the time.
pub struct ActorEndpoint {
    actor: Recipient<Delivery>,
}

impl ActorEndpoint {
    /// An endpoint in front of an actor.
    #[must_use]
    pub fn new(actor: Recipient<Delivery>) -> Self {
        Self { actor }
    }
}

impl fmt::Debug for ActorEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorEndpoint").finish_non_exhaustive()
    }
}

#[async_trait]
impl Endpoint for ActorEndpoint {
    fn kind(&self) -> &'static str {
        "actor"
    }

    async fn deliver(&self, batch: Vec<busway_core::Delivery>) -> Vec<Result<(), DeliveryError>> {
        let mut answers = Vec::with_capacity(batch.len());
        for delivery in batch {
            // Of several that wait for room in a mailbox through one address, actix wakes the last
            // alone; an address of its own has a place of its own.
            let own = self.actor.clone();
            answers.push(match own.send(Delivery(delivery)).await {
                Ok(answer) => answer.map_err(HandlerError::into_delivery_error),
                Err(error) => Err(unanswered(error)),
            });
        }
        answers
    }

    async fn test(&self) -> Result<String, DeliveryError> {
        match self.actor.connected() {
            true => Ok("an actor of this process".to_owned()),
            false => Err(unanswered(MailboxError::Closed)),
        }
    }

    async fn close(&self) {}
}

/// Other deliveries would fail in the same way, so the breaker counts it.
fn unanswered(error: MailboxError) -> DeliveryError {
    match error {
        MailboxError::Closed => DeliveryError::retry("actor-gone", "the actor has ended without an answer"),
        MailboxError::Timeout => DeliveryError::retry("timeout", "the actor has not answered in time"),
    }
    .overload()
}

#[cfg(test)]
mod tests {
    use busway_core::endpoint::Verdict;

    use super::*;

    #[derive(Debug)]
    struct Wrapped(DeliveryError);

    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the order cannot be read")
        }
    }

    impl std::error::Error for Wrapped {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn an_error_of_any_kind_means_retry() {
        let boxed: Box<dyn std::error::Error + Send + Sync> = "no".into();
        for other in [
            HandlerError::from(std::io::Error::other("no")),
            HandlerError::from(boxed),
            HandlerError::from("no"),
            HandlerError::from(String::from("no")),
        ] {
            assert_eq!((other.0.verdict, &*other.0.detail), (Verdict::Retry, "no"));
        }
        assert_eq!(HandlerError::reject("never").0.verdict, Verdict::Reject);
        let wait = Duration::from_secs(3);
        assert_eq!(HandlerError::retry_after(wait).0.retry_after, Some(wait));
    }

    #[test]
    fn a_decode_error_keeps_its_class_also_as_the_cause_of_another() {
        let decode = || DeliveryError::reject("decode", "not JSON");
        for error in [HandlerError::from(decode()), HandlerError::from(Wrapped(decode()))] {
            assert_eq!((error.0.verdict, &*error.0.class), (Verdict::Reject, "decode"));
        }
    }
}
