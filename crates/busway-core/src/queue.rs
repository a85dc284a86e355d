//! Logical queues. How a queue is called on a broker is its adapter's business.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};

/// A name of a bus, queue, endpoint or subscription: `[a-z][a-z0-9_-]{0,40}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// `Configuration` where it does not have the form `[a-z][a-z0-9_-]{0,40}`.
    pub fn new(text: &str) -> Result<Self> {
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
        let rest = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        if first && rest && text.len() <= 41 {
            return Ok(Self(text.into()));
        }
        Err(Error::new("name", ErrorKind::Configuration, format!("{text:?} is not a name"))
            .advise("use a lower-case letter, then at most 40 of a-z 0-9 _ -"))
    }

    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A queue of one bus, by its logical name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Queue {
    /// Where every message enters.
    Priority,
    /// Diverted, retried and scheduled messages.
    Delayed,
    /// What could not be delivered, with its reason.
    Dead,
    /// The way to a handler that lives in another process: `<bus>.to.<name>`.
    To(Name),
    /// A further queue named by a route, an endpoint or the library.
    Named(Name),
}

impl Queue {
    /// Reads the text form: `priority`, `delayed`, `dead`, `to.NAME`, or a further name.
    ///
    /// # Errors
    /// `Configuration` where the text is no queue name.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "priority" => Self::Priority,
            "delayed" => Self::Delayed,
            "dead" => Self::Dead,
            _ => match text.strip_prefix("to.") {
                Some(name) => Self::To(Name::new(name)?),
                None => Self::Named(Name::new(text)?),
            },
        })
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Priority => f.write_str("priority"),
            Self::Delayed => f.write_str("delayed"),
            Self::Dead => f.write_str("dead"),
            Self::To(name) => write!(f, "to.{name}"),
            Self::Named(name) => write!(f, "{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_form_of_the_contract() {
        for good in ["a", "shop", "a-1_b", &"a".repeat(41)] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "1a", "a.b", "a b", "é", &"a".repeat(42)] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn queues_are_read_back_from_their_text() {
        for text in ["priority", "delayed", "dead", "to.items", "audit"] {
            assert_eq!(Queue::parse(text).map(|q| q.to_string()).ok().as_deref(), Some(text));
        }
    }
}
