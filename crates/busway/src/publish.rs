//! What became of a published message.

use std::fmt;

use busway_core::admin::{PublishOutcome, PublishResult};

/// The message is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its id.
    pub id: String,
}

/// The message may not be durable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// It was not taken.
    Failed {
        /// The message's id.
        id: String,
        /// Why.
        why: String,
    },
    /// No confirm came: it may or may not be durable. Publish it again with the same id.
    Unknown {
        /// The message's id.
        id: String,
        /// Why.
        why: String,
    },
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { id, why } => write!(f, "message {id} was not published: {why}"),
            Self::Unknown { id, why } => {
                write!(
                    f,
                    "it is not known whether message {id} was published: {why}; publish it again with the same id"
                )
            }
        }
    }
}

impl std::error::Error for PublishError {}

/// The library's form of one result.
pub(crate) fn outcome(result: PublishResult) -> Result<Published, PublishError> {
    let PublishResult { id, outcome, error, .. } = result;
    let why = error.unwrap_or_default();
    match outcome {
        PublishOutcome::Stored => Ok(Published { id }),
        PublishOutcome::Failed => Err(PublishError::Failed { id, why }),
        PublishOutcome::Unknown => Err(PublishError::Unknown { id, why }),
    }
}
