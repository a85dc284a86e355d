//! Patterns of words parted by dots, and the words as numbers.

use std::collections::HashMap;

use busway_core::Result;
use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::refuse;

/// The number of a word that no pattern has.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// A text as the numbers of its words.
pub(super) type Text = SmallVec<[u32; 8]>;

/// A step of a pattern.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// This word.
    Exact(u32),
    /// `*`: any one word.
    One,
    /// `#`: any number of words, none included.
    Many,
}

/// A pattern.
#[derive(Debug)]
pub(super) struct Pattern(pub(super) Vec<Step>);

/// All words of all patterns, numbered, so that a text is hashed once however many places of the trees
/// are looked at.
#[derive(Debug, Default)]
pub(super) struct Words(HashMap<Box<[u8]>, u32, RandomState>);

impl Words {
    /// The words of a text.
    pub(super) fn of(&self, text: &str) -> Text {
        let mut words = Text::new();
        for word in text.as_bytes().split(|byte| *byte == b'.') {
            words.push(self.0.get(word).copied().unwrap_or(UNKNOWN));
        }
        words
    }

    fn number(&mut self, word: &str) -> Result<u32> {
        if let Some(number) = self.0.get(word.as_bytes()) {
            return Ok(*number);
        }
        let number = u32::try_from(self.0.len()).ok().filter(|number| *number != UNKNOWN);
        let number = number.ok_or_else(|| refuse("the routes have too many words".to_owned()))?;
        self.0.insert(word.as_bytes().into(), number);
        Ok(number)
    }
}

impl Pattern {
    /// A pattern of accounts: as of types, but that `*` alone matches every account.
    pub(super) fn account(text: &str, words: &mut Words) -> Result<Self> {
        if text == "*" { Ok(Self(vec![Step::Many])) } else { Self::parse(text, words) }
    }

    /// A pattern of types.
    pub(super) fn parse(text: &str, words: &mut Words) -> Result<Self> {
        let step = |word: &str| match word {
            "" => Err(refuse(format!("{text:?} has an empty word"))),
            "*" => Ok(Step::One),
            "#" => Ok(Step::Many),
            exact => words.number(exact).map(Step::Exact),
        };
        let mut steps = text.split('.').map(step).collect::<Result<Vec<_>>>()?;
        // Several say no more than one, and one alone leads to no other.
        steps.dedup_by(|next, before| matches!((next, before), (Step::Many, Step::Many)));
        Ok(Self(steps))
    }
}
