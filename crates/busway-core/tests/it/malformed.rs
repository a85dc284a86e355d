//! Every way of not being a message, with the words that say so.

use std::collections::BTreeMap;

use busway_core::envelope::{check, http, json};
use busway_core::{AttributeValue, Message};
use bytes::Bytes;

fn refused(line: &str) -> String {
    json::decode(line.as_bytes()).expect_err(line).to_string()
}

#[test]
fn events_that_are_none() {
    for (line, words) in [
        ("", "not JSON: EOF while parsing a value at line 1 column 0"),
        ("{", "not JSON: EOF while parsing an object at line 1 column 1"),
        (r#"{"type":"t"} {}"#, "not JSON: trailing characters at line 1 column 14"),
        (r#"{"type":"t",}"#, "not JSON: trailing comma at line 1 column 13"),
        (r#""secret""#, "an event must be a JSON object"),
        (r#"[{"type":"t"}]"#, "an event must be a JSON object"),
        ("{}", "type: is missing"),
        (r#"{"type":null}"#, "type: is missing"),
    ] {
        assert_eq!(refused(line), words, "{line}");
    }
}

#[test]
fn members_that_are_wrong() {
    const TIME: &str = "must be a time as in RFC 3339, such as 2026-01-31T12:00:00Z";
    const NAME: &str = "is no attribute name: lower-case letters a-z and digits only, and not `data`";
    const U64: &str = "must be an integer from 0 to 18446744073709551615";
    for (member, words) in [
        (r#""id":"""#, "id: must not be empty".to_owned()),
        (r#""source":"""#, "source: must not be empty".to_owned()),
        (r#""id":5"#, "id: must be a string".to_owned()),
        (r#""subject":true"#, "subject: must be a string".to_owned()),
        (r#""specversion":"0.3""#, "specversion: must be 1.0, the only version understood".to_owned()),
        (r#""specversion":1.0"#, "specversion: a number must be an integer".to_owned()),
        (r#""time":"yesterday""#, format!("time: {TIME}")),
        (r#""time":"""#, format!("time: {TIME}")),
        (r#""time":"2026-02-30T00:00:00Z""#, format!("time: {TIME}")),
        (r#""time":1700000000"#, "time: must be a string".to_owned()),
        (r#""expirytime":"soon""#, format!("expirytime: {TIME}")),
        (r#""bwdeliverat":"2026-01-31""#, format!("bwdeliverat: {TIME}")),
        (r#""bwpriority":10"#, "bwpriority: must be an integer from 0 to 9".to_owned()),
        (r#""bwpriority":-1"#, "bwpriority: must be an integer from 0 to 9".to_owned()),
        (r#""bwpriority":"high""#, "bwpriority: must be an integer from 0 to 9".to_owned()),
        (r#""bwpriority":4.0"#, "bwpriority: a number must be an integer".to_owned()),
        (r#""bwattempt":4294967296"#, "bwattempt: must be an integer from 0 to 4294967295".to_owned()),
        (r#""bwsequence":18446744073709551616"#, format!("bwsequence: {U64}")),
        (r#""bwaccepted":"+1""#, format!("bwaccepted: {U64}")),
        (r#""bwparked":"""#, format!("bwparked: {U64}")),
        (r#""Account":"a""#, format!("Account: {NAME}")),
        (r#""my-ext":"a""#, format!("my-ext: {NAME}")),
        (r#""":"a""#, format!(": {NAME}")),
        (r#""x":{}"#, "x: must be a string, an integer or a boolean".to_owned()),
        (r#""x":[1]"#, "x: must be a string, an integer or a boolean".to_owned()),
        (r#""x":1.5"#, "x: a number must be an integer".to_owned()),
        (r#""x":2147483648"#, "x: an integer must fit in 32 bits; write it as a string".to_owned()),
        (r#""x":"\ud800""#, "x: must be a string of whole Unicode characters".to_owned()),
        (r#""id":"1","id":"1""#, "id: is given twice".to_owned()),
        (r#""x":"1","\u0078":"1""#, "x: is given twice".to_owned()),
        (r#""specversion":"1.0","specversion":"1.0""#, "specversion: is given twice".to_owned()),
        (r#""data":1,"data":1"#, "data: is given twice".to_owned()),
        (
            r#""data":1,"data_base64":"AA==""#,
            "data_base64: stands beside data: only one of them may".to_owned(),
        ),
        (r#""data_base64":"A""#, "data_base64: must be a string of base64".to_owned()),
        (r#""data_base64":1"#, "data_base64: must be a string of base64".to_owned()),
    ] {
        assert_eq!(refused(&format!(r#"{{"type":"t",{member}}}"#)), words, "{member}");
    }
    assert_eq!(refused(r#"{"type":""}"#), "type: must not be empty");
}

#[test]
fn batches_with_a_bad_event() {
    for (text, words) in [
        (r#"[{"type":"t"},{"id":"2"}]"#, "event 1: type: is missing"),
        (
            r#"[{"type":"t"},{"type":"t","time":"x"},7]"#,
            "event 1: time: must be a time as in RFC 3339, such as 2026-01-31T12:00:00Z",
        ),
        (r#"[{"type":"t"},7]"#, "event 1: an event must be a JSON object"),
        (r#"[{"type":"t"},{"type"}]"#, "event 1: not JSON: expected `:` at line 1 column 22"),
        (r#"[{"type":"t"}"#, "event 1: not JSON: EOF while parsing a list at line 1 column 13"),
        (r#"[{"type":"t"}] x"#, "not JSON: trailing characters at line 1 column 16"),
        (r#"{"type":"t"}"#, "a batch must be a JSON array"),
        (r#"[{"type":"t"},{"type":"t"},{"type":"t"}]"#, "more than 2 events in a batch"),
    ] {
        assert_eq!(json::decode_batch(text.as_bytes(), 2).expect_err(text).to_string(), words, "{text}");
    }
    assert_eq!(json::decode_batch(b" [ ] ", 0), Ok(vec![]));
    assert_eq!(json::decode_batch(br#"[{"type":"t"},{}]"#, 2).unwrap_err().index, Some(1));
}

#[test]
fn headers_that_are_wrong() {
    for (name, value, words) in [
        ("ce-type", &b"t"[..], "type: is given twice"),
        ("ce-id", b"", "id: must not be empty"),
        ("ce-id", b"\"\"", "id: must not be empty"),
        ("ce-specversion", b"2.0", "specversion: must be 1.0, the only version understood"),
        ("ce-time", b"noon", "time: must be a time as in RFC 3339, such as 2026-01-31T12:00:00Z"),
        ("ce-bwpriority", b"10", "bwpriority: must be an integer from 0 to 9"),
        ("ce-subject", b"%C0%A0", "subject: is not UTF-8"),
        ("ce-subject", b"\xff", "subject: is not UTF-8"),
        (
            "ce-my-ext",
            b"1",
            "my-ext: is no attribute name: lower-case letters a-z and digits only, and not `data`",
        ),
        (
            "ce-data",
            b"1",
            "data: is no attribute name: lower-case letters a-z and digits only, and not `data`",
        ),
    ] {
        let headers = [("ce-type", &b"t"[..]), (name, value)];
        let error = http::decode(headers.into_iter(), Bytes::new()).expect_err(name);
        assert_eq!(error.to_string(), words);
    }
    let twice = [("ce-type", &b"t"[..]), ("content-type", b"a/b"), ("Content-Type", b"a/b")];
    let error = http::decode(twice.into_iter(), Bytes::new()).unwrap_err();
    assert_eq!(error.to_string(), "datacontenttype: content-type is given twice");
    let error = http::decode([("host", &b"h"[..])].into_iter(), Bytes::new()).unwrap_err();
    assert_eq!(error.to_string(), "type: is missing");
}

#[test]
fn messages_that_no_form_can_carry() {
    let with = |change: fn(&mut Message)| {
        let mut message = Message::new("t", "1").id("i");
        change(&mut message);
        let refused = check(&message).map_err(|e| e.attribute.unwrap_or_default());
        (refused, message)
    };
    assert_eq!(with(|_| ()).0, Ok(()));
    assert_eq!(with(|m| m.id.clear()).0, Err("id".to_owned()));
    assert_eq!(with(|m| m.source.clear()).0, Err("source".to_owned()));
    assert_eq!(with(|m| m.r#type.clear()).0, Err("type".to_owned()));
    assert_eq!(with(|m| m.time = Some("noon".to_owned())).0, Err("time".to_owned()));
    assert_eq!(with(|m| m.priority = 10).0, Err("bwpriority".to_owned()));
    for name in ["type", "data", "specversion", "x\r\ny: 1", "", "Big"] {
        let mut message = Message::new("t", "1").id("i");
        message.extensions = BTreeMap::from([(name.to_owned(), AttributeValue::Boolean(true))]);
        assert_eq!(check(&message).map_err(|e| e.attribute), Err(Some(name.to_owned())));
        message.extensions.clear();
        let plain = (json::encode(&message), http::encode(&message));
        message.extensions.insert(name.to_owned(), AttributeValue::Boolean(true));
        assert_eq!((json::encode(&message), http::encode(&message)), plain, "{name} leaked into a form");
    }
}
