//! What is wrong with a configuration, where, and what was probably meant.

use std::fmt;
use std::path::PathBuf;

use busway_core::{Error, ErrorKind};

/// The most mistakes that are printed; the rest are counted.
const SHOWN: usize = 20;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Built in, or set in code.
    Default,
    /// A configuration file.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The column in characters, counted from 1.
        column: usize,
    },
    /// The environment variable with this name.
    Env(String),
    /// `--set` with this key.
    Set(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, .. } => write!(f, "{}:{line}", path.display()),
            Self::Env(name) => f.write_str(name),
            Self::Set(key) => write!(f, "--set {key}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where the value stands that is wrong.
    pub origin: Origin,
    /// The setting concerned, such as `endpoints.inventory.timeout`; empty for a whole file.
    pub path: String,
    /// What is wrong with it; never a secret.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Default => f.write_str("configuration")?,
            Origin::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display())?,
            other => write!(f, "{other}")?,
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.text)
    }
}

/// All that is wrong with a configuration; its text is one line a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The mistakes, those of the file in the order of its lines.
    pub mistakes: Vec<Mistake>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().take(SHOWN).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{mistake}")?;
        }
        match self.mistakes.len().checked_sub(SHOWN) {
            Some(more) if more > 0 => write!(f, "\nand {more} more"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Error::new("configure", ErrorKind::Configuration, error.to_string())
    }
}

/// The longest word that is compared with others: the comparison takes the product of both lengths.
const LONGEST: usize = 64;

/// The candidate that was probably meant by `word`, if one is near.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_lowercase();
    let reach = 1 + word.chars().count() / 4;
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= reach && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean …?` where a candidate is near, else `; known: …`.
pub(super) fn suggestion<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    match nearest(word, candidates.iter().copied()) {
        Some(near) => format!("; did you mean `{near}`?"),
        None if candidates.is_empty() => "; none is configured".to_owned(),
        None => format!("; known: {}", candidates.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_word_is_found_and_a_far_one_is_not() {
        assert_eq!(nearest("wrokers", ["workers", "window"]), Some("workers"));
        assert_eq!(nearest("Window", ["workers", "window"]), Some("window"));
        assert_eq!(nearest("colour", ["workers", "window"]), None);
        assert_eq!(nearest("x", ["to"]), None);
    }

    #[test]
    fn more_than_twenty_mistakes_are_counted() {
        let one = Mistake { origin: Origin::Default, path: "a".into(), text: "is wrong".into() };
        let text = ConfigError { mistakes: vec![one; 23] }.to_string();
        assert_eq!(text.lines().count(), 21);
        assert!(text.ends_with("and 3 more"), "{text}");
    }
}
