//! What is checked before a publication is taken.

use std::time::Duration;

use busway_core::capability::{DepthPrecision, HeaderRule};
use busway_core::error::{Error, ErrorClass, ErrorKind, Result};
use busway_core::{AttributeValue, Capabilities, Message, Publication, Support};

/// What the memory transport can do unless its storage is made with something else: everything.
#[must_use]
pub fn capabilities() -> Capabilities {
    Capabilities {
        order: Support::Native,
        groups: Support::Native,
        delay: Support::Native,
        delay_cap: None,
        priority: Support::Native,
        selectors: Support::Native,
        transactions: Support::Native,
        lease: Some(Duration::from_secs(30)),
        lease_cap: None,
        delivery_count: Support::Native,
        publish_batch: 500,
        receive_batch: 500,
        settle_batch: 500,
        max_message_bytes: 1 << 20,
        headers: HeaderRule::Any,
        depth: DepthPrecision::Exact,
    }
}

/// Why each entry of a batch is refused before anything is stored; `None` where its size is right.
pub(super) fn refuse_sizes(batch: &[Publication], limits: &Capabilities) -> Option<Vec<Result<()>>> {
    let too_large = |publication: &Publication| size(&publication.message) > limits.max_message_bytes;
    let first = batch.iter().position(too_large)?;
    let refuse = |publication: &Publication| {
        let error = if too_large(publication) {
            let bytes = size(&publication.message);
            let text = format!("{bytes} bytes with attributes, {} are the limit", limits.max_message_bytes);
            Error::new("publish", ErrorKind::TooLarge, text)
        } else {
            let text = format!("entry {first} of its batch is too large; nothing of the batch was stored");
            Error::new("publish", ErrorKind::TooLarge, text).class_of(ErrorClass::Retry)
        };
        Err(error.at(&publication.queue))
    };
    Some(batch.iter().map(refuse).collect())
}

/// Whether this publication can be carried as it is meant.
///
/// # Errors
/// `InvalidHeader` for control characters where they are refused; `Unsupported` where it needs
/// what the capabilities refuse.
pub(super) fn check(publication: &Publication, limits: &Capabilities) -> Result<()> {
    let missing = |what: &str| {
        let text = format!("{what} is not supported here");
        Err(Error::new("publish", ErrorKind::Unsupported, text).at(&publication.queue))
    };
    if publication.group.is_some() && !limits.groups.available() {
        return missing("a group");
    }
    if publication.message.deliver_at.is_some() && !limits.delay.available() {
        return missing("a delay");
    }
    if limits.headers == HeaderRule::NoControl
        && let Some(name) = control_character(&publication.message)
    {
        let text = format!("attribute {name:?} has a control character");
        return Err(Error::new("publish", ErrorKind::InvalidHeader, text).at(&publication.queue));
    }
    Ok(())
}

/// Payload and attributes, in bytes.
pub(super) fn size(message: &Message) -> usize {
    let texts = texts(message).map(|(name, value)| name.len() + value.len()).sum::<usize>();
    message.data.len() + texts
}

fn control_character(message: &Message) -> Option<&str> {
    let bad = |text: &str| text.chars().any(|c| c.is_control() && c != '\t');
    texts(message).find(|(name, value)| bad(name) || bad(value)).map(|(name, _)| name)
}

/// Names and values of all attributes; numbers count as no text.
fn texts(message: &Message) -> impl Iterator<Item = (&str, &str)> {
    let optional = [
        ("subject", &message.subject),
        ("time", &message.time),
        ("datacontenttype", &message.datacontenttype),
        ("dataschema", &message.dataschema),
        ("partitionkey", &message.partitionkey),
        ("account", &message.account),
        ("bwdestination", &message.destination),
        ("bworigin", &message.origin),
        ("bwproducer", &message.producer),
    ];
    let always = [("id", &message.id), ("source", &message.source), ("type", &message.r#type)];
    let extensions = message.extensions.iter().map(|(name, value)| match value {
        AttributeValue::String(text) => (name.as_str(), text.as_str()),
        AttributeValue::Boolean(_) | AttributeValue::Integer(_) => (name.as_str(), ""),
    });
    let optional = optional.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
    always.into_iter().map(|(name, value)| (name, value.as_str())).chain(optional).chain(extensions)
}
