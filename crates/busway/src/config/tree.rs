//! Configuration as it was written, each value with the place it comes from, and how the layers
//! are laid over each other.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, Origin};

/// The settings of one table by their keys.
pub(super) type Table = BTreeMap<String, Node>;

/// One value with its origin.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where it, or its key, was written.
    pub(super) origin: Origin,
    /// What was written.
    pub(super) content: Content,
    /// The very text where it came from a variable or the command line, for settings that are
    /// text however they look.
    pub(super) raw: Option<String>,
}

/// A value as it was written.
#[derive(Clone, Debug)]
pub(super) enum Content {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Datetime,
    Array(Vec<Node>),
    Table(Table),
}

impl Content {
    /// What it is, for messages; never the value itself.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Boolean(_) => "a boolean",
            Self::Datetime => "a date",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}

impl Node {
    /// An empty table.
    pub(super) fn empty(origin: Origin) -> Self {
        Self { origin, content: Content::Table(Table::new()), raw: None }
    }

    /// Reads the text of one value: as TOML where it is TOML, else as a string.
    pub(super) fn from_text(text: &str, origin: &Origin) -> Self {
        let content = match DeValue::parse(text) {
            Ok(value) => content(value.into_inner(), &mut |_| origin.clone()),
            Err(_) => Content::String(text.to_owned()),
        };
        Self { origin: origin.clone(), content, raw: Some(text.to_owned()) }
    }

    /// Whether it is `{ env = "…" }` or `{ file = "…" }`.
    pub(super) fn is_reference(&self) -> bool {
        let Content::Table(table) = &self.content else { return false };
        let mut entries = table.iter();
        let (Some((key, node)), None) = (entries.next(), entries.next()) else { return false };
        (key == "env" || key == "file") && matches!(node.content, Content::String(_))
    }

    /// Lays `upper` over this node: tables are merged key by key, anything else is replaced.
    pub(super) fn overlay(&mut self, upper: Self) {
        let references = self.is_reference() || upper.is_reference();
        match (&mut self.content, upper.content) {
            (Content::Table(below), Content::Table(above)) if !references => {
                for (key, node) in above {
                    match below.get_mut(&key) {
                        Some(existing) => existing.overlay(node),
                        None => {
                            below.insert(key, node);
                        }
                    }
                }
            }
            (_, content) => *self = Self { origin: upper.origin, content, raw: upper.raw },
        }
    }

    /// Lays `leaf` over what stands at `path`, making the tables on the way. A segment finds a
    /// key that is there whatever its case, with `_` for `-`, where `loose` says so.
    pub(super) fn overlay_at(&mut self, path: &[&str], leaf: Self, loose: bool) {
        let Some((segment, rest)) = path.split_first() else { return self.overlay(leaf) };
        if !matches!(self.content, Content::Table(_)) {
            *self = Self::empty(leaf.origin.clone());
        }
        let Content::Table(table) = &mut self.content else { return };
        let key = if loose { loose_key(table, segment) } else { (*segment).to_owned() };
        table.entry(key).or_insert_with(|| Self::empty(leaf.origin.clone())).overlay_at(rest, leaf, loose);
    }
}

/// The key of `table` that an environment variable's segment means.
fn loose_key(table: &Table, segment: &str) -> String {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let wanted = plain(segment);
    let known = table.keys().find(|key| plain(key) == wanted).cloned();
    known.unwrap_or_else(|| segment.to_lowercase())
}

/// Reads a TOML file; every mistake of its syntax is reported, without the text of its lines.
pub(super) fn parse(text: &str, path: &Path) -> Result<Node, Vec<Mistake>> {
    let lines = Lines::new(text, path);
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let content = Content::Table(entries(table.into_inner(), &mut |span| lines.origin(span.start)));
        return Ok(Node { origin: lines.origin(0), content, raw: None });
    }
    let mistake = |error: &toml::de::Error| Mistake {
        origin: lines.origin(error.span().map_or(0, |span| span.start)),
        path: String::new(),
        text: error.message().to_owned(),
    };
    Err(errors.iter().map(mistake).collect())
}

type Locate<'a> = &'a mut dyn FnMut(std::ops::Range<usize>) -> Origin;

fn entries(table: DeTable<'_>, locate: Locate<'_>) -> Table {
    table
        .into_iter()
        .map(|(key, value)| {
            let origin = locate(key.span());
            let content = content(value.into_inner(), locate);
            (key.into_inner().into_owned(), Node { origin, content, raw: None })
        })
        .collect()
}

fn content(value: DeValue<'_>, locate: Locate<'_>) -> Content {
    match value {
        DeValue::String(text) => Content::String(text.into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Content::Integer(number),
            Err(_) => Content::String(number.to_string()),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Content::Float(number),
            Err(_) => Content::String(number.to_string()),
        },
        DeValue::Boolean(value) => Content::Boolean(value),
        DeValue::Datetime(_) => Content::Datetime,
        DeValue::Array(values) => Content::Array(
            values
                .into_iter()
                .map(|value: Spanned<DeValue<'_>>| {
                    let origin = locate(value.span());
                    Node { origin, content: content(value.into_inner(), locate), raw: None }
                })
                .collect(),
        ),
        DeValue::Table(table) => Content::Table(entries(table, locate)),
    }
}

/// Finds lines by byte offsets.
struct Lines<'a> {
    text: &'a str,
    path: &'a Path,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str, path: &'a Path) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, path, starts: std::iter::once(0).chain(breaks).collect() }
    }

    fn origin(&self, offset: usize) -> Origin {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
        Origin::File { path: self.path.to_owned(), line, column }
    }
}
