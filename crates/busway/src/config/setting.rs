//! What a setting is made of: how it is read, with every mistake reported at its place, how it is
//! shown, and how it is documented.

use std::collections::BTreeMap;
use std::path::Path;

use busway_core::Secret;
use serde_json::Value;

use super::layers::read_text;
use super::mistake::{Mistake, Origin, suggestion};
use super::tree::{Content, Node, Table};

/// The largest file of a secret.
const LARGEST_SECRET: u64 = 64 << 10;

/// A value in the form it is shown in.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Written {
    /// Not set.
    Nothing,
    /// A single value or a list of single values.
    Leaf(toml::Value),
    /// A value that is never shown, only compared.
    Hidden(Secret),
    /// Settings in the order of their declaration.
    Table(Vec<(String, Written)>),
    /// Several tables of one kind.
    Tables(Vec<Written>),
}

/// One setting's declaration.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) doc: Vec<&'static str>,
    pub(super) required: bool,
    pub(super) default: Written,
    pub(super) expects: &'static str,
    pub(super) schema: fn() -> Value,
}

/// The declaration of one kind of a thing that has several, such as endpoints.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) about: &'static [&'static str],
    pub(super) fields: Vec<Field>,
}

impl Kind {
    pub(super) fn of<T: Section>(name: &'static str) -> Self {
        Self { name, about: T::ABOUT, fields: T::declared() }
    }

    /// This kind with further settings behind its own.
    pub(super) fn with(mut self, further: Vec<Field>) -> Self {
        self.fields.extend(further);
        self
    }
}

/// A type that a setting can have.
pub(super) trait Setting: Sized {
    /// What is expected, for messages and documentation.
    const EXPECTS: &'static str;

    /// Whether it is a table of settings, so that a list of it is written as tables.
    const IS_SECTION: bool = false;

    /// Reads it; what is wrong is reported to the reader.
    fn read(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Self>;

    /// Its form as a JSON Schema.
    fn schema() -> Value;

    /// Its shown form.
    fn write(&self) -> Written;
}

/// A table of settings of its own.
pub(super) trait Section: Sized {
    /// What it is for.
    const ABOUT: &'static [&'static str];

