//! Why a message was diverted, retried or killed: the value of `bwreason`.

use std::fmt;
use std::sync::Arc;

/// Why a message waits in `delayed` or lies in `dead`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Its account was over its share while others waited.
    Share,
    /// Its endpoint had no room.
    Saturated,
    /// Its endpoint's breaker was open, or the endpoint was paused.
    Breaker,
    /// A delivery failed with this class.
    Error(Arc<str>),
    /// `expirytime` had passed.
    Expired,
    /// No route or subscription matches it.
    Unroutable,
    /// It waits behind an earlier message of its key.
    Order,
    /// A reason of another program's, kept as it stands.
    Other(Arc<str>),
}

impl Reason {
    /// `error:<class>`.
    #[must_use]
    pub fn error(class: &str) -> Self {
        Self::Error(class.into())
    }

    /// Reads the text form; what is not known is kept as [`Reason::Other`].
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "share" => Self::Share,
            "saturated" => Self::Saturated,
            "breaker" => Self::Breaker,
            "expired" => Self::Expired,
            "unroutable" => Self::Unroutable,
            "order" => Self::Order,
            _ => match text.strip_prefix("error:") {
                Some(class) => Self::Error(class.into()),
                None => Self::Other(text.into()),
            },
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share => f.write_str("share"),
            Self::Saturated => f.write_str("saturated"),
            Self::Breaker => f.write_str("breaker"),
            Self::Error(class) => write!(f, "error:{class}"),
            Self::Expired => f.write_str("expired"),
            Self::Unroutable => f.write_str("unroutable"),
            Self::Order => f.write_str("order"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_read_back() {
        for text in
            ["share", "saturated", "breaker", "error:timeout", "expired", "unroutable", "order", "moved"]
        {
            assert_eq!(Reason::parse(text).to_string(), text);
        }
    }
}
