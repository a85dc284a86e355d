//! Heads and header values that are not what they should be.

use super::{Course, LIMIT};
use crate::harness::{Peer, Request, until};

const HEAD: &str = "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\n";

/// What no header may hold, and framing that two readers could read in two ways: refused, and nothing stored.
#[test]
fn raw_control_characters_and_doubtful_framing_are_refused() {
    let mut course = Course::new();
    let event = "ce-type: item.bad\r\nce-id: bad\r\n";
    let chunked = "transfer-encoding: chunked\r\n";
    for (what, rest) in [
        ("NUL", format!("{event}ce-subject: a\0b\r\ncontent-length: 1\r\n\r\nx")),
        ("a control character", format!("{event}ce-subject: a\u{1}b\r\ncontent-length: 1\r\n\r\nx")),
        ("DEL", format!("{event}ce-subject: a\u{7f}b\r\ncontent-length: 1\r\n\r\nx")),
        ("a bare CR", format!("{event}ce-subject: a\rx: b\r\ncontent-length: 1\r\n\r\nx")),
        ("a folded line", format!("{event}ce-subject: a\r\n b\r\ncontent-length: 1\r\n\r\nx")),
        ("a space before the colon", format!("{event}ce-subject : a\r\ncontent-length: 1\r\n\r\nx")),
        ("two lengths", format!("{event}content-length: 1\r\ncontent-length: 2\r\n\r\nxy")),
        ("a length that is none", format!("{event}content-length: +1\r\n\r\nx")),
        ("a length and chunks", format!("{event}{chunked}content-length: 1\r\n\r\n1\r\nx\r\n0\r\n\r\n")),
        ("an unknown coding", format!("{event}transfer-encoding: x, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")),
        ("a chunk that is none", format!("{event}{chunked}\r\nzz\r\nx\r\n0\r\n\r\n")),
        ("a chunk without end", format!("{event}{chunked}\r\nffffffffffffffff\r\nx")),
    ] {
        let answer = course.raw(format!("{HEAD}{rest}").as_bytes());
        println!("{what}: {}", answer.lines().next().unwrap_or("closed"));
        let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
        assert!(refused && answer.matches("HTTP/1.1").count() <= 1, "{what}: {answer}");
    }
    course.end(&[]);
}

/// What is percent-encoded, or stands in JSON, is the attribute's own and never becomes a header on the way out.
#[test]
fn encoded_control_characters_stay_in_their_attribute() {
    let peer = Peer::answering(|_| Some(200));
    let rest = format!(
        "[endpoints.it]\nkind = \"http\"\nurl = \"{}\"\n[[routes]]\ntype = [\"out.*\"]\nto = [\"it\"]\n",
        peer.url()
    );
    let mut course = Course::with(&rest, &[]);
    let sent = "%0d%0ax-smuggled: 1%0d%0a%0d%0a%00%1b[2J%E2%82%AC";
    let event = |id: &str| Request::post("text/plain", "x").header("ce-type", "out.x").header("ce-id", id);
    let stored = |course: &Course, request: &Request| {
        let reply = course.daemon.send(request);
        assert_eq!(reply.status, 202, "{reply:?}");
    };
    stored(&course, &event("binary").header("ce-subject", sent));
    let structured = r#"{"id":"structured","type":"out.x","subject":"\r\nx-smuggled: 1\r\n\r\n\u0000\u001b[2J€",
        "datacontenttype":"text/plain\r\nx-smuggled: 1","data":"x"}"#;
    stored(&course, &Request::post("application/cloudevents+json", structured));
    until(LIMIT, "both arrive", || peer.count() == 2);
    for arrived in peer.arrived() {
        let subject = arrived.header("ce-subject").unwrap();
        println!("{}: {subject}", arrived.id());
        assert_eq!(subject.to_lowercase(), "%0d%0ax-smuggled:%201%0d%0a%0d%0a%00%1b[2j%e2%82%ac");
        assert_eq!((arrived.header("x-smuggled"), arrived.body.as_slice()), (None, &b"x"[..]), "{arrived:?}");
    }
    // What is printed for people has no control character in it.
    course.daemon.publish(r#"{"id":"a\u001b[2J","type":"none\u001b[2J","data":1}"#);
    until(LIMIT, "it is dead", || course.daemon.get("/v1/dead").as_array().unwrap().len() == 1);
    let listed = course.bed.verb(&["dead", "list"]);
    assert!(listed.code == 0 && !listed.out.contains('\u{1b}'), "{listed:?}");
    course.good();
    course.end(&[]);
}

#[test]
fn values_that_are_no_utf_8_are_told_by_their_attribute() {
    let mut course = Course::new();
    let bytes = [HEAD.as_bytes(), b"ce-type: item.bad\r\nce-subject: \xff\xfe\r\ncontent-length: 1\r\n\r\nx"]
        .concat();
    let answer = course.raw(&bytes);
    println!("{answer}");
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("\"attribute\":\"subject\""), "{answer}");
    assert!(answer.contains("is not UTF-8"), "{answer}");
    let encoded = Request::post("text/plain", "x").header("ce-type", "item.bad").header("ce-subject", "%ff");
    course.refused(&encoded, 400, &["\"attribute\":\"subject\"", "is not UTF-8"]);
    for (name, value, word) in [
        ("ce-bwpriority", "10", "must be an integer from 0 to 9"),
        ("ce-time", "noon", "RFC 3339"),
        ("ce-specversion", "2.0", "must be 1.0"),
        ("ce-a_b", "x", "lower-case letters"),
        ("ce-type", "item.other", "is given twice"),
    ] {
        let event = Request::post("text/plain", "x").header("ce-type", "item.bad").header(name, value);
        course.refused(&event, 400, &[word]);
    }
    course.end(&[]);
}

#[test]
fn heads_without_bound_are_refused() {
    let mut course = Course::new();
    let before = course.daemon.usage().resident;
    let many: String = (0..10_000).map(|number| format!("ce-x{number}: 1\r\n")).collect();
    let long = format!("ce-subject: {}\r\n", "x".repeat(8 << 20));
    let length = "content-length: 1\r\n\r\nx";
    for (what, headers, status) in [
        ("97 headers", (0..97).map(|number| format!("ce-x{number}: 1\r\n")).collect(), "431"),
        ("10,000 headers", many, "431"),
        ("a header of 8 MiB", long, "431"),
        ("a path of 1 MiB", String::new(), "4"),
    ] {
        let path = if headers.is_empty() { "x".repeat(1 << 20) } else { String::new() };
        let head = HEAD.replacen("/v1/messages", &format!("/v1/messages{path}"), 1);
        let answer = course.raw(format!("{head}ce-type: item.bad\r\n{headers}{length}").as_bytes());
        println!("{what}: {}", answer.lines().next().unwrap_or("closed"));
        // A reset may take an answer with it that was sent while the head still came.
        assert!(answer.is_empty() || answer.starts_with(&format!("HTTP/1.1 {status}")), "{what}: {answer}");
    }
    let grown = course.daemon.usage().resident.saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more are held");
    course.end(&[]);
}
