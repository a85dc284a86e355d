//! The tree against the plainest reading of the same rules: every route looked at, one after the other.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use busway_core::Message;
use proptest::prelude::*;

use super::{RouteSpec, Routes};

/// The endpoints by a look at every route.
fn linear(specs: &[RouteSpec], endpoints: &[Arc<str>], message: &Message) -> Vec<usize> {
    let mut found = Vec::new();
    for spec in specs.iter().filter(|spec| route_matches(spec, message)) {
        for to in &spec.to {
            let to = endpoints.iter().position(|endpoint| **endpoint == **to).unwrap();
            if !found.contains(&to) {
                found.push(to);
            }
        }
    }
    found
}

fn route_matches(spec: &RouteSpec, message: &Message) -> bool {
    let of_account =
        |account: &String| spec.accounts.iter().any(|pattern| pattern == "*" || matches(pattern, account));
    let account = spec.accounts.is_empty() || message.account.as_ref().is_some_and(of_account);
    account && spec.types.iter().any(|pattern| matches(pattern, &message.r#type))
}

/// Whether a pattern matches a text, by going back to the last `#` only.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, words): (Vec<&str>, Vec<&str>) = (pattern.split('.').collect(), text.split('.').collect());
    let (mut at, mut seen) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match pattern.get(at) {
            Some(&"#") => {
                retry = Some((at, seen));
                at += 1;
                continue;
            }
            Some(step) if words.get(seen).is_some_and(|word| *step == "*" || step == word) => {
                (at, seen) = (at + 1, seen + 1);
                continue;
            }
            None if seen == words.len() => return true,
            _ => {}
        }
        match retry {
            Some((many, from)) if from < words.len() => {
                retry = Some((many, from + 1));
                (at, seen) = (many + 1, from + 1);
            }
            _ => return false,
        }
    }
}

fn endpoints(count: usize) -> Vec<Arc<str>> {
    (0..count).map(|n| format!("e{n}").into()).collect()
}

fn route(types: &[&str], accounts: &[&str], to: &[&str]) -> RouteSpec {
    let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    RouteSpec { types: owned(types), accounts: owned(accounts), to: owned(to) }
}

fn hit(pattern: &str, text: &str) -> bool {
    let routes = Routes::compile(&[route(&[pattern], &[], &["e0"])], &endpoints(1)).unwrap();
    let found = !routes.destinations(&Message::new(text, "")).is_empty();
    assert_eq!(found, matches(pattern, text), "{pattern} on {text}");
    found
}

#[test]
fn patterns_match_words() {
    assert!(hit("item.*", "item.updated"));
    assert!(!hit("item.*", "item"));
    assert!(!hit("item.*", "item.a.b"));
    assert!(hit("customer.#", "customer"));
    assert!(hit("customer.#", "customer.a.b"));
    assert!(!hit("customer.#", "customers.a"));
    assert!(hit("#", "anything.at.all"));
    assert!(hit("#.done", "a.b.done"));
    assert!(hit("a.#.b.#.c", "a.x.b.b.y.c"));
    assert!(!hit("a.#.b.#.c", "a.x.y.c"));
    assert!(hit("*.#.*", "a.b"));
    assert!(!hit("*.#.*", "a"));
    assert!(hit("#.#.a.#.#", "a"));
}

#[test]
fn a_pattern_of_many_steps_is_walked_without_going_deep() {
    let pattern = vec!["#"; 200_000].join(".");
    assert!(hit(&pattern, "a.b"));
}

#[test]
fn an_endpoint_gets_a_message_once() {
    let endpoints = endpoints(2);
    let specs = [route(&["x.*", "x.y"], &[], &["e1"]), route(&["#"], &["acme"], &["e0", "e1"])];
    let routes = Routes::compile(&specs, &endpoints).unwrap();
    assert_eq!(routes.destinations(&Message::new("x.y", ""))[..], [1]);
    assert_eq!(routes.destinations(&Message::new("x.y", "").account("acme"))[..], [1, 0]);
    assert!(routes.destinations(&Message::new("z", "").account("other")).is_empty());
}

#[test]
fn what_is_malformed_is_refused() {
    let endpoints = endpoints(1);
    for spec in [
        route(&["x"], &[], &["e7"]),
        route(&[], &[], &["e0"]),
        route(&["x..y"], &[], &["e0"]),
        route(&[""], &[], &["e0"]),
        route(&["x"], &["a."], &["e0"]),
    ] {
        assert!(Routes::compile(std::slice::from_ref(&spec), &endpoints).is_err(), "{spec:?}");
    }
}

#[test]
fn many_matching_routes_and_endpoints_keep_their_order() {
    let endpoints = endpoints(300);
    let specs: Vec<RouteSpec> =
        (0..300).rev().map(|n| route(&["#", "a"], &[], &[&format!("e{n}")])).collect();
    let routes = Routes::compile(&specs, &endpoints).unwrap();
    let found = routes.destinations(&Message::new("a", ""));
    assert_eq!(found.to_vec(), (0..300).rev().collect::<Vec<_>>());
}

/// Texts and patterns of so few words that they often meet.
fn text(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(words), 1..6).prop_map(|words| words.join("."))
}

fn spec() -> impl Strategy<Value = RouteSpec> {
    let pattern = || text(&["a", "b", "c", "*", "#"]);
    let to = prop::collection::vec((0..5_usize).prop_map(|n| format!("e{n}")), 0..3);
    (prop::collection::vec(pattern(), 1..4), prop::collection::vec(pattern(), 0..4), to)
        .prop_map(|(types, accounts, to)| RouteSpec { types, accounts, to })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_tree_finds_what_a_look_at_every_route_finds(
        specs in prop::collection::vec(spec(), 0..12),
        messages in prop::collection::vec(
            (text(&["a", "b", "c", "d", ""]), prop::option::of(text(&["a", "b", "d", ""]))), 1..8),
        pairs in 0..8_usize,
    ) {
        let endpoints = endpoints(5);
        let routes = Routes::compile_with(&specs, &endpoints, pairs).unwrap();
        for (r#type, account) in messages {
            let mut message = Message::new(r#type, "");
            message.account = account;
            let found = routes.destinations(&message).to_vec();
            prop_assert_eq!(found, linear(&specs, &endpoints, &message), "{:?}", message);
        }
    }
}
