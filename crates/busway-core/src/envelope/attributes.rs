//! Attribute names and their text values, shared by all forms.
//!
//! [`KNOWN`] is the one place where the name of an attribute meets its field; every form walks it
//! to write ([`each`]) and asks it to read ([`Builder`]).

use std::borrow::Cow;

use bytes::Bytes;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::DecodeError;
use crate::clock::{Millis, format_rfc3339, parse_rfc3339};
use crate::message::{AttributeValue, DEFAULT_SOURCE, Message};
use crate::reason::Reason;

/// The only value of `specversion`.
pub(super) const SPEC_VERSION: &str = "1.0";

/// An attribute's value on its way out.
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    Integer(i32),
    Boolean(bool),
}

impl<'a> Value<'a> {
    /// A counter: a CloudEvents Integer has 32 bits, what is larger travels as text.
    fn counter(value: u64) -> Self {
        i32::try_from(value).map_or_else(|_| Self::Text(value.to_string().into()), Self::Integer)
    }

    /// The canonical text of CloudEvents 1.0.2, section "Type System".
    pub(super) fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => text,
            Self::Integer(value) => value.to_string().into(),
            Self::Boolean(value) => if value { "true" } else { "false" }.into(),
        }
    }
}

/// An attribute's value as it came.
pub(super) enum Given<'a> {
    Text(Cow<'a, str>),
    /// The text of a JSON integer.
    Integer(&'a str),
    Boolean(bool),
}

impl<'a> Given<'a> {
    /// A string and nothing else.
    fn string(self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text.into_owned()),
            _ => Err("must be a string".to_owned()),
        }
    }

    /// The canonical text of whatever type it is.
    fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => text,
            Self::Integer(text) => text.into(),
            Self::Boolean(value) => if value { "true" } else { "false" }.into(),
        }
    }

    /// A whole number of at most `max`, given as a number or as its digits.
    fn counter(self, max: u64) -> Result<u64, String> {
        let text = self.into_text();
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits
            .then(|| text.parse::<u64>().ok())
            .flatten()
            .filter(|value| *value <= max)
            .ok_or_else(|| format!("must be an integer from 0 to {max}"))
    }

    fn moment(self) -> Result<Millis, String> {
        let text = self.string()?;
        match parse_rfc3339(&text) {
            Some(at) => Ok(at),
            None if is_time(&text) => Ok(0),
            None => Err(NO_TIME.to_owned()),
        }
    }

    fn extension(self) -> Result<AttributeValue, String> {
        Ok(match self {
            Self::Text(text) => AttributeValue::String(text.into_owned()),
            Self::Boolean(value) => AttributeValue::Boolean(value),
            Self::Integer(text) => AttributeValue::Integer(
                text.parse()
                    .map_err(|_| "an integer must fit in 32 bits; write it as a string".to_owned())?,
            ),
        })
    }
}

const NO_TIME: &str = "must be a time as in RFC 3339, such as 2026-01-31T12:00:00Z";

/// How an attribute's field is read and written.
enum Field {
    /// Text that is never empty.
    Required(fn(&Message) -> &String, fn(&mut Message) -> &mut String),
    /// Text of the CloudEvents core; empty is the same as not given.
    Core(fn(&Message) -> &Option<String>, fn(&mut Message) -> &mut Option<String>),
    /// Text of an extension, where an integer or a boolean is taken as its text.
    Text(fn(&Message) -> &Option<String>, fn(&mut Message) -> &mut Option<String>),
    /// An RFC 3339 timestamp kept as milliseconds.
    Moment(fn(&Message) -> &Option<Millis>, fn(&mut Message) -> &mut Option<Millis>),
    /// A whole number.
    Counter(fn(&Message) -> &Option<u64>, fn(&mut Message) -> &mut Option<u64>),
    Time,
    Priority,
    Attempt,
    Reason,
}

macro_rules! field {
    ($kind:ident, $name:ident) => {
        Field::$kind(|message| &message.$name, |message| &mut message.$name)
    };
}

/// How many attributes have a field of their own.
pub(super) const KNOWN_COUNT: usize = 20;

