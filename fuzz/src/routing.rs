//! Patterns of routes, names and times.

use std::sync::Arc;

use busway::config::check_pattern;
use busway_core::clock::{format_rfc3339, parse_rfc3339};
use busway_core::{Message, Name, Queue, Reason};
use busway_runtime::{RouteSpec, Routes};

use crate::bounds::{bounded, brief};

/// A pattern in the first line, a type in the second, an account in the third.
pub(crate) fn routes(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or_default();
    let (pattern, r#type, account) = (next(), next(), next());
    let checked = bounded(input.len(), || check_pattern(pattern)).map_err(shortened);
    let endpoints: [Arc<str>; 1] = ["it".into()];
    let spec = RouteSpec {
        types: vec![pattern.to_owned()],
        accounts: vec![pattern.to_owned()],
        to: vec!["it".to_owned()],
    };
    let routes = match bounded(input.len(), || Routes::compile(&[spec], &endpoints)) {
        Ok(routes) => routes,
        Err(_) => {
            assert!(checked.is_err(), "{pattern:?} passes the check and is no pattern");
            return;
        }
    };
    let message = Message::new(r#type, "").account(account);
    let work = pattern.len() * (r#type.len() + account.len());
    let found = bounded(input.len() + work / 64, || routes.destinations(&message));
    let words = |text: &'static str| text;
    let hit = matches(pattern, r#type) && (pattern == words("*") || matches(pattern, account));
    assert_eq!(found.to_vec(), if hit { vec![0] } else { vec![] }, "{pattern:?} {:?} {account:?}", r#type);
}

/// Whether a pattern matches, by all of its ways: the word at each place is tried after each number of words.
fn matches(pattern: &str, text: &str) -> bool {
    let words: Vec<&str> = text.split('.').collect();
    let mut here = vec![false; words.len() + 1];
    here[0] = true;
    for part in pattern.split('.') {
        let mut next = vec![false; words.len() + 1];
        for at in 0..=words.len() {
            let from_before = |all: &[bool]| at > 0 && all[at - 1];
            next[at] = match part {
                "#" => here[at] || from_before(&next),
                "*" => from_before(&here),
                word => from_before(&here) && words[at - 1] == word,
            };
        }
        here = next;
    }
    here[words.len()]
}

/// A name of a bus, queue or endpoint, or a reason.
pub(crate) fn names(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match bounded(input.len(), || Name::new(text)) {
        Ok(name) => assert_eq!(name.as_str(), text),
        Err(error) => drop(shortened(error.to_string())),
    }
    if let Ok(queue) = bounded(input.len(), || Queue::parse(text)) {
        assert_eq!(queue.to_string(), text);
    }
    let reason = Reason::parse(text);
    assert_eq!((reason.to_string().as_str(), &Reason::parse(&reason.to_string())), (text, &reason));
}

/// An RFC 3339 timestamp.
pub(crate) fn times(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Some(at) = bounded(input.len(), || parse_rfc3339(text)) else { return };
    assert_eq!(parse_rfc3339(&format_rfc3339(at)), Some(at), "{text:?} is {at}");
}

/// The text of an error that repeats what was given by a person, in their own file.
fn shortened(text: String) -> String {
    brief(text.chars().take(500).collect::<String>())
}
