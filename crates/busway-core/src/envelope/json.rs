//! Structured mode: one event as a JSON object with `data` as the very text, a batch as an array
//! of them, JSON lines as one a line.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::DecodeError;
use super::attributes::{Builder, Given, Value, each};
use crate::message::Message;

/// The event as one JSON object in one line, without a newline. `data` holds the payload's very
/// text where the content type is JSON and the payload is JSON, a string where the payload is
/// other text (`text/*` or with a `charset`) in UTF-8, and is `data_base64` for anything else.
///
/// White space around JSON is left out, and line breaks between its tokens become spaces.
#[must_use]
pub fn encode(message: &Message) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + message.data.len());
    write_event(&mut out, message);
    out
}

/// A batch as a JSON array.
#[must_use]
pub fn encode_batch(batch: &[Message]) -> Vec<u8> {
    let data: usize = batch.iter().map(|message| 512 + message.data.len()).sum();
    let mut out = Vec::with_capacity(2 + data);
    out.push(b'[');
    for (index, message) in batch.iter().enumerate() {
        if index != 0 {
            out.push(b',');
        }
        write_event(&mut out, message);
    }
    out.push(b']');
    out
}

/// Reads one event. `specversion`, `id` and `source` may be left out.
///
/// # Errors
/// Where and why it is not an event.
pub fn decode(text: &[u8]) -> Result<Message, DecodeError> {
    serde_json::from_slice::<Members<'_>>(text).map_err(|e| not_json(&e))?.into_message()
}

/// Reads a batch of at most `max` events; one bad event refuses the whole of it.
///
/// # Errors
/// The index of the first bad event and its reason.
pub fn decode_batch(text: &[u8], max: usize) -> Result<Vec<Message>, DecodeError> {
    let mut failed = None;
    let mut json = serde_json::Deserializer::from_slice(text);
    let batch = Batch { max, failed: &mut failed }.deserialize(&mut json);
    match (batch.and_then(|batch| json.end().map(|()| batch)), failed) {
        (_, Some(error)) => Err(error),
        (Ok(batch), None) => Ok(batch),
        (Err(e), None) if e.is_data() => Err(DecodeError::new("a batch must be a JSON array")),
        (Err(e), None) => Err(not_json(&e)),
    }
}

fn write_event(out: &mut Vec<u8>, message: &Message) {
    out.extend_from_slice(br#"{"specversion":"1.0""#);
    each(message, |_, name, value| {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        match value {
            Value::Text(text) => write_string(out, &text),
            value => out.extend_from_slice(value.into_text().as_bytes()),
        }
    });
    write_data(out, message);
    out.push(b'}');
}

fn write_data(out: &mut Vec<u8>, message: &Message) {
    if message.data.is_empty() {
        return;
    }
    let content_type = message.content_type_or_default();
    if is_json(content_type) {
        if let Ok(raw) = serde_json::from_slice::<&RawValue>(&message.data) {
            out.extend_from_slice(b",\"data\":");
            let space = |&b: &u8| if b == b'\n' || b == b'\r' { b' ' } else { b };
            out.extend(raw.get().as_bytes().iter().map(space));
            return;
        }
    } else if is_utf8_text(content_type)
        && let Ok(text) = std::str::from_utf8(&message.data)
    {
        out.extend_from_slice(b",\"data\":");
        write_string(out, text);
        return;
    }
    out.extend_from_slice(b",\"data_base64\":\"");
    out.extend_from_slice(STANDARD.encode(&message.data).as_bytes());
    out.push(b'"');
}

/// Writes a JSON string with its quotes.
fn write_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|b| matches!(b, 0..=0x1f | b'"' | b'\\')) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            byte => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Whether the media type declares JSON, whatever its parameters.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let suffix = essence.len().checked_sub(5).and_then(|at| essence.get(at..));
    essence.eq_ignore_ascii_case("application/json")
        || essence.eq_ignore_ascii_case("text/json")
        || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json"))
}

/// Media types besides `text/*` and `+xml` that are text, in UTF-8 where they name no `charset`.
const TEXTS: [&str; 10] = [
    "application/xml",
    "application/x-www-form-urlencoded",
    "application/x-ndjson",
    "application/jsonl",
    "application/yaml",
    "application/x-yaml",
    "application/toml",
    "application/javascript",
    "application/graphql",
    "application/sql",
];