macro_rules! known {
    ($(($name:literal, $field:expr)),* $(,)?) => {
        /// Every attribute that has a field of its own, in the order in which it is written.
        static KNOWN: [(&str, Field); KNOWN_COUNT] = [$(($name, $field)),*];
        /// Their headers on HTTP, in the same order.
        pub(super) const KNOWN_HEADERS: [&str; KNOWN_COUNT] = [$(concat!("ce-", $name)),*];
    };
}

known![
    ("id", field!(Required, id)),
    ("source", field!(Required, source)),
    ("type", field!(Required, r#type)),
    ("subject", field!(Core, subject)),
    ("time", Field::Time),
    ("datacontenttype", field!(Core, datacontenttype)),
    ("dataschema", field!(Core, dataschema)),
    ("partitionkey", field!(Text, partitionkey)),
    ("expirytime", field!(Moment, expires_at)),
    ("account", field!(Text, account)),
    ("bwpriority", Field::Priority),
    ("bwdeliverat", field!(Moment, deliver_at)),
    ("bwdestination", field!(Text, destination)),
    ("bwattempt", Field::Attempt),
    ("bwreason", Field::Reason),
    ("bwaccepted", field!(Counter, accepted)),
    ("bwparked", field!(Counter, parked)),
    ("bworigin", field!(Text, origin)),
    ("bwproducer", field!(Text, producer)),
    ("bwsequence", field!(Counter, sequence)),
];

/// The one known attribute with a header of its own on HTTP.
pub(super) const DATA_CONTENT_TYPE: &str = "datacontenttype";

/// Hands every attribute that the message has to `write`, all but `specversion`, with its place in
/// [`KNOWN`] where it has one. Extensions that [`check`] refuses are left out: their names would break
/// the form, or stand for another attribute.
pub(super) fn each<'m>(message: &'m Message, mut write: impl FnMut(Option<usize>, &'m str, Value<'m>)) {
    for (place, (name, field)) in KNOWN.iter().enumerate() {
        if let Some(value) = field.value(message) {
            write(Some(place), name, value);
        }
    }
    for (name, value) in &message.extensions {
        if is_extension_name(name) {
            write(
                None,
                name,
                match value {
                    AttributeValue::Boolean(value) => Value::Boolean(*value),
                    AttributeValue::Integer(value) => Value::Integer(*value),
                    AttributeValue::String(text) => Value::Text(text.into()),
                },
            );
        }
    }
}

/// Whether a message made in this process can be written in every form and read back.
///
/// # Errors
/// The attribute that cannot be carried: an empty `id`, `source` or `type`, a `time` that is none,
/// a priority over 9, an extension whose name is not a CloudEvents one or is another attribute's.
pub fn check(message: &Message) -> Result<(), DecodeError> {
    for (name, value) in [("id", &message.id), ("source", &message.source), ("type", &message.r#type)] {
        if value.is_empty() {
            return Err(DecodeError::attribute(name, EMPTY));
        }
    }
    if message.time.as_deref().is_some_and(|time| !is_time(time)) {
        return Err(DecodeError::attribute("time", NO_TIME));
    }
    if message.priority > 9 {
        return Err(DecodeError::attribute("bwpriority", "must be an integer from 0 to 9"));
    }
    match message.extensions.keys().find(|name| !is_extension_name(name)) {
        None => Ok(()),
        Some(name) if is_name(name) => {
            Err(DecodeError::attribute(name, "is not an extension: set it by its own field"))
        }
        Some(name) => Err(DecodeError::attribute(name, BAD_NAME)),
    }
}

/// Collects the attributes of one event, each at most once.
pub(super) struct Builder {
    message: Message,
    /// A bit for each of [`KNOWN`] and one for `specversion`.
    seen: u32,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self { message: Message::blank(String::new(), Bytes::new()), seen: 0 }
    }

    /// Takes one attribute.
    pub(super) fn set(&mut self, name: &str, value: Given<'_>) -> Result<(), DecodeError> {
        let fail = |reason: String| DecodeError::attribute(name, reason);
        if let Some(index) = KNOWN.iter().position(|(known, _)| *known == name) {
            self.first(index).map_err(fail)?;
            return KNOWN[index].1.set(&mut self.message, value).map_err(fail);
        }
        if name == "specversion" {
            self.first(KNOWN.len()).map_err(fail)?;
            let version = value.string().map_err(fail)?;
            return if version == SPEC_VERSION {
                Ok(())
            } else {
                Err(fail(format!("must be {SPEC_VERSION}, the only version understood")))
            };
        }
        if !is_extension_name(name) {
            return Err(fail(BAD_NAME.to_owned()));
        }
        if self.message.extensions.insert(name.to_owned(), value.extension().map_err(fail)?).is_some() {
            return Err(fail(TWICE.to_owned()));
        }
        Ok(())
    }

    fn first(&mut self, index: usize) -> Result<(), String> {
        let bit = 1 << index;
        if self.seen & bit != 0 {
            return Err(TWICE.to_owned());
        }
        self.seen |= bit;
        Ok(())
    }

    /// The content type as far as it is known.
    pub(super) fn content_type(&self) -> &str {
        self.message.content_type_or_default()
    }

    /// Whether `datacontenttype` has been set.
    pub(super) fn has_content_type(&self) -> bool {
        self.message.datacontenttype.is_some()
    }

    /// The message, with what may be left out filled in.
    pub(super) fn finish(self, data: Bytes) -> Result<Message, DecodeError> {
        let mut message = self.message;
        if message.r#type.is_empty() {
            return Err(DecodeError::attribute("type", "is missing"));
        }
        if message.id.is_empty() {
            message.id = Message::new_id();
        }
        if message.source.is_empty() {
            DEFAULT_SOURCE.clone_into(&mut message.source);
        }
        message.data = data;
        Ok(message)
    }
}

