//! Changes to an input, each a value of its own, so that what fails can be made smaller.

use proptest::prelude::*;
use proptest::sample::Index;

/// Numbers at which lengths and counters go wrong.
const NUMBERS: [u64; 9] = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 0xffff_ffff_ffff_ffff];
/// Pieces of text that mean something to some parser.
const TOKENS: [&str; 40] = [
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\n",
    "\r\n",
    "\r\n\r\n",
    "\0",
    "%00",
    "%0d%0a",
    "%",
    "\u{7f}",
    "\u{80}",
    "\u{202e}",
    "\u{1f600}",
    "=",
    ".",
    "#",
    "*",
    "null",
    "true",
    "-1",
    "1e999",
    "99999999999999999999",
    "\"type\":\"t\"",
    "\"data\":",
    "ce-type: t\n",
    "[[routes]]\n",
    "content-length: ",
    "HTTP/1.1 ",
    "0x",
    "Z",
    "/",
    "..",
];

/// One change; places are relative to the input's length.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Flip(Index, u8),
    Set(Index, u8),
    Number(Index, Index, u8, bool),
    Token(Index, Index),
    Cut(Index, Index),
    Repeat(Index, Index, u8),
    Move(Index, Index, Index),
    /// A part of another seed.
    Splice(Index, Index, Index, Index),
    End(Index),
}

pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    let index = any::<Index>;
    let change = prop_oneof![
        4 => (index(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        2 => (index(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        2 => (index(), index(), 0..4_u8, any::<bool>())
            .prop_map(|(at, number, width, big)| Change::Number(at, number, width, big)),
        4 => (index(), index()).prop_map(|(at, token)| Change::Token(at, token)),
        2 => (index(), index()).prop_map(|(from, to)| Change::Cut(from, to)),
        1 => (index(), index(), 1..40_u8).prop_map(|(from, to, times)| Change::Repeat(from, to, times)),
        1 => (index(), index(), index()).prop_map(|(from, to, at)| Change::Move(from, to, at)),
        2 => (index(), index(), index(), index())
            .prop_map(|(seed, from, to, at)| Change::Splice(seed, from, to, at)),
        1 => index().prop_map(Change::End),
    ];
    proptest::collection::vec(change, 1..6)
}

/// The longest input that changes make.
const LONGEST: usize = 1 << 16;

impl Change {
    pub(crate) fn apply(&self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let place = |index: &Index| index.index(input.len() + 1);
        let span = |from: &Index, to: &Index, length: usize| {
            let (from, to) = (from.index(length + 1), to.index(length + 1));
            from.min(to)..from.max(to)
        };
        match self {
            Self::Flip(at, bit) => {
                if !input.is_empty() {
                    let at = at.index(input.len());
                    input[at] ^= 1 << bit;
                }
            }
            Self::Set(at, byte) => {
                if !input.is_empty() {
                    let at = at.index(input.len());
                    input[at] = *byte;
                }
            }
            Self::Number(at, number, width, big) => {
                let number = NUMBERS[number.index(NUMBERS.len())];
                let bytes = if *big { number.to_be_bytes() } else { number.to_le_bytes() };
                let width = 1 << width;
                let bytes = if *big { &bytes[8 - width..] } else { &bytes[..width] };
                for (at, byte) in (place(at)..input.len()).zip(bytes) {
                    input[at] = *byte;
                }
            }
            Self::Token(at, token) => {
                let at = place(at);
                let token = TOKENS[token.index(TOKENS.len())].bytes();
                drop(input.splice(at..at, token));
            }
            Self::Cut(from, to) => drop(input.drain(span(from, to, input.len()))),
            Self::Repeat(from, to, times) => {
                let span = span(from, to, input.len());
                let part = input[span.clone()].repeat(usize::from(*times));
                drop(input.splice(span.end..span.end, part));
            }
            Self::Move(from, to, at) => {
                let part: Vec<u8> = input.drain(span(from, to, input.len())).collect();
                let at = at.index(input.len() + 1);
                drop(input.splice(at..at, part));
            }
            Self::Splice(seed, from, to, at) => {
                let seed = &seeds[seed.index(seeds.len())];
                let (part, at) = (seed[span(from, to, seed.len())].to_vec(), place(at));
                drop(input.splice(at..at, part));
            }
            Self::End(at) => input.truncate(place(at)),
        }
        input.truncate(LONGEST);
    }
}
