//! What is written in a form is read back from it.

use std::collections::BTreeMap;

use busway_core::AttributeValue;
use busway_core::envelope::{check, http, json};
use busway_core::message::Message;
use bytes::Bytes;
use proptest::prelude::*;

use crate::strategy;

fn over_http(message: &Message) -> Message {
    let headers = http::encode(message);
    let borrowed = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    http::decode(borrowed, message.data.clone()).unwrap()
}

/// The message as HTTP can carry it: without types of attributes, and with the content type that
/// is meant where none is given.
fn untyped(mut message: Message) -> Message {
    if !message.data.is_empty() {
        message.datacontenttype.get_or_insert_with(|| "application/json".to_owned());
    }
    for value in message.extensions.values_mut() {
        *value = AttributeValue::String(match value {
            AttributeValue::Boolean(value) => value.to_string(),
            AttributeValue::Integer(value) => value.to_string(),
            AttributeValue::String(text) => std::mem::take(text),
        });
    }
    message
}

/// The message as structured JSON can carry it: JSON without white space around it and with
/// spaces in place of line breaks.
fn on_one_line(mut message: Message) -> Message {
    let content_type = message.content_type_or_default().to_ascii_lowercase();
    let essence = content_type.split(';').next().unwrap().trim();
    let json = ["application/json", "text/json"].contains(&essence) || essence.ends_with("+json");
    if json && serde_json::from_slice::<&serde_json::value::RawValue>(&message.data).is_ok() {
        let text = std::str::from_utf8(&message.data).unwrap();
        let text = text.trim_matches([' ', '\t', '\n', '\r']).replace(['\n', '\r'], " ");
        message.data = text.into();
    }
    message
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn http_gives_back_what_it_was_given(message in strategy::message()) {
        prop_assert_eq!(check(&message), Ok(()));
        for (name, value) in http::encode(&message) {
            prop_assert!(name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')), "{name}");
            prop_assert!(value.bytes().all(|b| matches!(b, b' '..=b'~')), "{name}: {value}");
            prop_assert!(!name.starts_with("ce-") || !value.contains(' '), "{name}: {value}");
        }
        prop_assert_eq!(over_http(&message), untyped(message));
    }

    #[test]
    fn json_gives_back_what_it_was_given_on_one_line(message in strategy::message()) {
        let text = json::encode(&message);
        prop_assert!(!text.contains(&b'\n') && !text.contains(&b'\r'));
        serde_json::from_slice::<serde::de::IgnoredAny>(&text).unwrap();
        prop_assert_eq!(json::decode(&text).unwrap(), on_one_line(message));
    }

    #[test]
    fn a_batch_gives_back_what_it_was_given(
        batch in proptest::collection::vec(strategy::message(), 0..4)
    ) {
        let text = json::encode_batch(&batch);
        let expected: Vec<_> = batch.into_iter().map(on_one_line).collect();
        prop_assert_eq!(json::decode_batch(&text, 4).unwrap(), expected);
    }

    #[test]
    fn data_is_the_very_text_that_stands_there(data in strategy::json()) {
        let line = format!(r#" {{ "data" : {data} , "type" : "item.updated" }} "#);
        let message = json::decode(line.as_bytes()).unwrap();
        prop_assert_eq!(&message.data, data.as_bytes());
        let text = String::from_utf8(json::encode(&message)).unwrap();
        prop_assert!(text.ends_with(&format!(r#","data":{data}}}"#)), "{text}");
    }

    #[test]
    fn bytes_from_outside_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = json::decode(&bytes);
        let _ = json::decode_batch(&bytes, 3);
        let _ = http::decode([("ce-type", &*bytes), ("ce-x", &*bytes)].into_iter(), Bytes::new());
    }
}

#[test]
fn a_message_looks_like_this_in_each_form() {
    let mut message = Message::new("item.updated", r#"{"sku":"a b", "price":1.10}"#)
        .id("1")
        .source("/shop")
        .account("Zoë & \"co\"")
        .deliver_at(1_700_000_000_123);
    message.sequence = Some(3_000_000_000);
    message.accepted = Some(7);
    message.extensions = BTreeMap::from([
        ("traceparent".to_owned(), AttributeValue::String("00-1".to_owned())),
        ("urgent".to_owned(), AttributeValue::Boolean(true)),
    ]);
    assert_eq!(
        String::from_utf8(json::encode(&message)).unwrap(),
        r#"{"specversion":"1.0","id":"1","source":"/shop","type":"item.updated","account":"Zoë & \"co\"","bwpriority":4,"bwdeliverat":"2023-11-14T22:13:20.123Z","bwaccepted":7,"bwsequence":"3000000000","traceparent":"00-1","urgent":true,"data":{"sku":"a b", "price":1.10}}"#
    );
    let headers = http::encode(&message);
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        headers,
        [
            ("content-type", "application/json"),
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "/shop"),
            ("ce-type", "item.updated"),
            ("ce-account", "Zo%C3%AB%20&%20%22co%22"),
            ("ce-bwpriority", "4"),
            ("ce-bwdeliverat", "2023-11-14T22:13:20.123Z"),
            ("ce-bwaccepted", "7"),
            ("ce-bwsequence", "3000000000"),
            ("ce-traceparent", "00-1"),
            ("ce-urgent", "true"),
        ]
    );
}

#[test]
fn what_is_left_out_is_filled_in() {
    let message = json::decode(br#"{"type":"t","subject":null}"#).unwrap();
    assert_eq!((message.id.len(), message.source.as_str(), message.priority), (36, "busway", 4));
    assert_eq!((message.subject, message.data.len()), (None, 0));
    let first = http::decode([("CE-Type", &b"t"[..])].into_iter(), Bytes::new()).unwrap();
    let second = http::decode([("CE-Type", &b"t"[..])].into_iter(), Bytes::new()).unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(first.source, "busway");
    assert_eq!(first.content_type_or_default(), "application/json");
}

#[test]
fn the_payload_is_written_by_what_it_is() {
    let form = |content_type: &str, data: &'static [u8]| {
        let message = Message::new("t", data).content_type(content_type);
        let text = String::from_utf8(json::encode(&message)).unwrap();
        text.split_once("4,\"data")
            .map_or_else(String::new, |(_, rest)| rest.trim_end_matches('}').to_owned())
    };
    assert_eq!(form("application/json", b"[1,\r\n 2]\n"), "\":[1,   2]");
    assert_eq!(form("Application/JSON; v=1", b"1e5"), "\":1e5");
    assert_eq!(form("application/geo+json", b"\"a\""), "\":\"a\"");
    assert_eq!(form("application/json", b"[1,"), "_base64\":\"WzEs\"");
    assert_eq!(form("application/json", b" "), "_base64\":\"IA==\"");
    assert_eq!(form("application/json", b"\"\xff\""), "_base64\":\"Iv8i\"");
    assert_eq!(form("application/json", b""), "");
    assert_eq!(form("text/plain", "a\n\u{1}ü".as_bytes()), "\":\"a\\n\\u0001ü\"");
    assert_eq!(form("text/plain", b"\xff"), "_base64\":\"/w==\"");
    assert_eq!(form("text/plain; charset=latin1", "ü".as_bytes()), "_base64\":\"w7w=\"");
    assert_eq!(form("application/xml; charset=utf-8", b"<a/>"), "\":\"<a/>\"");
    assert_eq!(form("application/xml", b"<a/>"), "\":\"<a/>\"");
}

#[test]
fn the_payload_is_read_by_what_it_says() {
    let data = |members: &str| json::decode(format!(r#"{{"type":"t",{members}}}"#).as_bytes()).unwrap().data;
    assert_eq!(data(r#""data":"a""#), "\"a\"");
    assert_eq!(data(r#""data":null"#), "null");
    assert_eq!(data(r#""data":[1.0, 2 ],"datacontenttype":"x/y+json""#), "[1.0, 2 ]");
    assert_eq!(data(r#""data":"a\n\u00fc","datacontenttype":"text/plain""#), "a\nü");
    assert_eq!(data(r#""datacontenttype":"text/plain","data":{"a":1}"#), "{\"a\":1}");
    assert_eq!(data(r#""datacontenttype":"text/plain","data":null"#), "");
    assert_eq!(data(r#""data_base64":"/w==""#), &b"\xff"[..]);
    assert_eq!(data(r#""data_base64":null,"data":1"#), "1");
}

#[test]
fn integers_are_read_as_numbers_and_as_text() {
    let message = json::decode(
        br#"{"type":"t","bwsequence":18446744073709551615,"bwaccepted":"1700000000000","bwpriority":"9",
            "bwattempt":4294967295,"partitionkey":7,"x":-2147483648}"#,
    )
    .unwrap();
    assert_eq!(message.sequence, Some(u64::MAX));
    assert_eq!(message.accepted, Some(1_700_000_000_000));
    assert_eq!((message.priority, message.attempt), (9, u32::MAX));
    assert_eq!(message.partitionkey.as_deref(), Some("7"));
    assert_eq!(message.extensions["x"], AttributeValue::Integer(i32::MIN));
}

#[test]
fn moments_are_rounded_up_and_those_before_the_epoch_have_passed() {
    let message = json::decode(
        br#"{"type":"t","bwdeliverat":"1970-01-01T00:00:00.0001Z","expirytime":"1960-01-01T00:00:00Z",
            "time":"1937-01-01T12:00:27.87+00:20"}"#,
    )
    .unwrap();
    assert_eq!((message.deliver_at, message.expires_at), (Some(1), Some(0)));
    assert_eq!(message.time.as_deref(), Some("1937-01-01T12:00:27.87+00:20"));
}

#[test]
fn header_values_are_unquoted_and_decoded_once() {
    let value = |value: &[u8]| {
        let headers = [("ce-type", &b"t"[..]), ("Ce-Account", value)];
        http::decode(headers.into_iter(), Bytes::new()).unwrap().account.unwrap()
    };
    assert_eq!(value(b"Euro%20%E2%82%AC%20%f0%9f%98%80"), "Euro € 😀");
    assert_eq!(value(b" a b\t"), "a b");
    assert_eq!(value(br#""a \"b\" \\ c%25""#), r#"a "b" \ c%"#);
    assert_eq!(value(b"%2525"), "%25");
    assert_eq!(value(b"%41"), "A");
    assert_eq!(value(b"50%"), "50%");
    assert_eq!(value("Zoë".as_bytes()), "Zoë");
    assert_eq!(value(b"\""), "\"");
}

#[test]
fn the_content_type_is_a_header_of_its_own() {
    let read = |headers: &[(&'static str, &'static [u8])]| {
        let all = [("ce-type", &b"t"[..])].into_iter().chain(headers.iter().copied());
        http::decode(all, Bytes::new()).unwrap().datacontenttype
    };
    assert_eq!(read(&[("Content-Type", b"text/plain; a=\"%20\"")]).as_deref(), Some("text/plain; a=\"%20\""));
    assert_eq!(read(&[("content-type", b"a/b"), ("ce-datacontenttype", b"c/d")]).as_deref(), Some("c/d"));
    assert_eq!(read(&[("content-type", b"")]), None);
    let odd = Message::new("t", "x").content_type("a/b\r\nx-evil: 1");
    assert_eq!(http::encode(&odd)[0].1, "application/octet-stream");
    assert_eq!(over_http(&odd).datacontenttype, odd.datacontenttype);
}

#[test]
fn a_binary_event_is_known_by_its_headers() {
    assert!(http::is_binary(["host", "Ce-Type"].into_iter()));
    assert!(http::is_binary(["ce-specversion"].into_iter()));
    assert!(!http::is_binary(["content-type", "ce-id"].into_iter()));
}

#[test]
fn a_text_is_written_as_its_characters_and_anything_else_as_base64() {
    for (content_type, text) in [
        ("text/csv", true),
        ("application/xml", true),
        ("Application/SOAP+XML; action=\"a\"", true),
        ("application/x-www-form-urlencoded", true),
        ("application/yaml; charset=UTF-8", true),
        ("application/xml; charset=iso-8859-1", false),
        ("application/octet-stream", false),
        ("image/png", false),
    ] {
        let message = Message::new("a", "<a>\u{e9}</a>").content_type(content_type);
        let written = json::encode(&message);
        let seen = String::from_utf8(written.clone()).unwrap();
        assert_eq!(seen.contains("\"data\":\"<a>\u{e9}</a>\""), text, "{content_type}: {seen}");
        assert_eq!(seen.contains("data_base64"), !text, "{content_type}: {seen}");
        assert_eq!(json::decode(&written).unwrap().data, message.data, "{content_type}");
        let broken = Message::new("a", vec![b'<', 0xe9]).content_type(content_type);
        assert!(json::encode(&broken).windows(11).any(|part| part == b"data_base64"), "{content_type}");
    }
}
