//! Arbitrary messages.

use busway_core::message::Message;
use busway_core::{AttributeValue, Reason};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;

/// The last moment that RFC 3339 can write, in milliseconds since the epoch.
const LAST_MOMENT: u64 = 253_402_300_799_999;

/// Text of any characters, control characters and those beyond 16 bits included.
pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9./:_-]{1,24}",
        "(%[0-9a-fA-F]{2}){1,3}",
        vec(any::<char>(), 1..12).prop_map(|chars| chars.into_iter().collect()),
        vec(prop_oneof![Just('"'), Just('\\'), Just('%'), Just(' '), Just('\u{0}'), Just('\n')], 1..6)
            .prop_map(|chars| chars.into_iter().collect()),
    ]
}

fn moment() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(LAST_MOMENT), 0..LAST_MOMENT]
}

fn counter() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(2_147_483_647), Just(2_147_483_648), Just(u64::MAX), any::<u64>()]
}

fn extension() -> impl Strategy<Value = AttributeValue> {
    prop_oneof![
        any::<bool>().prop_map(AttributeValue::Boolean),
        prop_oneof![Just(i32::MIN), Just(i32::MAX), any::<i32>()].prop_map(AttributeValue::Integer),
        prop_oneof![Just(String::new()), text()].prop_map(AttributeValue::String),
    ]
}

/// Compact JSON text in which number text and key order matter.
pub(crate) fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("-0".to_owned()),
        Just("1.10".to_owned()),
        Just("1E400".to_owned()),
        Just("12345678901234567890123".to_owned()),
        Just(r#""\u0041\ud83d\ude00\/""#.to_owned()),
        text().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(" , "))),
            vec(inner, 0..4).prop_map(|items| {
                let members: Vec<_> =
                    items.iter().rev().enumerate().map(|(i, v)| format!("\"{}\":{v}", 9 - i)).collect();
                format!("{{ {}}}", members.join(","))
            }),
        ]
    })
}

/// A content type with a payload that may or may not be what it says.
fn payload() -> impl Strategy<Value = (Option<String>, Vec<u8>)> {
    let content_type = of(prop_oneof![
        Just("application/json".to_owned()),
        Just("Text/JSON ; charset=utf-8".to_owned()),
        Just("application/vnd.shop+json".to_owned()),
        Just("text/plain".to_owned()),
        Just("text/plain; charset=iso-8859-1".to_owned()),
        Just("application/xml;charset=\"UTF-8\"".to_owned()),
        Just("application/octet-stream".to_owned()),
        text(),
    ]);
    let data = prop_oneof![
        Just(Vec::new()),
        json().prop_map(String::into_bytes),
        text().prop_map(String::into_bytes),
        vec(any::<u8>(), 0..40),
    ];
    (content_type, data)
}

/// Any message that `check` accepts.
pub(crate) fn message() -> impl Strategy<Value = Message> {
    let core = (text(), text(), text(), of(text()), of(moment()), of(text()));
    let own = (of(text()), of(moment()), of(text()), 0..=9_u8, of(moment()), of(text()));
    let bus = (any::<u32>(), of(text()), of(counter()), of(counter()), of(text()), of(text()), of(counter()));
    let extensions = btree_map("x[a-z0-9]{0,8}", extension(), 0..5);
    (core, own, bus, extensions, payload()).prop_map(|(core, own, bus, extensions, payload)| {
        let mut message = Message::new(core.2, payload.1).id(core.0).source(core.1);
        message.subject = core.3;
        message.time = core.4.map(busway_core::clock::format_rfc3339);
        message.dataschema = core.5;
        message.datacontenttype = payload.0;
        message.partitionkey = own.0;
        message.expires_at = own.1;
        message.account = own.2;
        message.priority = own.3;
        message.deliver_at = own.4;
        message.destination = own.5;
        message.attempt = bus.0;
        message.reason = bus.1.as_deref().map(Reason::parse);
        message.accepted = bus.2;
        message.parked = bus.3;
        message.origin = bus.4;
        message.producer = bus.5;
        message.sequence = bus.6;
        message.extensions = extensions;
        message
    })
}
