//! Patterns as a tree of their steps: all that match a text are found in one walk over its words.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::pattern::{Pattern, Step, Text};

const ROOT: usize = 0;

/// Patterns, and what is kept at the end of each.
#[derive(Debug)]
pub(super) struct Tree<E> {
    places: Vec<Place<E>>,
    /// From a place by a word.
    words: HashMap<(usize, u32), usize, RandomState>,
}

/// Where patterns with the same beginning part.
#[derive(Debug)]
struct Place<E> {
    /// Reached by `#`: every further word leads to itself.
    stays: bool,
    by_word: bool,
    by_one: Option<usize>,
    by_many: Option<usize>,
    end: Option<E>,
}

/// The places reached so far, each once.
type Reached = SmallVec<[usize; 16]>;

impl<E> Default for Tree<E> {
    fn default() -> Self {
        Self { places: vec![Place::new(false)], words: HashMap::default() }
    }
}

impl<E> Tree<E> {
    /// Calls `found` once for the end of each pattern that matches.
    pub(super) fn find(&self, text: &Text, found: impl FnMut(&E)) {
        let (mut here, mut next) = (Reached::new(), Reached::new());
        self.reach(ROOT, &mut here);
        for word in text {
            for at in here.drain(..) {
                let place = &self.places[at];
                if place.stays {
                    self.reach_once(at, &mut next);
                }
                if place.by_word
                    && let Some(to) = self.words.get(&(at, *word))
                {
                    self.reach(*to, &mut next);
                }
                if let Some(to) = place.by_one {
                    self.reach(to, &mut next);
                }
            }
            std::mem::swap(&mut here, &mut next);
        }
        here.iter().filter_map(|at| self.places[*at].end.as_ref()).for_each(found);
    }

    /// Whether any pattern matches.
    pub(super) fn matches(&self, text: &Text) -> bool {
        let mut any = false;
        self.find(text, |_| any = true);
        any
    }

    /// The end of a pattern, made where it is not there yet.
    pub(super) fn end(&mut self, pattern: &Pattern) -> &mut E
    where
        E: Default,
    {
        let at = pattern.0.iter().fold(ROOT, |at, step| self.step(at, *step));
        self.places[at].end.get_or_insert_default()
    }

    fn step(&mut self, at: usize, step: Step) -> usize {
        let new = self.places.len();
        let place = &mut self.places[at];
        let to = match step {
            Step::Exact(word) => {
                place.by_word = true;
                *self.words.entry((at, word)).or_insert(new)
            }
            Step::One => *place.by_one.get_or_insert(new),
            Step::Many => *place.by_many.get_or_insert(new),
        };
        if to == new {
            self.places.push(Place::new(matches!(step, Step::Many)));
        }
        to
    }

    /// Adds a place that is reached by its one way from its parent, and what a `#` of no words leads
    /// to from there.
    fn reach(&self, at: usize, reached: &mut Reached) {
        reached.push(at);
        if let Some(to) = self.places[at].by_many {
            self.reach_once(to, reached);
        }
    }

    /// As [`Tree::reach`], for a place that stays: it can be reached by its parent and by itself.
    fn reach_once(&self, at: usize, reached: &mut Reached) {
        if !reached.contains(&at) {
            self.reach(at, reached);
        }
    }
}

impl<E> Place<E> {
    fn new(stays: bool) -> Self {
        Self { stays, by_word: false, by_one: None, by_many: None, end: None }
    }
}