    /// Reads the fields that are this section's; other keys are left to the caller.
    fn read_fields(table: &Table, path: &str, reader: &mut Reader<'_>) -> Self;

    /// The shown form of its fields.
    fn write_fields(&self) -> Vec<(String, Written)>;

    /// The declarations of its fields.
    fn declared() -> Vec<Field>;
}

/// Where references to environment variables are looked up.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Collects mistakes and origins while settings are read.
pub(super) struct Reader<'a> {
    pub(super) mistakes: Vec<Mistake>,
    /// Where each value comes from, by its path.
    pub(super) origins: BTreeMap<String, Origin>,
    /// Paths of settings that are missing or wrong, for which a default stands in.
    pub(super) replaced: Vec<String>,
    /// The text of the secret references, by the path of their value.
    pub(super) references: BTreeMap<String, String>,
    /// What those references stand for; never shown.
    resolved: BTreeMap<String, String>,
    lookup: Lookup<'a>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lookup: Lookup<'a>) -> Self {
        Self {
            mistakes: Vec::new(),
            origins: BTreeMap::new(),
            replaced: Vec::new(),
            references: BTreeMap::new(),
            resolved: BTreeMap::new(),
            lookup,
        }
    }

    /// Reports a mistake.
    pub(super) fn report(&mut self, origin: &Origin, path: &str, text: impl Into<String>) {
        self.mistakes.push(Mistake { origin: origin.clone(), path: path.to_owned(), text: text.into() });
    }

    /// Reports that the value is not of the type expected; its text is not repeated.
    pub(super) fn wrong_type(&mut self, node: &Node, path: &str, expects: &str) {
        self.report(&node.origin, path, format!("expected {expects}, found {}", node.content.kind()));
    }

    /// The entries of a table.
    pub(super) fn table<'n>(&mut self, node: &'n Node, path: &str, expects: &str) -> Option<&'n Table> {
        if let Content::Table(table) = &node.content {
            return Some(table);
        }
        self.wrong_type(node, path, expects);
        None
    }

    /// Reports keys that do not exist.
    pub(super) fn unknown_keys(&mut self, table: &Table, path: &str, known: &[&str]) {
        for (key, node) in table.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            let near = suggestion(key, known.iter().copied());
            self.report(&node.origin, path, format!("unknown key `{key}`{near}"));
        }
    }

    /// Reads one field; where it is missing or wrong, `default` stands in.
    pub(super) fn field<T: Setting>(
        &mut self,
        table: &Table,
        path: &str,
        (name, required): (&str, bool),
        default: impl FnOnce() -> T,
    ) -> T {
        let inner = join(path, name);
        let Some(node) = table.get(name) else {
            if required {
                let origin = self.origins.get(path).cloned().unwrap_or(Origin::Default);
                self.report(&origin, path, format!("`{name}` is missing; it is {}", T::EXPECTS));
                self.replaced.push(inner);
            }
            return default();
        };
        self.origins.insert(inner.clone(), node.origin.clone());
        T::read(node, &inner, self).unwrap_or_else(|| {
            self.replaced.push(inner);
            default()
        })
    }

    /// The text of a string, or what its secret reference stands for.
    pub(super) fn text(&mut self, node: &Node, path: &str, expects: &str) -> Option<String> {
        match (&node.content, &node.raw) {
            (Content::String(text), _) => Some(text.clone()),
            (Content::Table(table), _) if node.is_reference() => self.resolve(node, table, path),
            (Content::Table(_) | Content::Array(_), _) | (_, None) => {
                self.wrong_type(node, path, expects);
                None
            }
            (_, Some(raw)) => Some(raw.clone()),
        }
    }

    fn resolve(&mut self, node: &Node, table: &Table, path: &str) -> Option<String> {
        let (key, target) = table.iter().next()?;
        let Content::String(target) = &target.content else { return None };
        self.references.insert(path.to_owned(), format!("{{ {key} = {target:?} }}"));
        let found = match key.as_str() {
            "env" => (self.lookup)(target).ok_or_else(|| format!("environment variable {target} is not set")),
            _ => read_text(Path::new(target), LARGEST_SECRET)
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(|error| format!("secret file {target} cannot be read: {error}")),
        };
        let found = found.and_then(|text| {
            if text.is_empty() { Err(format!("the secret in {key} {target} is empty")) } else { Ok(text) }
        });
        let found = found.map_err(|text| self.report(&node.origin, path, text)).ok()?;
        self.resolved.insert(path.to_owned(), found.clone());
        Some(found)
    }

    /// The mistake without what a reference stands for, where its text has that.
    pub(super) fn hidden(&self, mistake: Mistake) -> Mistake {
        let (Some(reference), Some(value)) =
            (self.references.get(&mistake.path), self.resolved.get(&mistake.path))
        else {
            return mistake;
        };
        let quoted = format!("{value:?}");
        let repeats =
            mistake.text.contains(value.as_str()) || mistake.text.contains(quoted.trim_matches('"'));
        if !repeats {
            return mistake;
        }
        Mistake { text: format!("what {reference} holds is not accepted here"), ..mistake }
    }

    /// Reads text by `parse`, which says what is wrong with it.
    pub(super) fn parsed<T>(
        &mut self,
        node: &Node,
        path: &str,
        expects: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(node, path, expects)?;
        let hidden =
            self.references.get(path).map(|reference| format!("what {reference} holds is not {expects}"));
        parse(&text).map_err(|wrong| self.report(&node.origin, path, hidden.unwrap_or(wrong))).ok()
    }
}

/// The path of a key within a table.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
