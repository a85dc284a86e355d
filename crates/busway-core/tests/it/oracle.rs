//! The CloudEvents SDK reads what is written here, and the other way round.
//!
//! The SDK knows media types in lower case alone, absolute schema URLs and numbers that fit in a
//! double; the messages here keep to that.

use busway_core::clock::parse_rfc3339;
use busway_core::envelope::json;
use busway_core::{AttributeValue, Message};
use cloudevents::event::ExtensionValue;
use cloudevents::{AttributesReader, Data, Event, EventBuilder, EventBuilderV10};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::strategy;

const TYPES: [Option<&str>; 5] =
    [None, Some("application/json"), Some("a/b+json"), Some("text/plain"), Some("application/octet-stream")];

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(|number| json!([number, true])),
        strategy::text().prop_map(|text| json!({ "b": text, "a": [text] })),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let data = prop_oneof![
        value().prop_map(|value| value.to_string().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..40),
    ];
    (strategy::message(), proptest::sample::select(&TYPES[..]), data).prop_map(
        |(mut message, given, data)| {
            message.datacontenttype = given.map(str::to_owned);
            message.dataschema = message.dataschema.map(|_| "https://example.com/schema.json".to_owned());
            message.data = data.into();
            message
        },
    )
}

fn is_json(content_type: Option<&str>) -> bool {
    content_type.is_none_or(|text| text == "application/json" || text.ends_with("+json"))
}

/// What the SDK should have understood the payload as.
fn expected_data(message: &Message) -> Option<Data> {
    let bytes = message.data.to_vec();
    if bytes.is_empty() {
        return None;
    }
    if is_json(message.datacontenttype.as_deref()) {
        return Some(serde_json::from_slice(&bytes).map_or(Data::Binary(bytes), Data::Json));
    }
    if message.datacontenttype.as_deref() == Some("text/plain") {
        return Some(String::from_utf8(bytes).map_or_else(|e| Data::Binary(e.into_bytes()), Data::String));
    }
    Some(Data::Binary(bytes))
}

fn same_extension(ours: &AttributeValue, theirs: Option<&ExtensionValue>) -> bool {
    match (ours, theirs) {
        (AttributeValue::Boolean(ours), Some(ExtensionValue::Boolean(theirs))) => ours == theirs,
        (AttributeValue::Integer(ours), Some(ExtensionValue::Integer(theirs))) => i64::from(*ours) == *theirs,
        (AttributeValue::String(ours), Some(ExtensionValue::String(theirs))) => ours == theirs,
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_sdk_reads_what_is_written_here(message in message()) {
        let event: Event = serde_json::from_slice(&json::encode(&message)).unwrap();
        prop_assert_eq!(event.id(), &message.id);
        prop_assert_eq!(event.source(), &message.source);
        prop_assert_eq!(event.ty(), &message.r#type);
        prop_assert_eq!(event.subject(), message.subject.as_deref());
        prop_assert_eq!(event.datacontenttype(), message.datacontenttype.as_deref());
        prop_assert_eq!(event.dataschema().map(|url| url.as_str()), message.dataschema.as_deref());
        let time = event.time().map(|time| u64::try_from(time.timestamp_millis()).unwrap());
        prop_assert_eq!(time, message.time.as_deref().and_then(parse_rfc3339));
        prop_assert_eq!(event.data().cloned(), expected_data(&message));
        for (name, value) in &message.extensions {
            prop_assert!(same_extension(value, event.extension(name)), "{name}");
        }
        let text = |name| event.extension(name).map(ToString::to_string);
        prop_assert_eq!(text("account"), message.account);
        prop_assert_eq!(text("partitionkey"), message.partitionkey);
        prop_assert_eq!(text("bwpriority"), Some(message.priority.to_string()));
        prop_assert_eq!(text("bwsequence"), message.sequence.map(|value| value.to_string()));
        prop_assert_eq!(text("bwreason"), message.reason.map(|value| value.to_string()));
    }

    #[test]
    fn what_the_sdk_writes_is_read_here(
        (id, source, kind, subject) in (
            strategy::text(),
            strategy::text(),
            strategy::text(),
            proptest::option::of(strategy::text()),
        ),
        data in prop_oneof![
            value().prop_map(Data::Json),
            strategy::text().prop_map(Data::String),
            proptest::collection::vec(any::<u8>(), 1..40).prop_map(Data::Binary),
        ],
        (text, flag, number) in (strategy::text(), any::<bool>(), any::<i32>()),
    ) {
        let content_type = match &data {
            Data::Json(_) => "application/json",
            Data::String(_) => "text/plain",
            Data::Binary(_) => "image/png",
        };
        let mut builder = EventBuilderV10::new()
            .id(id.clone())
            .source(source.clone())
            .ty(kind.clone())
            .time("2026-01-31T12:00:00.5+01:00")
            .data(content_type, data.clone())
            .extension("account", text.clone())
            .extension("flag", flag)
            .extension("number", i64::from(number))
            .extension("bwsequence", i64::MAX);
        if let Some(subject) = &subject {
            builder = builder.subject(subject.clone());
        }
        let event = builder.build().unwrap();
        let message = json::decode(&serde_json::to_vec(&event).unwrap()).unwrap();
        prop_assert_eq!((message.id, message.source, message.r#type), (id, source, kind));
        prop_assert_eq!(message.subject, subject);
        prop_assert_eq!(message.time.as_deref().and_then(parse_rfc3339), Some(1_769_857_200_500));
        prop_assert_eq!(message.datacontenttype.as_deref(), Some(content_type));
        prop_assert_eq!(message.account, Some(text));
        prop_assert_eq!(message.sequence, Some(i64::MAX as u64));
        prop_assert_eq!(&message.extensions["flag"], &AttributeValue::Boolean(flag));
        prop_assert_eq!(&message.extensions["number"], &AttributeValue::Integer(number));
        match data {
            Data::Json(value) => prop_assert_eq!(message.data, value.to_string()),
            Data::String(text) => prop_assert_eq!(message.data, text),
            Data::Binary(bytes) => prop_assert_eq!(message.data, bytes),
        }
    }
}
