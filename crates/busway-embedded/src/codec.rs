//! The bytes of a message on disk: a bit for every optional attribute, then the attributes in a
//! fixed order, then the payload to the end. Account and destination come first, so that a start
//! finds out where a message belongs without reading the rest of it.
//!
//! Numbers are little-endian; texts are a LEB128 length and UTF-8.

use std::collections::BTreeMap;

use bytes::Bytes;

use busway_core::reason::Reason;
use busway_core::{AttributeValue, Message};

/// Bytes that are not a message. The caller knows the file and the place.
#[derive(Debug, thiserror::Error)]
#[error("the stored message cannot be read: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

mod bit {
    pub(super) const ACCOUNT: u32 = 1;
    pub(super) const DESTINATION: u32 = 1 << 1;
    pub(super) const SUBJECT: u32 = 1 << 2;
    pub(super) const TIME: u32 = 1 << 3;
    pub(super) const CONTENT_TYPE: u32 = 1 << 4;
    pub(super) const SCHEMA: u32 = 1 << 5;
    pub(super) const PARTITION_KEY: u32 = 1 << 6;
    pub(super) const EXPIRES: u32 = 1 << 7;
    pub(super) const DELIVER_AT: u32 = 1 << 8;
    pub(super) const ATTEMPT: u32 = 1 << 9;
    pub(super) const REASON: u32 = 1 << 10;
    pub(super) const ACCEPTED: u32 = 1 << 11;
    pub(super) const PARKED: u32 = 1 << 12;
    pub(super) const ORIGIN: u32 = 1 << 13;
    pub(super) const PRODUCER: u32 = 1 << 14;
    pub(super) const SEQUENCE: u32 = 1 << 15;
    pub(super) const EXTENSIONS: u32 = 1 << 16;
}

/// Appends the message's bytes.
pub(crate) fn encode(message: &Message, out: &mut Vec<u8>) {
    out.reserve(message.data.len() + 256);
    out.extend_from_slice(&presence(message).to_le_bytes());
    put_optional(out, message.account.as_deref());
    put_optional(out, message.destination.as_deref());
    out.push(message.priority);
    put_text(out, &message.id);
    put_text(out, &message.source);
    put_text(out, &message.r#type);
    let texts = [
        &message.subject,
        &message.time,
        &message.datacontenttype,
        &message.dataschema,
        &message.partitionkey,
        &message.origin,
        &message.producer,
    ];
    for text in texts {
        put_optional(out, text.as_deref());
    }
    if let Some(reason) = &message.reason {
        put_text(out, &reason.to_string());
    }
    let attempt = (message.attempt != 0).then_some(u64::from(message.attempt));
    let numbers =
        [message.expires_at, message.deliver_at, attempt, message.accepted, message.parked, message.sequence];
    for number in numbers.into_iter().flatten() {
        out.extend_from_slice(&number.to_le_bytes());
    }
    if !message.extensions.is_empty() {
        put_extensions(out, &message.extensions);
    }
    out.extend_from_slice(&message.data);
}

/// Reads a message back; the payload is copied, so that it does not keep a larger buffer alive.
pub(crate) fn decode(bytes: &[u8]) -> Result<Message, Malformed> {
    let mut from = Input(bytes);
    let bits = from.u32()?;
    let has = |bit: u32| bits & bit != 0;
    let account = from.optional(has(bit::ACCOUNT))?;
    let destination = from.optional(has(bit::DESTINATION))?;
    let priority = from.u8()?;
    let id = from.text()?.to_owned();
    let source = from.text()?.to_owned();
    let r#type = from.text()?.to_owned();
    let subject = from.optional(has(bit::SUBJECT))?;
    let time = from.optional(has(bit::TIME))?;
    let datacontenttype = from.optional(has(bit::CONTENT_TYPE))?;
    let dataschema = from.optional(has(bit::SCHEMA))?;
    let partitionkey = from.optional(has(bit::PARTITION_KEY))?;
    let origin = from.optional(has(bit::ORIGIN))?;
    let producer = from.optional(has(bit::PRODUCER))?;
    let reason = if has(bit::REASON) { Some(Reason::parse(from.text()?)) } else { None };
    let expires_at = from.number(has(bit::EXPIRES))?;
    let deliver_at = from.number(has(bit::DELIVER_AT))?;
    let attempt = from.number(has(bit::ATTEMPT))?.unwrap_or(0);
    let attempt = u32::try_from(attempt).map_err(|_| Malformed("the attempt is out of range"))?;
    let accepted = from.number(has(bit::ACCEPTED))?;
    let parked = from.number(has(bit::PARKED))?;
    let sequence = from.number(has(bit::SEQUENCE))?;
    let extensions = if has(bit::EXTENSIONS) { from.extensions()? } else { BTreeMap::new() };
    Ok(Message {
        id,
        source,
        r#type,
        subject,
        time,
        datacontenttype,
        dataschema,
        partitionkey,
        expires_at,
        account,
        priority,
        deliver_at,
        destination,
        attempt,
        reason,
        accepted,
        parked,
        origin,
        producer,
        sequence,
        extensions,
        data: Bytes::copy_from_slice(from.0),
    })
}

/// The account and the destination of an encoded message, without reading the rest.
pub(crate) fn decode_party(bytes: &[u8]) -> Result<(Option<&str>, Option<&str>), Malformed> {
    let mut from = Input(bytes);
    let bits = from.u32()?;
    let account = if bits & bit::ACCOUNT != 0 { Some(from.text()?) } else { None };
    let destination = if bits & bit::DESTINATION != 0 { Some(from.text()?) } else { None };
    Ok((account, destination))
}

/// Which of the optional attributes there are.
fn presence(message: &Message) -> u32 {
    let flag = |present: bool, bit: u32| if present { bit } else { 0 };
    flag(message.account.is_some(), bit::ACCOUNT)
        | flag(message.destination.is_some(), bit::DESTINATION)
        | flag(message.subject.is_some(), bit::SUBJECT)
        | flag(message.time.is_some(), bit::TIME)
        | flag(message.datacontenttype.is_some(), bit::CONTENT_TYPE)
        | flag(message.dataschema.is_some(), bit::SCHEMA)
        | flag(message.partitionkey.is_some(), bit::PARTITION_KEY)
        | flag(message.expires_at.is_some(), bit::EXPIRES)
        | flag(message.deliver_at.is_some(), bit::DELIVER_AT)
        | flag(message.attempt != 0, bit::ATTEMPT)
        | flag(message.reason.is_some(), bit::REASON)
        | flag(message.accepted.is_some(), bit::ACCEPTED)
        | flag(message.parked.is_some(), bit::PARKED)
        | flag(message.origin.is_some(), bit::ORIGIN)
        | flag(message.producer.is_some(), bit::PRODUCER)
        | flag(message.sequence.is_some(), bit::SEQUENCE)
        | flag(!message.extensions.is_empty(), bit::EXTENSIONS)
}

fn put_extensions(out: &mut Vec<u8>, extensions: &BTreeMap<String, AttributeValue>) {
    put_length(out, extensions.len());
    for (name, value) in extensions {
        put_text(out, name);
        match value {
            AttributeValue::Boolean(value) => out.extend_from_slice(&[0, u8::from(*value)]),
            AttributeValue::Integer(value) => {
                out.push(1);
                out.extend_from_slice(&value.to_le_bytes());
            }
            AttributeValue::String(text) => {
                out.push(2);
                put_text(out, text);
            }
        }
    }
}

fn put_optional(out: &mut Vec<u8>, text: Option<&str>) {
    if let Some(text) = text {
        put_text(out, text);
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_length(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn put_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

/// Reads from the front of what is left.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn length(&mut self) -> Result<usize, Malformed> {
        let mut length = 0_usize;
        for shift in (0..35).step_by(7) {
            let byte = self.u8()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(length);
            }
        }
        Err(Malformed("a length does not end"))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Malformed("a text is not UTF-8"))
    }

    fn optional(&mut self, present: bool) -> Result<Option<String>, Malformed> {
        if present { Ok(Some(self.text()?.to_owned())) } else { Ok(None) }
    }

    fn number(&mut self, present: bool) -> Result<Option<u64>, Malformed> {
        if present { Ok(Some(self.u64()?)) } else { Ok(None) }
    }

    fn extensions(&mut self) -> Result<BTreeMap<String, AttributeValue>, Malformed> {
        let mut extensions = BTreeMap::new();
        for _ in 0..self.length()? {
            let name = self.text()?.to_owned();
            let value = match self.u8()? {
                0 => AttributeValue::Boolean(self.u8()? != 0),
                1 => AttributeValue::Integer(i32::from_le_bytes(self.array()?)),
                2 => AttributeValue::String(self.text()?.to_owned()),
                _ => return Err(Malformed("an extension has an unknown type")),
            };
            extensions.insert(name, value);
        }
        Ok(extensions)
    }
}

