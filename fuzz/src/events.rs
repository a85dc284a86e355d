//! Messages over HTTP and as JSON lines.

use busway_core::Message;
use busway_core::envelope::{DecodeError, check, http, json};
use bytes::Bytes;

use crate::bounds::{bounded, brief};

/// The most events of a batch here.
const BATCH: usize = 16;
/// The longest line here.
const LINE: usize = 64;

/// Headers, a line each, then an empty line and the body.
pub(crate) fn binary(input: &[u8]) {
    let (head, body) = match input.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&input[..at], &input[at + 2..]),
        None => (input, &b""[..]),
    };
    let headers = head.split(|byte| *byte == b'\n').filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b':')?;
        Some((std::str::from_utf8(&line[..at]).ok()?, &line[at + 1..]))
    });
    let decoded = bounded(input.len(), || http::decode(headers, Bytes::copy_from_slice(body)));
    if let Some(message) = accepted(decoded) {
        assert_eq!(by_headers(&message), message, "read back from its headers");
    }
}

/// The value of one header.
pub(crate) fn header_value(input: &[u8]) {
    let headers = [("ce-type", &b"t"[..]), ("ce-subject", input)];
    let decoded = bounded(input.len(), || http::decode(headers.into_iter(), Bytes::new()));
    if let Some(message) = accepted(decoded) {
        assert!(message.subject.as_deref().unwrap_or_default().len() <= input.len());
        assert_eq!(by_headers(&message), message, "read back from its headers");
    }
}

/// One event in structured form.
pub(crate) fn structured(input: &[u8]) {
    let decoded = bounded(input.len(), || json::decode(input));
    if let Some(message) = accepted(decoded) {
        by_text(&message);
    }
}

/// A batch of events.
pub(crate) fn batch(input: &[u8]) {
    match bounded(input.len(), || json::decode_batch(input, BATCH)) {
        Ok(messages) => {
            assert!(messages.len() <= BATCH);
            messages.iter().for_each(by_text);
            let text = json::encode_batch(&messages);
            let again = json::decode_batch(&text, BATCH).expect("what was written is a batch");
            assert_eq!(json::encode_batch(&again), text);
        }
        Err(error) => {
            assert!(error.index.is_none_or(|index| index <= BATCH));
            brief(error);
        }
    }
}

/// A stream of lines; its first byte says in pieces of which length it comes.
pub(crate) fn lines(input: &[u8]) {
    let Some((piece, text)) = input.split_first() else { return };
    let pieces = text.chunks(usize::from(*piece).max(1));
    let lines = bounded(input.len(), || busway_http::fuzz::lines(pieces, LINE));
    let mut wanted: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    // What comes after the last end of a line is a line where there is anything.
    wanted.pop_if(|last| last.is_empty());
    assert_eq!(lines.len(), wanted.len());
    for (line, wanted) in lines.iter().zip(wanted) {
        assert_eq!(line.as_deref(), (wanted.len() <= LINE).then_some(wanted));
        if let Some(line) = line {
            accepted(json::decode(line));
        }
    }
}

/// What was accepted can be carried by every form; what was not is told in few words.
fn accepted(decoded: Result<Message, DecodeError>) -> Option<Message> {
    match decoded {
        Ok(message) => {
            check(&message).expect("what was accepted can be carried");
            Some(message)
        }
        Err(error) => {
            brief(error);
            None
        }
    }
}

/// The message as its headers and body give it.
fn by_headers(message: &Message) -> Message {
    let headers = http::encode(message);
    for (name, value) in &headers {
        let legal =
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        assert!(legal, "{name:?} is no header's name");
        assert!(
            value.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{name}: {value:?} is no header's value"
        );
    }
    let named = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let mut again = http::decode(named, message.data.clone()).expect("what was written is a message");
    // Without data there is no header for the default.
    if message.datacontenttype.is_none() {
        again.datacontenttype = None;
    }
    again
}

/// Writes the message as one line, and reads it back to the same line.
fn by_text(message: &Message) {
    let text = json::encode(message);
    assert!(!text.contains(&b'\n') && !text.contains(&b'\r'), "more than one line");
    let again = json::decode(&text).expect("what was written is a message");
    assert_eq!(json::encode(&again), text);
    let same = |message: &Message| Message { data: Bytes::new(), ..message.clone() };
    assert_eq!(same(&again), same(message));
}