/// Whether the media type declares text whose characters are those of UTF-8: a text without a
/// `charset`, or anything whose `charset` is UTF-8 or its subset US-ASCII.
fn is_utf8_text(content_type: &str) -> bool {
    let mut parts = content_type.split(';');
    let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let charset = parts.filter_map(|part| part.split_once('=')).find_map(|(name, value)| {
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    match charset {
        Some(charset) => {
            ["utf-8", "utf8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known))
        }
        None => essence.starts_with("text/") || essence.ends_with("+xml") || TEXTS.contains(&&*essence),
    }
}

/// The members of an event as they stand, borrowed from the text.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    fn into_message(self) -> Result<Message, DecodeError> {
        let mut builder = Builder::new();
        let (mut data, mut base64) = (None, None);
        for (name, value) in self.0 {
            let slot = match &*name {
                "data" => &mut data,
                "data_base64" => &mut base64,
                _ => {
                    if let Some(given) = given(&name, value)? {
                        builder.set(&name, given)?;
                    }
                    continue;
                }
            };
            if slot.replace(value.get()).is_some() {
                return Err(DecodeError::attribute(&name, "is given twice"));
            }
        }
        let data = match (data, base64.filter(|text| *text != "null")) {
            (Some(_), Some(_)) => {
                return Err(DecodeError::attribute(
                    "data_base64",
                    "stands beside data: only one of them may",
                ));
            }
            (Some(text), None) => plain_data(text, builder.content_type())?,
            (None, Some(text)) => binary_data(text)?,
            (None, None) => Bytes::new(),
        };
        builder.finish(data)
    }
}

/// The value of an attribute, or `None` for null, which is the same as not given.
fn given<'a>(name: &str, value: &'a RawValue) -> Result<Option<Given<'a>>, DecodeError> {
    let text = value.get();
    Ok(Some(match text.as_bytes().first() {
        Some(b'n') => return Ok(None),
        Some(b't') => Given::Boolean(true),
        Some(b'f') => Given::Boolean(false),
        Some(b'"') => Given::Text(string(text).map_err(|reason| DecodeError::attribute(name, reason))?),
        Some(b'{' | b'[') => {
            return Err(DecodeError::attribute(name, "must be a string, an integer or a boolean"));
        }
        _ if text.contains(['.', 'e', 'E']) => {
            return Err(DecodeError::attribute(name, "a number must be an integer"));
        }
        _ => Given::Integer(text),
    }))
}

/// The characters of a JSON string.
fn string(text: &str) -> Result<Cow<'_, str>, &'static str> {
    match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Ok(plain.into()),
        _ => serde_json::from_str::<String>(text)
            .map(Cow::Owned)
            .map_err(|_| "must be a string of whole Unicode characters"),
    }
}

/// The payload of `data`: the text that stands there, or the characters of a string of a type that
/// is not JSON.
fn plain_data(text: &str, content_type: &str) -> Result<Bytes, DecodeError> {
    if is_json(content_type) {
        return Ok(Bytes::copy_from_slice(text.as_bytes()));
    }
    match text.as_bytes().first() {
        Some(b'"') => string(text)
            .map(|text| Bytes::from(text.into_owned()))
            .map_err(|reason| DecodeError::attribute("data", reason)),
        Some(b'n') => Ok(Bytes::new()),
        _ => Ok(Bytes::copy_from_slice(text.as_bytes())),
    }
}

fn binary_data(text: &str) -> Result<Bytes, DecodeError> {
    let wrong = || DecodeError::attribute("data_base64", "must be a string of base64");
    let text = Some(text).filter(|text| text.starts_with('"')).ok_or_else(wrong)?;
    let text = string(text).map_err(|_| wrong())?;
    STANDARD.decode(text.as_bytes()).map(Bytes::from).map_err(|_| wrong())
}

/// The parser's words, unless they could repeat a value.
fn not_json(error: &serde_json::Error) -> DecodeError {
    if error.is_data() {
        return DecodeError::new("an event must be a JSON object");
    }
    DecodeError::new(format!("not JSON: {error}"))
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some(Key(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        json.deserialize_map(Object)
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads an array of events up to the first bad one, which it puts into `failed`.
struct Batch<'f> {
    max: usize,
    failed: &'f mut Option<DecodeError>,
}

impl<'de> DeserializeSeed<'de> for Batch<'_> {
    type Value = Vec<Message>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Batch<'_> {
    type Value = Vec<Message>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut events: A) -> Result<Self::Value, A::Error> {
        let mut batch = Vec::new();
        loop {
            let event = match events.next_element::<&RawValue>() {
                Ok(Some(event)) => event.get(),
                Ok(None) => return Ok(batch),
                Err(e) => {
                    *self.failed = Some(DecodeError::new(format!("not JSON: {e}")).at(batch.len()));
                    return Err(e);
                }
            };
            let message = if batch.len() == self.max {
                Err(DecodeError::new(format!("more than {} events in a batch", self.max)))
            } else {
                decode(event.as_bytes()).map_err(|e| e.at(batch.len()))
            };
            match message {
                Ok(message) => batch.push(message),
                Err(error) => {
                    *self.failed = Some(error);
                    return Err(A::Error::custom("a bad event"));
                }
            }
        }
    }
}