const EMPTY: &str = "must not be empty";
const TWICE: &str = "is given twice";
const BAD_NAME: &str = "is no attribute name: lower-case letters a-z and digits only, and not `data`";

impl Field {
    /// What the message has for it.
    fn value<'m>(&self, message: &'m Message) -> Option<Value<'m>> {
        let text = |text: &'m String| Value::Text(text.into());
        match self {
            Self::Required(get, _) => Some(text(get(message))),
            Self::Core(get, _) | Self::Text(get, _) => {
                get(message).as_ref().filter(|value| !value.is_empty()).map(text)
            }
            Self::Moment(get, _) => get(message).map(|at| Value::Text(format_rfc3339(at).into())),
            Self::Counter(get, _) => get(message).map(Value::counter),
            Self::Time => message.time.as_ref().map(text),
            Self::Priority => Some(Value::Integer(message.priority.into())),
            Self::Attempt => (message.attempt != 0).then(|| Value::counter(message.attempt.into())),
            Self::Reason => message.reason.as_ref().map(|reason| Value::Text(reason.to_string().into())),
        }
    }

    /// Reads it; the error is what is wrong with the value.
    fn set(&self, message: &mut Message, value: Given<'_>) -> Result<(), String> {
        let some = |text: String| (!text.is_empty()).then_some(text);
        match self {
            Self::Required(_, field) => {
                *field(message) = some(value.string()?).ok_or_else(|| EMPTY.to_owned())?;
            }
            Self::Core(_, field) => *field(message) = some(value.string()?),
            Self::Text(_, field) => *field(message) = some(value.into_text().into_owned()),
            Self::Moment(_, field) => *field(message) = Some(value.moment()?),
            Self::Counter(_, field) => *field(message) = Some(value.counter(u64::MAX)?),
            Self::Time => {
                let time = value.string()?;
                if !is_time(&time) {
                    return Err(NO_TIME.to_owned());
                }
                message.time = Some(time);
            }
            Self::Priority => message.priority = u8::try_from(value.counter(9)?).unwrap_or(9),
            Self::Attempt => {
                message.attempt = u32::try_from(value.counter(u32::MAX.into())?).unwrap_or(u32::MAX);
            }
            Self::Reason => message.reason = some(value.into_text().into_owned()).map(|r| Reason::parse(&r)),
        }
        Ok(())
    }
}

fn is_time(text: &str) -> bool {
    OffsetDateTime::parse(text, &Rfc3339).is_ok()
}

/// Whether the name is legal for an attribute in CloudEvents.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// Whether the name is legal and free: neither an attribute with a field of its own nor reserved.
fn is_extension_name(name: &str) -> bool {
    is_name(name) && !matches!(name, "data" | "specversion") && !KNOWN.iter().any(|(known, _)| *known == name)
}
