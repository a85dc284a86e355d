//! Which messages go to which endpoints.

use std::sync::Arc;

use busway_core::{Error, ErrorKind, Message, Result};

/// A route as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSpec {
    /// Patterns of types, of which one must match: words parted by dots, `*` for any one word, `#`
    /// for any number of words, none included.
    pub types: Vec<String>,
    /// Patterns of accounts, of which one must match: as of types, `*` alone for any account. Empty
    /// matches every message, those without an account included.
    pub accounts: Vec<String>,
    /// The endpoints.
    pub to: Vec<String>,
}

/// All routes of a bus, compiled.
#[derive(Debug)]
pub struct Routes {
    routes: Vec<Route>,
    endpoints: usize,
}

#[derive(Debug)]
struct Route {
    types: Vec<Pattern>,
    accounts: Vec<Pattern>,
    to: Vec<usize>,
}

#[derive(Debug)]
enum Word {
    Exact(Box<str>),
    One,
    Many,
}

#[derive(Debug)]
struct Pattern(Vec<Word>);

impl Routes {
    /// Compiles routes; endpoints are numbered by their place in `endpoints`.
    ///
    /// # Errors
    /// `Configuration` for an empty or malformed pattern, or an endpoint that is not there.
    pub fn compile(specs: &[RouteSpec], endpoints: &[Arc<str>]) -> Result<Self> {
        let routes = specs.iter().map(|spec| Route::compile(spec, endpoints)).collect::<Result<_>>()?;
        Ok(Self { routes, endpoints: endpoints.len() })
    }

    /// The endpoints a message goes to, each once, in the order of the routes.
    #[must_use]
    pub fn destinations(&self, message: &Message) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::new();
        let words: Vec<&str> = message.r#type.split('.').collect();
        for route in &self.routes {
            if !route.matches(&words, message) {
                continue;
            }
            for to in &route.to {
                if !found.contains(to) {
                    found.push(*to);
                }
            }
            if found.len() == self.endpoints {
                break;
            }
        }
        found
    }
}

impl Route {
    fn compile(spec: &RouteSpec, endpoints: &[Arc<str>]) -> Result<Self> {
        let refuse = |detail: String| Error::new("route", ErrorKind::Configuration, detail);
        if spec.types.is_empty() {
            return Err(refuse("a route has no type".to_owned()));
        }
        let to = spec.to.iter().map(|name| {
            endpoints
                .iter()
                .position(|endpoint| **endpoint == **name)
                .ok_or_else(|| refuse(format!("a route names the endpoint {name:?}, which does not exist")))
        });
        Ok(Self {
            types: spec.types.iter().map(|text| Pattern::parse(text)).collect::<Result<_>>()?,
            accounts: spec.accounts.iter().map(|text| Pattern::account(text)).collect::<Result<_>>()?,
            to: to.collect::<Result<_>>()?,
        })
    }

    fn matches(&self, words: &[&str], message: &Message) -> bool {
        let account = || {
            self.accounts.is_empty()
                || message.account.as_ref().is_some_and(|account| {
                    let words: Vec<&str> = account.split('.').collect();
                    self.accounts.iter().any(|pattern| matches(&pattern.0, &words))
                })
        };
        account() && self.types.iter().any(|pattern| matches(&pattern.0, words))
    }
}

impl Pattern {
    /// A pattern of accounts: as of types, but that `*` alone matches every account.
    fn account(text: &str) -> Result<Self> {
        if text == "*" { Ok(Self(vec![Word::Many])) } else { Self::parse(text) }
    }

    fn parse(text: &str) -> Result<Self> {
        let word = |word: &str| match word {
            "" => Err(Error::new("route", ErrorKind::Configuration, format!("{text:?} has an empty word"))),
            "*" => Ok(Word::One),
            "#" => Ok(Word::Many),
            exact => Ok(Word::Exact(exact.into())),
        };
        Ok(Self(text.split('.').map(word).collect::<Result<_>>()?))
    }
}

/// Matches in time linear in the product of the two lengths: only the last `#` is ever returned to.
fn matches(pattern: &[Word], words: &[&str]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match pattern.get(at) {
            Some(Word::Many) => {
                retry = Some((at, seen));
                at += 1;
                continue;
            }
            Some(Word::One) if seen < words.len() => {
                (at, seen) = (at + 1, seen + 1);
                continue;
            }
            Some(Word::Exact(exact)) if words.get(seen).is_some_and(|word| *word == &**exact) => {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn hit(pattern: &str, text: &str) -> bool {
        let words: Vec<&str> = text.split('.').collect();
        matches(&Pattern::parse(pattern).unwrap().0, &words)
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
    }

    #[test]
    fn an_endpoint_gets_a_message_once() {
        let endpoints: Vec<Arc<str>> = vec!["a".into(), "b".into()];
        let route = |types: &[&str], accounts: &[&str], to: &[&str]| RouteSpec {
            types: types.iter().map(ToString::to_string).collect(),
            accounts: accounts.iter().map(ToString::to_string).collect(),
            to: to.iter().map(ToString::to_string).collect(),
        };
        let routes = Routes::compile(
            &[route(&["x.*"], &[], &["b"]), route(&["#"], &["acme"], &["a", "b"])],
            &endpoints,
        )
        .unwrap();
        assert_eq!(routes.destinations(&Message::new("x.y", "")), vec![1]);
        assert_eq!(routes.destinations(&Message::new("x.y", "").account("acme")), vec![1, 0]);
        assert!(routes.destinations(&Message::new("z", "").account("other")).is_empty());
        assert!(Routes::compile(&[route(&["x"], &[], &["c"])], &endpoints).is_err());
    }
}
