//! Which messages go to which endpoints.

mod pattern;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::Arc;

use busway_core::{Error, ErrorKind, Message, Result};
use smallvec::SmallVec;

use pattern::{Pattern, Words};
use tree::Tree;

/// The numbers of the endpoints that a message goes to.
pub type Destinations = SmallVec<[usize; 4]>;

/// Where a route has more pairs of a type and an account than these, its accounts have a tree of
/// their own: an entry for each pair would take memory by the product.
const PAIRS: usize = 256;

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

/// All routes of a bus, compiled: a tree of the types, and at its ends trees of the accounts. What a
/// message costs depends on its words and on the routes that match, and not on how many there are.
#[derive(Debug)]
pub struct Routes {
    words: Words,
    types: Tree<End>,
    routes: Vec<Route>,
    endpoints: usize,
}

#[derive(Debug)]
struct Route {
    to: Vec<usize>,
    /// The accounts, where they are not in the tree of the types.
    accounts: Option<Tree<()>>,
}

/// The routes whose patterns of types end at one place of the tree, by their numbers.
#[derive(Debug, Default)]
struct End {
    of_all: Vec<usize>,
    of_accounts: Option<Box<Tree<Vec<usize>>>>,
    /// Routes with a tree of their own.
    apart: Vec<usize>,
}

impl Routes {
    /// Compiles routes; endpoints are numbered by their place in `endpoints`.
    ///
    /// # Errors
    /// `Configuration` for an empty or malformed pattern, or an endpoint that is not there.
    pub fn compile(specs: &[RouteSpec], endpoints: &[Arc<str>]) -> Result<Self> {
        Self::compile_with(specs, endpoints, PAIRS)
    }

    fn compile_with(specs: &[RouteSpec], endpoints: &[Arc<str>], pairs: usize) -> Result<Self> {
        let mut compiled = Self {
            words: Words::default(),
            types: Tree::default(),
            routes: Vec::with_capacity(specs.len()),
            endpoints: endpoints.len(),
        };
        for spec in specs {
            compiled.add(spec, endpoints, pairs)?;
        }
        Ok(compiled)
    }

    /// The endpoints a message goes to, each once, in the order of the routes.
    #[must_use]
    pub fn destinations(&self, message: &Message) -> Destinations {
        let mut matching = self.matching(message);
        matching.sort_unstable();
        let mut found = Destinations::new();
        let mut seen: SmallVec<[u64; 4]> = SmallVec::from_elem(0, self.endpoints.div_ceil(64));
        for to in matching.iter().flat_map(|route| &self.routes[*route].to) {
            let (seen, bit) = (&mut seen[to / 64], 1 << (to % 64));
            if *seen & bit == 0 {
                *seen |= bit;
                found.push(*to);
            }
        }
        found
    }

    /// The numbers of the routes that match, in any order; a route of several types may be there
    /// more than once.
    fn matching(&self, message: &Message) -> SmallVec<[usize; 16]> {
        let types = self.words.of(&message.r#type);
        let accounts = message.account.as_ref().map(|account| self.words.of(account));
        let mut matching = SmallVec::new();
        self.types.find(&types, |end| {
            matching.extend_from_slice(&end.of_all);
            let Some(accounts) = &accounts else { return };
            if let Some(tree) = &end.of_accounts {
                tree.find(accounts, |routes| matching.extend_from_slice(routes));
            }
            for route in &end.apart {
                let tree = self.routes[*route].accounts.as_ref();
                if tree.is_some_and(|tree| tree.matches(accounts)) {
                    matching.push(*route);
                }
            }
        });
        matching
    }

    fn add(&mut self, spec: &RouteSpec, endpoints: &[Arc<str>], pairs: usize) -> Result<()> {
        if spec.types.is_empty() {
            return Err(refuse("a route has no type".to_owned()));
        }
        let to = spec.to.iter().map(|name| {
            endpoints
                .iter()
                .position(|endpoint| **endpoint == **name)
                .ok_or_else(|| refuse(format!("a route names the endpoint {name:?}, which does not exist")))
        });
        let to = to.collect::<Result<_>>()?;
        let types = patterns(&spec.types, |text| Pattern::parse(text, &mut self.words))?;
        let accounts = patterns(&spec.accounts, |text| Pattern::account(text, &mut self.words))?;
        let number = self.routes.len();
        let apart = types.len() * accounts.len() > pairs;
        for r#type in &types {
            let end = self.types.end(r#type)?;
            match &accounts[..] {
                [] => end.of_all.push(number),
                _ if apart => end.apart.push(number),
                accounts => {
                    let tree = end.of_accounts.get_or_insert_default();
                    for account in accounts {
                        tree.end(account)?.push(number);
                    }
                }
            }
        }
        let mut own = Tree::default();
        for account in accounts.iter().filter(|_| apart) {
            let () = own.end(account)?;
        }
        self.routes.push(Route { to, accounts: apart.then_some(own) });
        Ok(())
    }
}

fn patterns(texts: &[String], parse: impl FnMut(&str) -> Result<Pattern>) -> Result<Vec<Pattern>> {
    texts.iter().map(String::as_str).map(parse).collect()
}

fn refuse(detail: String) -> Error {
    Error::new("route", ErrorKind::Configuration, detail)
}
