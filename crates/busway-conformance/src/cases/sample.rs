//! Messages to test with, and whether two are the same.

use busway_core::clock::now_ms;
use busway_core::transport::Group;
use busway_core::{AttributeValue, Message, Name, Publication, Queue, Reason};

use crate::suite::{Failure, Outcomes};

/// A further queue.
pub(super) fn named(name: &str) -> Outcomes<Queue> {
    Ok(Queue::Named(Name::new(name).map_err(Failure::from)?))
}

/// Small messages with the ids `0000`, `0001`, …
pub(super) fn numbered(count: usize) -> Vec<Message> {
    (0..count).map(numbered_one).collect()
}

/// The message with this number.
pub(super) fn numbered_one(index: usize) -> Message {
    message(&format!("{index:04}"))
}

/// A small message with this id.
pub(super) fn message(id: &str) -> Message {
    Message::new("conformance.tried", format!("{{\"id\":\"{id}\"}}")).id(id)
}

/// The ids of [`numbered`], in order.
pub(super) fn ids(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("{index:04}")).collect()
}

/// A publication within a group.
pub(super) fn grouped(queue: &Queue, message: Message, key: u64) -> Publication {
    let group = Some(Group { key, position: None });
    Publication { group, ..Publication::new(queue.clone(), message) }
}

/// A message that has every attribute set, differing by `index`.
pub(super) fn rich(index: usize) -> Message {
    let text = |name: &str| Some(format!("{name}-{index}"));
    let now = now_ms();
    let extensions = [
        (
            "traceparent",
            AttributeValue::String("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        ),
        ("weight", AttributeValue::Integer(i32::try_from(index).unwrap_or(0) - 50)),
        ("sampled", AttributeValue::Boolean(index.is_multiple_of(2))),
        ("note", AttributeValue::String(format!("Ünïcödé 🚀 \"{index}\""))),
    ];
    Message {
        source: format!("/conformance/{index}"),
        r#type: format!("item.kind{}", index % 7),
        subject: text("subject"),
        time: Some("2024-02-29T23:59:59.123456+02:00".to_owned()),
        datacontenttype: Some("application/vnd.item+json; charset=utf-8".to_owned()),
        dataschema: Some(format!("https://example.com/schema/{index}?v=1#top")),
        partitionkey: text("key"),
        expires_at: Some(now + 24 * 3_600_000),
        account: text("account"),
        priority: u8::try_from(index % 10).unwrap_or(0),
        destination: text("endpoint"),
        attempt: u32::try_from(index).unwrap_or(0),
        reason: Some(if index.is_multiple_of(2) { Reason::error("timeout") } else { Reason::Share }),
        accepted: Some(now - 5_000),
        parked: Some(now - 1_000),
        origin: text("local/priority"),
        producer: text("producer"),
        sequence: Some(index as u64),
        extensions: extensions.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        ..Message::new("", format!("{{\"index\": {index}, \"text\": \"ä\"}}")).id(format!("id-{index}"))
    }
}

/// Fails with the first attribute that differs.
pub(super) fn same(sent: &Message, got: &Message) -> Outcomes {
    let pairs = plain(sent).into_iter().zip(plain(got));
    for ((name, sent_value), (_, got_value)) in pairs {
        if sent_value != got_value {
            return Err(Failure::new(format!(
                "{name} of {} was sent as {sent_value}, came as {got_value}",
                sent.id
            )));
        }
    }
    if sent.data != got.data {
        let at = sent.data.iter().zip(&got.data).position(|(a, b)| a != b);
        let (sent_len, got_len) = (sent.data.len(), got.data.len());
        return Err(Failure::new(format!(
            "the data of {} differ: {sent_len} bytes sent, {got_len} came, first difference at {at:?}",
            sent.id
        )));
    }
    Ok(())
}

/// Attributes as text; an extension's type may be lost on a wire, its text may not.
fn plain(message: &Message) -> Vec<(&'static str, String)> {
    let Message { id, source, r#type, subject, time, datacontenttype, dataschema, partitionkey, .. } =
        message;
    let Message { expires_at, account, priority, deliver_at, destination, attempt, reason, .. } = message;
    let Message { accepted, parked, origin, producer, sequence, extensions, .. } = message;
    let canonical = |value: &AttributeValue| match value {
        AttributeValue::Boolean(value) => value.to_string(),
        AttributeValue::Integer(value) => value.to_string(),
        AttributeValue::String(value) => value.clone(),
    };
    let extensions: Vec<_> = extensions.iter().map(|(name, value)| (name, canonical(value))).collect();
    vec![
        ("id", format!("{id:?}")),
        ("source", format!("{source:?}")),
        ("type", format!("{type:?}", r#type = r#type)),
        ("subject", format!("{subject:?}")),
        ("time", format!("{time:?}")),
        ("datacontenttype", format!("{datacontenttype:?}")),
        ("dataschema", format!("{dataschema:?}")),
        ("partitionkey", format!("{partitionkey:?}")),
        ("expirytime", format!("{expires_at:?}")),
        ("account", format!("{account:?}")),
        ("bwpriority", format!("{priority:?}")),
        ("bwdeliverat", format!("{deliver_at:?}")),
        ("bwdestination", format!("{destination:?}")),
        ("bwattempt", format!("{attempt:?}")),
        ("bwreason", format!("{reason:?}")),
        ("bwaccepted", format!("{accepted:?}")),
        ("bwparked", format!("{parked:?}")),
        ("bworigin", format!("{origin:?}")),
        ("bwproducer", format!("{producer:?}")),
        ("bwsequence", format!("{sequence:?}")),
        ("extensions", format!("{extensions:?}")),
    ]
}
