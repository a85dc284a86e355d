//! What became of a published message.

use std::fmt;

use busway_core::admin::{PublishOutcome, PublishResult};
use busway_core::{Error, ErrorClass, ErrorKind};

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
        /// What to do about it.
        class: ErrorClass,
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
            Self::Failed { id, why, .. } => write!(f, "message {id} was not published: {why}"),
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

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        let text = error.to_string();
        match error {
            PublishError::Failed { class, .. } => {
                let kind = match class {
                    ErrorClass::Reject => ErrorKind::Malformed,
                    _ => ErrorKind::Unavailable,
                };
                Self::new("publish", kind, text).class_of(class)
            }
            PublishError::Unknown { .. } => {
                Self::new("publish", ErrorKind::Timeout, text).class_of(ErrorClass::Unknown)
            }
        }
    }
}

/// The library's form of one result.
pub(crate) fn outcome(result: PublishResult) -> Result<Published, PublishError> {
    let PublishResult { id, outcome, error, class } = result;
    let why = error.unwrap_or_default();
    let named = |known: &ErrorClass| class.as_deref() == Some(known.as_str());
    match outcome {
        PublishOutcome::Stored => Ok(Published { id }),
        PublishOutcome::Failed => {
            let class = ErrorClass::ALL.into_iter().find(named).unwrap_or(ErrorClass::Retry);
            Err(PublishError::Failed { id, why, class })
        }
        PublishOutcome::Unknown => Err(PublishError::Unknown { id, why }),
    }
}
