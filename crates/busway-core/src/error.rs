//! One error for every boundary: what was tried, on which queue, what went wrong, and what the
//! caller should do about it.

use std::fmt;

/// Result of an operation of this crate's traits.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller should do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// The same call may succeed later: back off and repeat it.
    Retry,
    /// The connection is gone: reconnect, then repeat.
    Reconnect,
    /// This message will never be taken: do not repeat it.
    Reject,
    /// The transport cannot do this: change the configuration.
    Unsupported,
    /// The call may or may not have taken effect: repeat it with the same id.
    Unknown,
    /// This part of the process cannot go on: stop and tell the operator.
    Fatal,
}

impl ErrorClass {
    /// Every class, for those who read one from its name.
    pub const ALL: [Self; 6] =
        [Self::Retry, Self::Reconnect, Self::Reject, Self::Unsupported, Self::Unknown, Self::Fatal];

    /// The class in one lower-case word, as it stands in `bwreason`, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Reconnect => "reconnect",
            Self::Reject => "reject",
            Self::Unsupported => "unsupported",
            Self::Unknown => "unknown",
            Self::Fatal => "fatal",
        }
    }
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The queue or thing named does not exist.
    NotFound,
    /// The broker took the message and could route it nowhere.
    Unroutable,
    /// The transport, sender or receiver was closed before.
    Closed,
    /// The message or batch is over a size limit.
    TooLarge,
    /// A header's or attribute's name or value cannot be carried.
    InvalidHeader,
    /// The message's content cannot be understood.
    Malformed,
    /// No room: disk full, quota, broker alarm.
    Full,
    /// The peer cannot be reached or has gone.
    Unavailable,
    /// No answer within the deadline.
    Timeout,
    /// Another process holds what is needed.
    Held,
    /// Stored data is damaged.
    Corrupt,
    /// Stored data is of a version this program does not know.
    Version,
    /// What exists differs from what was asked for.
    Conflict,
    /// A credential is missing or refused.
    Denied,
    /// The lease or receipt is no longer valid; the message returns or has returned.
    LeaseLost,
    /// The operation does not exist here.
    Unsupported,
    /// A setting is wrong.
    Configuration,
    /// An operating system call failed.
    Io,
    /// A fault in busway itself.
    Internal,
}

impl ErrorKind {
    /// Every kind, for those who read one from its name.
    pub const ALL: [Self; 19] = [
        Self::NotFound,
        Self::Unroutable,
        Self::Closed,
        Self::TooLarge,
        Self::InvalidHeader,
        Self::Malformed,
        Self::Full,
        Self::Unavailable,
        Self::Timeout,
        Self::Held,
        Self::Corrupt,
        Self::Version,
        Self::Conflict,
        Self::Denied,
        Self::LeaseLost,
        Self::Unsupported,
        Self::Configuration,
        Self::Io,
        Self::Internal,
    ];

    /// The class an error of this kind has unless it was set otherwise.
    #[must_use]
    pub fn class(self) -> ErrorClass {
        match self {
            Self::Full | Self::Timeout | Self::Conflict | Self::LeaseLost | Self::Held => ErrorClass::Retry,
            Self::Unavailable => ErrorClass::Reconnect,
            Self::TooLarge | Self::InvalidHeader | Self::Malformed | Self::Unroutable => ErrorClass::Reject,
            Self::Unsupported | Self::Configuration => ErrorClass::Unsupported,
            Self::NotFound
            | Self::Closed
            | Self::Corrupt
            | Self::Version
            | Self::Denied
            | Self::Io
            | Self::Internal => ErrorClass::Fatal,
        }
    }
}

type Source = Box<dyn std::error::Error + Send + Sync>;

/// An error with its operation, place, kind, class and source.
///
/// The text says what was tried, where, what went wrong and, where something can be done, what;
/// it never holds a body, a secret or a URL's user part.
pub struct Error(Box<Inner>);

struct Inner {
    operation: &'static str,
    place: Option<String>,
    kind: ErrorKind,
    class: ErrorClass,
    detail: String,
    advice: Option<String>,
    source: Option<Source>,
}

impl Error {
    /// An error of `operation` (a verb, such as `publish`) with what went wrong in words.
    #[must_use]
    pub fn new(operation: &'static str, kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            operation,
            place: None,
            kind,
            class: kind.class(),
            detail: detail.into(),
            advice: None,
            source: None,
        }))
    }

    /// Names the queue, transport, file or address concerned.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.0.place = Some(place.to_string());
        self
    }

    /// Replaces the class that follows from the kind.
    #[must_use]
    pub fn class_of(mut self, class: ErrorClass) -> Self {
        self.0.class = class;
        self
    }

    /// Says what the reader can do.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.0.advice = Some(advice.into());
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The operation that failed.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The queue, transport, file or address concerned.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        self.0.place.as_deref()
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What to do about it.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        self.0.class
    }

    /// A second error with the same words, for the other callers of one failed batch. The source
    /// stays with the first.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let inner = &self.0;
        Self(Box::new(Inner {
            operation: inner.operation,
            place: inner.place.clone(),
            kind: inner.kind,
            class: inner.class,
            detail: match &inner.source {
                Some(source) => format!("{}: {source}", inner.detail),
                None => inner.detail.clone(),
            },
            advice: inner.advice.clone(),
            source: None,
        }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        write!(f, "{}", inner.operation)?;
        if let Some(place) = &inner.place {
            write!(f, " {place}")?;
        }
        write!(f, ": {}", inner.detail)?;
        if let Some(source) = &inner.source {
            write!(f, ": {source}")?;
        }
        if let Some(advice) = &inner.advice {
            write!(f, "; {advice}")?;
        }
        write!(f, " ({})", inner.class.as_str())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error").field("kind", &self.0.kind).field("text", &self.to_string()).finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_operation_place_cause_and_what_to_do() {
        let error = Error::new("publish", ErrorKind::Full, "no space left")
            .at("local/priority")
            .caused_by(std::io::Error::other("ENOSPC"))
            .advise("free space on the disk");
        assert_eq!(
            error.to_string(),
            "publish local/priority: no space left: ENOSPC; free space on the disk (retry)"
        );
        assert_eq!(error.duplicate().to_string(), error.to_string());
    }
}
