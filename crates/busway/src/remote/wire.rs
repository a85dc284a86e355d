//! Messages, filters and errors as they cross the socket.

use busway_core::admin::{DeadCursor, DeadRequest};
use busway_core::clock::Millis;
use busway_core::transport::Filter;
use busway_core::{Error, ErrorClass, ErrorKind, Message, envelope};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A message in structured form with its data as base64, whatever they are, so that each of their
/// bytes arrives; the content type stands beside it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct WireMessage {
    event: Box<RawValue>,
    content_type: Option<String>,
}

/// A content type of which data are always written as base64.
const OPAQUE: &str = "application/octet-stream";

impl WireMessage {
    /// Writes a message.
    pub(super) fn new(mut message: Message) -> Result<Self, Error> {
        let content_type = message.datacontenttype.replace(OPAQUE.to_owned());
        let event = String::from_utf8(envelope::json::encode(&message))
            .map_err(|error| wrong().caused_by(error))
            .and_then(|text| RawValue::from_string(text).map_err(|error| wrong().caused_by(error)))?;
        Ok(Self { event, content_type })
    }

    /// Reads it back.
    pub(super) fn into_message(self) -> Result<Message, Error> {
        let decoded = envelope::json::decode(self.event.get().as_bytes());
        let mut message =
            decoded.map_err(|error| Error::new("publish", ErrorKind::Malformed, error.to_string()))?;
        message.datacontenttype = self.content_type;
        Ok(message)
    }
}

fn wrong() -> Error {
    Error::new("publish", ErrorKind::Malformed, "the message has no structured form")
}

/// A filter as it crosses the socket.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireFilter {
    id: Option<String>,
    r#type: Option<String>,
    account: Option<String>,
    destination: Option<String>,
    reason: Option<String>,
    since: Option<Millis>,
    until: Option<Millis>,
}

impl From<Filter> for WireFilter {
    fn from(filter: Filter) -> Self {
        let Filter { id, r#type, account, destination, reason, since, until } = filter;
        Self { id, r#type, account, destination, reason, since, until }
    }
}

impl From<WireFilter> for Filter {
    fn from(filter: WireFilter) -> Self {
        let WireFilter { id, r#type, account, destination, reason, since, until } = filter;
        Self { id, r#type, account, destination, reason, since, until }
    }
}

/// What a verb is to do with dead letters, as it crosses the socket.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireRequest {
    filter: WireFilter,
    max: Option<u64>,
    rate: Option<f64>,
    from: Option<DeadCursor>,
}

impl From<DeadRequest> for WireRequest {
    fn from(request: DeadRequest) -> Self {
        let DeadRequest { filter, max, rate, from } = request;
        Self { filter: filter.into(), max, rate, from }
    }
}

impl From<WireRequest> for DeadRequest {
    fn from(request: WireRequest) -> Self {
        let WireRequest { filter, max, rate, from } = request;
        Self { filter: filter.into(), max, rate, from }
    }
}

/// What the holder answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Answer {
    /// The verb's own answer.
    Ok(Box<RawValue>),
    /// Why there is none.
    Error(WireError),
}

/// An error as it crosses the socket: its words, kind and class.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct WireError {
    kind: String,
    class: String,
    place: Option<String>,
    text: String,
}

impl From<&Error> for WireError {
    fn from(error: &Error) -> Self {
        let class = error.class().as_str();
        let place = error.place().map(str::to_owned);
        let before = match &place {
            Some(place) => format!("{} {place}: ", error.operation()),
            None => format!("{}: ", error.operation()),
        };
        let whole = error.to_string();
        let text = whole.strip_prefix(&before).unwrap_or(&whole);
        let text = text.strip_suffix(&format!(" ({class})")).unwrap_or(text).to_owned();
        Self { kind: format!("{:?}", error.kind()), class: class.to_owned(), place, text }
    }
}

impl WireError {
    /// The error as the asking process sees it; a kind or class that this version does not know
    /// becomes `Internal` or that of the kind.
    pub(super) fn into_error(self, operation: &'static str) -> Error {
        let kind = ErrorKind::ALL.into_iter().find(|kind| format!("{kind:?}") == self.kind);
        let class = ErrorClass::ALL.into_iter().find(|class| class.as_str() == self.class);
        let mut error = Error::new(operation, kind.unwrap_or(ErrorKind::Internal), self.text);
        if let Some(place) = self.place {
            error = error.at(place);
        }
        match class {
            Some(class) => error.class_of(class),
            None => error,
        }
    }
}
