//! What a handler answers when it did not succeed.

use std::time::Duration;

use busway_core::DeliveryError;

/// Why a handler did not succeed. Made from any error by `?`: then the message is tried again by
/// the schedule, unless the error is a [`DeliveryError`], which says itself what is to be done.
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
}

impl<E: std::error::Error + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let any: &(dyn std::error::Error + 'static) = &error;
        match any.downcast_ref::<DeliveryError>() {
            Some(own) => Self(own.clone()),
            None => Self::retry(error.to_string()),
        }
    }
}

impl HandlerError {
    pub(crate) fn into_delivery_error(self) -> DeliveryError {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use busway_core::endpoint::Verdict;

    use super::*;

    #[test]
    fn an_error_of_any_kind_means_retry_and_a_decode_error_keeps_its_class() {
        let other = HandlerError::from(std::io::Error::other("no"));
        assert_eq!(other.0.verdict, Verdict::Retry);
        let decode = HandlerError::from(DeliveryError::reject("decode", "not JSON"));
        assert_eq!((decode.0.verdict, &*decode.0.class), (Verdict::Reject, "decode"));
        assert_eq!(HandlerError::reject("never").0.verdict, Verdict::Reject);
        assert_eq!(
            HandlerError::retry_after(Duration::from_secs(3)).0.retry_after,
            Some(Duration::from_secs(3))
        );
    }
}
