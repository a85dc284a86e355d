//! A message: a CloudEvents 1.0.2 event with busway's own attributes.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;

use crate::clock::Millis;
use crate::error::{Error, ErrorKind, Result};
use crate::reason::Reason;

/// The priority of a message that names none.
pub const DEFAULT_PRIORITY: u8 = 4;

/// The content type of a message that names none.
pub const DEFAULT_CONTENT_TYPE: &str = "application/json";

/// How often a message's dead letter was replayed, an extension of busway's own; absent for never.
pub const REPLAYS: &str = "bwreplays";

/// The `source` of a message made here without one.
pub const DEFAULT_SOURCE: &str = "busway";

/// The value of an extension attribute (CloudEvents 1.0.2, section "Type System"; the further
/// types of that section travel as their text).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// `true` or `false`.
    Boolean(bool),
    /// A signed 32-bit integer.
    Integer(i32),
    /// Text; URIs, timestamps and base64 of binary values are text too.
    String(String),
}

/// One CloudEvents event with its data. Data are the payload's own bytes, never wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `id`; with `source` it identifies the event. UUIDv7 unless given.
    pub id: String,
    /// `source`.
    pub source: String,
    /// `type`, such as `item.updated`.
    pub r#type: String,
    /// `subject`.
    pub subject: Option<String>,
    /// `time`, an RFC 3339 timestamp kept as the text it came as.
    pub time: Option<String>,
    /// `datacontenttype`; `None` reads as `application/json`.
    pub datacontenttype: Option<String>,
    /// `dataschema`.
    pub dataschema: Option<String>,
    /// `partitionkey`: messages with the same key keep their order where an endpoint asks for it.
    pub partitionkey: Option<String>,
    /// `expirytime`: not to be delivered after this moment.
    pub expires_at: Option<Millis>,
    /// `account`: the tenant that fairness counts by.
    pub account: Option<String>,
    /// `bwpriority`, 0 to 9.
    pub priority: u8,
    /// `bwdeliverat`: not to be delivered before this moment.
    pub deliver_at: Option<Millis>,
    /// `bwdestination`: to be delivered to this endpoint alone.
    pub destination: Option<String>,
    /// `bwattempt`: deliveries tried so far for that destination.
    pub attempt: u32,
    /// `bwreason`: why it was diverted, retried or killed.
    pub reason: Option<Reason>,
    /// `bwaccepted`: when the bus first took it.
    pub accepted: Option<Millis>,
    /// `bwparked`: when it was parked.
    pub parked: Option<Millis>,
    /// `bworigin`: `transport/queue` where it was first accepted.
    pub origin: Option<String>,
    /// `bwproducer`: the producer's identity.
    pub producer: Option<String>,
    /// `bwsequence`: the producer's counter.
    pub sequence: Option<u64>,
    /// All further extension attributes, foreign ones and `traceparent` included.
    pub extensions: BTreeMap<String, AttributeValue>,
    /// The payload.
    pub data: Bytes,
}

impl Message {
    /// A message of `type` with these bytes as its payload, a new UUIDv7 as its id and the
    /// content type `application/json`.
    #[must_use]
    pub fn new(r#type: impl Into<String>, data: impl Into<Bytes>) -> Self {
        Self {
            id: Self::new_id(),
            source: DEFAULT_SOURCE.to_owned(),
            ..Self::blank(r#type.into(), data.into())
        }
    }

    /// A new id, a UUIDv7.
    pub(crate) fn new_id() -> String {
        uuid::Uuid::now_v7().to_string()
    }

    /// A message whose `id` and `source` are still to be set.
    pub(crate) fn blank(r#type: String, data: Bytes) -> Self {
        Self {
            id: String::new(),
            source: String::new(),
            r#type,
            subject: None,
            time: None,
            datacontenttype: None,
            dataschema: None,
            partitionkey: None,
            expires_at: None,
            account: None,
            priority: DEFAULT_PRIORITY,
            deliver_at: None,
            destination: None,
            attempt: 0,
            reason: None,
            accepted: None,
            parked: None,
            origin: None,
            producer: None,
            sequence: None,
            extensions: BTreeMap::new(),
            data,
        }
    }

    /// A message whose payload is `value` as JSON.
    ///
    /// # Errors
    /// `Malformed` where the value has no JSON form.
    pub fn json<T: Serialize + ?Sized>(r#type: impl Into<String>, value: &T) -> Result<Self> {
        let data = serde_json::to_vec(value).map_err(|e| {
            Error::new("encode", ErrorKind::Malformed, "the value has no JSON form").caused_by(e)
        })?;
        Ok(Self::new(r#type, data))
    }

    /// Sets the id.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// Sets the source.
    #[must_use]
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = source.into();
        self
    }

    /// Sets the account.
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Sets the subject.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Sets the key that order is kept by.
    #[must_use]
    pub fn partition_key(mut self, key: impl Into<String>) -> Self {
        self.partitionkey = Some(key.into());
        self
    }

    /// Sets the priority; values over 9 become 9.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = priority.min(9);
        self
    }

    /// Sets the payload's media type.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.datacontenttype = Some(content_type.into());
        self
    }

    /// Not to be delivered before this moment (milliseconds since the epoch).
    #[must_use]
    pub fn deliver_at(mut self, at: Millis) -> Self {
        self.deliver_at = Some(at);
        self
    }

    /// Not to be delivered after this moment (milliseconds since the epoch).
    #[must_use]
    pub fn expires_at(mut self, at: Millis) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// How often its dead letter was replayed.
    #[must_use]
    pub fn replays(&self) -> u32 {
        match self.extensions.get(REPLAYS) {
            Some(AttributeValue::Integer(count)) => u32::try_from(*count).unwrap_or_default(),
            Some(AttributeValue::String(text)) => text.parse().unwrap_or_default(),
            _ => 0,
        }
    }

    /// Sets how often its dead letter was replayed.
    pub fn set_replays(&mut self, count: u32) {
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        match count {
            0 => self.extensions.remove(REPLAYS),
            count => self.extensions.insert(REPLAYS.to_owned(), AttributeValue::Integer(count)),
        };
    }

    /// The account that fairness counts it by: its own, or `-` without one.
    #[must_use]
    pub fn account_or_dash(&self) -> &str {
        self.account.as_deref().unwrap_or("-")
    }

    /// The payload's media type, `application/json` where none is given.
    #[must_use]
    pub fn content_type_or_default(&self) -> &str {
        self.datacontenttype.as_deref().unwrap_or(DEFAULT_CONTENT_TYPE)
    }

    /// Memory the message takes while it is held, in bytes: payload, attributes and a fixed part.
    /// Byte credit counts by this.
    #[must_use]
    pub fn weight(&self) -> usize {
        let optional = [
            &self.subject,
            &self.time,
            &self.datacontenttype,
            &self.dataschema,
            &self.partitionkey,
            &self.account,
            &self.destination,
            &self.origin,
            &self.producer,
        ];
        let text: usize = optional.iter().filter_map(|o| o.as_ref()).map(String::len).sum();
        let extensions: usize = self
            .extensions
            .iter()
            .map(|(name, value)| {
                64 + name.len() + if let AttributeValue::String(text) = value { text.len() } else { 8 }
            })
            .sum();
        size_of::<Self>()
            + self.id.len()
            + self.source.len()
            + self.r#type.len()
            + text
            + extensions
            + self.data.len()
    }
}
