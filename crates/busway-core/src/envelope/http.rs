//! Binary mode over HTTP: attributes as `ce-` headers, data as the body.

use std::borrow::Cow;
use std::fmt;

use bytes::{Bytes, BytesMut};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};

use super::DecodeError;
use super::attributes::{Builder, DATA_CONTENT_TYPE, Given, KNOWN_COUNT, KNOWN_HEADERS, SPEC_VERSION, each};
use crate::message::Message;

/// What is percent-encoded beside everything that is not ASCII (3.1.3.2).
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// How many names [`NAMES`] has.
const NAME_COUNT: usize = 2 + KNOWN_COUNT;
/// Place of the first attribute in [`NAMES`].
const ATTRIBUTES: usize = 2;
/// About how many bytes the values of a message's headers have.
const VALUE_BYTES: usize = 384;

/// The names that headers of a message may have, in lower case: all but those of extensions.
pub const NAMES: [&str; NAME_COUNT] = {
    let mut names = ["content-type"; NAME_COUNT];
    names[1] = "ce-specversion";
    let mut place = 0;
    while place < KNOWN_COUNT {
        names[ATTRIBUTES + place] = KNOWN_HEADERS[place];
        place += 1;
    }
    names
};

/// The name of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'m> {
    /// The one at this place of [`NAMES`].
    Known(usize),
    /// `ce-` and this, the name of an extension.
    Extension(&'m str),
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(place) => f.write_str(NAMES.get(*place).copied().unwrap_or_default()),
            Self::Extension(name) => write!(f, "ce-{name}"),
        }
    }
}

/// The headers of a message, names in lower case: `content-type` and a `ce-` header for each
/// attribute, values percent-encoded as the HTTP binding of CloudEvents 1.0.2 says (3.1.3.2).
///
/// A message without data and without a content type has no `content-type`. A content type that no
/// header could hold stands percent-encoded in `ce-datacontenttype`, which [`decode`] prefers.
#[must_use]
pub fn encode(message: &Message) -> Vec<(String, String)> {
    let text = |value: Bytes| String::from_utf8_lossy(&value).into_owned();
    headers(message).into_iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// What [`encode`] gives, for those who send many: names by their place, and values that share one
/// buffer.
#[must_use]
pub fn headers(message: &Message) -> Vec<(Name<'_>, Bytes)> {
    let mut headers = Vec::with_capacity(14 + message.extensions.len());
    let mut values = BytesMut::with_capacity(VALUE_BYTES);
    let given = message.datacontenttype.as_deref().filter(|given| !given.is_empty());
    let legal = is_field_value(message.content_type_or_default());
    if given.is_some() || !message.data.is_empty() {
        let content_type = if legal { message.content_type_or_default() } else { "application/octet-stream" };
        values.extend_from_slice(content_type.as_bytes());
        headers.push((Name::Known(0), values.split().freeze()));
    }
    headers.push((Name::Known(1), Bytes::from_static(SPEC_VERSION.as_bytes())));
    each(message, |place, name, value| {
        if name != DATA_CONTENT_TYPE || !legal {
            for piece in utf8_percent_encode(&value.into_text(), ESCAPED) {
                values.extend_from_slice(piece.as_bytes());
            }
            let name = place.map_or(Name::Extension(name), |place| Name::Known(ATTRIBUTES + place));
            headers.push((name, values.split().freeze()));
        }
    });
    headers
}

/// Whether these headers are those of a binary-mode event: `ce-specversion` or `ce-type` is there.
pub fn is_binary<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
    names.any(|name| name.eq_ignore_ascii_case("ce-specversion") || name.eq_ignore_ascii_case("ce-type"))
}

/// Reads a binary-mode event. Headers other than `content-type` and `ce-…` are ignored; `id`,
/// `source` and `specversion` may be left out.
///
/// # Errors
/// The attribute that is missing or wrong.
pub fn decode<'a>(
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    data: Bytes,
) -> Result<Message, DecodeError> {
    let mut builder = Builder::new();
    let mut content_type = None;
    for (name, value) in headers {
        let value = value.trim_ascii();
        if name.eq_ignore_ascii_case("content-type") {
            let text = std::str::from_utf8(value)
                .map_err(|_| DecodeError::attribute(DATA_CONTENT_TYPE, NOT_UTF8))?;
            if content_type.replace(text).is_some() {
                return Err(DecodeError::attribute(DATA_CONTENT_TYPE, "content-type is given twice"));
            }
        } else if let Some(attribute) = attribute_name(name) {
            let text = unescape(value).ok_or_else(|| DecodeError::attribute(&attribute, NOT_UTF8))?;
            builder.set(&attribute, Given::Text(text))?;
        }
    }
    if let Some(text) = content_type.filter(|_| !builder.has_content_type()) {
        builder.set(DATA_CONTENT_TYPE, Given::Text(text.into()))?;
    }
    builder.finish(data)
}

const NOT_UTF8: &str = "is not UTF-8";

/// The attribute a `ce-` header is for, in lower case as header names have no case.
fn attribute_name(header: &str) -> Option<Cow<'_, str>> {
    let (prefix, name) = header.split_at_checked(3)?;
    if !prefix.eq_ignore_ascii_case("ce-") {
        return None;
    }
    let lower = !name.bytes().any(|b| b.is_ascii_uppercase());
    Some(if lower { name.into() } else { name.to_ascii_lowercase().into() })
}

/// The value without the quotes and backslashes of a quoted string, percent-decoded once. `None`
/// where that is not UTF-8.
fn unescape(value: &[u8]) -> Option<Cow<'_, str>> {
    let plain = match value {
        [b'"', inner @ .., b'"'] => unquote(inner),
        _ => value.into(),
    };
    if !plain.contains(&b'%') {
        return match plain {
            Cow::Borrowed(plain) => std::str::from_utf8(plain).ok().map(Cow::Borrowed),
            Cow::Owned(plain) => String::from_utf8(plain).ok().map(Cow::Owned),
        };
    }
    percent_decode(&plain).decode_utf8().ok().map(|text| text.into_owned().into())
}

/// The inside of a quoted string of RFC 7230 with its backslash escapes resolved.
fn unquote(inner: &[u8]) -> Cow<'_, [u8]> {
    if !inner.contains(&b'\\') {
        return inner.into();
    }
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        let escaped = if byte == b'\\' { bytes.next() } else { None };
        plain.push(escaped.copied().unwrap_or(byte));
    }
    plain.into()
}

/// Whether the text can be a header's value as it stands and comes back the same.
fn is_field_value(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' '..=b'~')) && text.trim_ascii().len() == text.len()
}
