//! Patterns as a tree of their steps: all that match a text are found in one walk over its words.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use busway_core::Result;

use super::pattern::{Pattern, Step, Text, UNKNOWN};
use super::refuse;

const ROOT: u32 = 0;

/// Patterns, and what is kept at the end of each.
#[derive(Debug)]
pub(super) struct Tree<E> {
    places: Vec<Place<E>>,
    /// From a place by a word, see [`edge`].
    words: HashMap<u64, u32, RandomState>,
}

/// Where patterns with the same beginning part.
#[derive(Debug)]
struct Place<E> {
    /// Reached by `#`: every further word leads to itself.
    stays: bool,
    by_word: bool,
    by_one: Option<u32>,
    by_many: Option<u32>,
    end: Option<E>,
}

/// The places reached so far, each once.
type Reached = SmallVec<[u32; 16]>;

impl<E> Default for Tree<E> {
    fn default() -> Self {
        Self { places: vec![Place::new(false)], words: HashMap::default() }
    }
}

impl<E> Tree<E> {
    /// Calls `found` once for the end of each pattern that matches.
    pub(super) fn find(&self, text: &Text, mut found: impl FnMut(&E)) {
        let (mut here, mut next) = (&mut Reached::new(), &mut Reached::new());
        self.reach(ROOT, here);
        for word in text {
            next.clear();
            for at in here.iter() {
                let place = &self.places[*at as usize];
                if place.stays {
                    self.reach_once(*at, next);
                }
                if place.by_word
                    && *word != UNKNOWN
                    && let Some(to) = self.words.get(&edge(*at, *word))
                {
                    self.reach(*to, next);
                }
                if let Some(to) = place.by_one {
                    self.reach(to, next);
                }
            }
            std::mem::swap(&mut here, &mut next);
        }
        for at in here.iter() {
            if let Some(end) = &self.places[*at as usize].end {
                found(end);
            }
        }
    }

    /// Whether any pattern matches.
    pub(super) fn matches(&self, text: &Text) -> bool {
        let mut any = false;
        self.find(text, |_| any = true);
        any
    }

    /// The end of a pattern, made where it is not there yet.
    pub(super) fn end(&mut self, pattern: &Pattern) -> Result<&mut E>
    where
        E: Default,
    {
        let mut at = ROOT;
        for step in &pattern.0 {
            at = self.step(at, *step)?;
        }
        Ok(self.places[at as usize].end.get_or_insert_default())
    }

    fn step(&mut self, at: u32, step: Step) -> Result<u32> {
        let too_many = |_| refuse("the routes have too many patterns".to_owned());
        let new = u32::try_from(self.places.len()).map_err(too_many)?;
        let place = &mut self.places[at as usize];
        let to = match step {
            Step::Exact(word) => {
                place.by_word = true;
                *self.words.entry(edge(at, word)).or_insert(new)
            }
            Step::One => *place.by_one.get_or_insert(new),
            Step::Many => *place.by_many.get_or_insert(new),
        };
        if to == new {
            self.places.push(Place::new(matches!(step, Step::Many)));
        }
        Ok(to)
    }

    /// Adds a place that is reached by its one way from its parent, and what a `#` of no words leads
    /// to from there.
    fn reach(&self, at: u32, reached: &mut Reached) {
        reached.push(at);
        if let Some(to) = self.places[at as usize].by_many {
            self.reach_once(to, reached);
        }
    }

    /// As [`Tree::reach`], for a place that stays: it can be reached by its parent and by itself.
    fn reach_once(&self, at: u32, reached: &mut Reached) {
        if !reached.contains(&at) {
            self.reach(at, reached);
        }
    }
}

fn edge(from: u32, word: u32) -> u64 {
    u64::from(from) << 32 | u64::from(word)
}

impl<E> Place<E> {
    fn new(stays: bool) -> Self {
        Self { stays, by_word: false, by_one: None, by_many: None, end: None }
    }
}
