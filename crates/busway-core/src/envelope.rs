//! The forms of a message on a wire.
//!
//! | module | form |
//! |---|---|
//! | [`http`] | binary mode: `ce-` headers, data as the body |
//! | [`json`] | structured mode, batches, JSON lines |

pub mod http;
pub mod json;

mod attributes;

pub use attributes::check;

use std::fmt;

/// The most characters of an attribute's name that an error repeats.
const LONGEST_NAME: usize = 60;

/// Why bytes from outside are not a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The index of the bad event in a batch.
    pub index: Option<usize>,
    /// The attribute concerned.
    pub attribute: Option<String>,
    /// What is wrong with it; never a payload.
    pub reason: String,
}

impl DecodeError {
    /// A reason without a place.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self { index: None, attribute: None, reason: reason.into() }
    }

    /// A reason with the attribute it concerns; of a long name the beginning.
    #[must_use]
    pub fn attribute(name: &str, reason: impl Into<String>) -> Self {
        let shown = match name.char_indices().nth(LONGEST_NAME) {
            Some((end, _)) => format!("{}…", &name[..end]),
            None => name.to_owned(),
        };
        Self { index: None, attribute: Some(shown), reason: reason.into() }
    }

    /// Adds the index in a batch.
    #[must_use]
    pub fn at(mut self, index: usize) -> Self {
        self.index = Some(index);
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(index) = self.index {
            write!(f, "event {index}: ")?;
        }
        if let Some(attribute) = &self.attribute {
            write!(f, "{attribute}: ")?;
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for DecodeError {}