/// Appends a text in the form that [`Input::text`] reads.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    put_text(out, text);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![Just(String::new()), any::<String>(), "[a-z]{100,200}"]
    }

    fn value() -> impl Strategy<Value = AttributeValue> {
        prop_oneof![
            any::<bool>().prop_map(AttributeValue::Boolean),
            any::<i32>().prop_map(AttributeValue::Integer),
            text().prop_map(AttributeValue::String),
        ]
    }

    prop_compose! {
        fn texts()(texts in prop::collection::vec(prop::option::of(text()), 10)) -> Vec<Option<String>> { texts }
    }

    prop_compose! {
        fn message()(
            id in text(), r#type in text(), texts in texts(), priority in 0_u8..10, attempt in any::<u32>(),
            numbers in prop::collection::vec(prop::option::of(any::<u64>()), 5),
            extensions in prop::collection::btree_map(text(), value(), 0..4),
            data in prop::collection::vec(any::<u8>(), 0..600),
        ) -> Message {
            let mut texts = texts.into_iter();
            let mut text = || texts.next().flatten();
            let mut message = Message::new(r#type, data);
            message.id = id;
            message.subject = text();
            message.time = text();
            message.datacontenttype = text();
            message.dataschema = text();
            message.partitionkey = text();
            message.account = text();
            message.destination = text();
            message.origin = text();
            message.producer = text();
            message.reason = text().map(|text| Reason::parse(&text));
            message.expires_at = numbers[0];
            message.deliver_at = numbers[1];
            message.accepted = numbers[2];
            message.parked = numbers[3];
            message.sequence = numbers[4];
            message.priority = priority;
            message.attempt = attempt;
            message.extensions = extensions;
            message
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back(message in message()) {
            let mut bytes = Vec::new();
            encode(&message, &mut bytes);
            prop_assert_eq!(decode_party(&bytes).unwrap(),
                (message.account.as_deref(), message.destination.as_deref()));
            prop_assert_eq!(decode(&bytes).unwrap(), message);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _outcome = decode(&bytes).is_ok();
            let _outcome = decode_party(&bytes).is_ok();
        }
    }
}
