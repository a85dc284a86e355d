//! A configuration as it is shown: merged, with secrets hidden and origins named; and the
//! documented file of all defaults.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::Config;
use super::endpoints::{Endpoint, Policy};
use super::layers::Loaded;
use super::secret::without_userinfo;
use super::sections::{Bus, Flow, Http, Journal, Route};
use super::setting::{Field, Kind, Section, Written, join};
use super::transports::Transport;

const HIDDEN: &str = "***";

impl Loaded {
    /// The merged result as TOML: secrets hidden, and at the end of each line where its value
    /// comes from.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        if let Written::Table(sections) = self.config.written() {
            for (name, written) in sections {
                self.section(&mut out, &name, &name, &written, false);
            }
        }
        out
    }

    /// The merged result as JSON: each value as `{value, origin}`, secrets hidden.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.json("", &self.config.written())
    }

    /// The origin of a field: its own, a default where it was not given.
    fn field_origin(&self, path: &str) -> String {
        self.origins.get(path).map_or_else(|| "default".to_owned(), ToString::to_string)
    }

    /// A leaf's shown text: the reference it came by, `***`, or its value as TOML.
    fn shown(&self, path: &str, written: &Written) -> Option<String> {
        let reference = self.references.get(path).cloned();
        match written {
            Written::Leaf(toml::Value::Array(values)) => {
                let shown = values.iter().enumerate().map(|(index, value)| {
                    let reference = self.references.get(&format!("{path}[{index}]")).cloned();
                    reference.unwrap_or_else(|| masked(value).to_string())
                });
                Some(format!("[{}]", shown.collect::<Vec<_>>().join(", ")))
            }
            Written::Leaf(value) => Some(reference.unwrap_or_else(|| masked(value).to_string())),
            Written::Hidden(_) => Some(reference.unwrap_or_else(|| format!("{HIDDEN:?}"))),
            _ => None,
        }
    }

    fn section(&self, out: &mut String, header: &str, path: &str, written: &Written, listed: bool) {
        match written {
            Written::Table(fields) => {
                let leaves =
                    fields.iter().any(|(_, field)| matches!(field, Written::Leaf(_) | Written::Hidden(_)));
                if leaves || listed {
                    let header = if listed { format!("[[{header}]]") } else { format!("[{header}]") };
                    out.push_str(&format!("{}{header}\n", if out.is_empty() { "" } else { "\n" }));
                }
                for (key, field) in fields {
                    let path = join(path, key);
                    if let Some(shown) = self.shown(&path, field) {
                        let origin = self.field_origin(&path);
                        out.push_str(&format!("{} = {shown}  # {origin}\n", quoted(key)));
                    }
                }
                for (key, field) in fields {
                    self.section(out, &join(header, &quoted(key)), &join(path, key), field, false);
                }
            }
            Written::Tables(tables) => {
                for (index, table) in tables.iter().enumerate() {
                    self.section(out, header, &format!("{path}[{index}]"), table, true);
                }
            }
            Written::Nothing | Written::Leaf(_) | Written::Hidden(_) => {}
        }
    }

    fn json(&self, path: &str, written: &Written) -> Value {
        let leaf = |value: Value| match self.references.get(path) {
            Some(reference) => json!({"value": reference, "origin": self.field_origin(path)}),
            None => json!({"value": value, "origin": self.field_origin(path)}),
        };
        match written {
            Written::Nothing => leaf(Value::Null),
            Written::Hidden(_) => leaf(HIDDEN.into()),
            Written::Leaf(toml::Value::Array(values)) => {
                let one = |(index, value): (usize, &toml::Value)| {
                    let reference = self.references.get(&format!("{path}[{index}]")).cloned();
                    reference.map_or_else(|| json!(masked(value)), Value::from)
                };
                leaf(values.iter().enumerate().map(one).collect())
            }
            Written::Leaf(value) => leaf(json!(masked(value))),
            Written::Table(fields) => {
                let entries =
                    fields.iter().map(|(key, field)| (key.clone(), self.json(&join(path, key), field)));
                Value::Object(entries.collect::<Map<_, _>>())
            }
            Written::Tables(tables) => {
                let entries = tables.iter().enumerate();
                entries.map(|(index, table)| self.json(&format!("{path}[{index}]"), table)).collect()
            }
        }
    }
}

/// The value, with the user part hidden where it is a URL.
fn masked(value: &toml::Value) -> toml::Value {
    match value {
        toml::Value::String(text) => without_userinfo(text).into(),
        other => other.clone(),
    }
}

/// A key as TOML wants it.
fn quoted(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { format!("{key:?}") }
}

/// Paths at which two configurations differ; of hidden values only that they differ is told.
pub(super) fn differences(old: &Config, new: &Config) -> Vec<String> {
    let mut changed = BTreeSet::new();
    compare(&mut changed, "", &old.written(), &new.written());
    changed.into_iter().collect()
}

fn compare(changed: &mut BTreeSet<String>, path: &str, old: &Written, new: &Written) {
    let (Written::Table(below), Written::Table(above)) = (old, new) else {
        if old != new {
            changed.insert(path.to_owned());
        }
        return;
    };
    let below: BTreeMap<_, _> = below.iter().map(|(key, value)| (key, value)).collect();
    let above: BTreeMap<_, _> = above.iter().map(|(key, value)| (key, value)).collect();
    for key in below.keys().chain(above.keys()).collect::<BTreeSet<_>>() {
        let path = join(path, key);
        match (below.get(key), above.get(key)) {
            (Some(old), Some(new)) => compare(changed, &path, old, new),
            _ => {
                changed.insert(path);
            }
        }
    }
}

/// The documented file of all settings with their defaults; it loads as it stands.
#[must_use]
pub fn default_file() -> String {
    let mut out = String::from(INTRODUCTION);
    let mut part = |about: &str, comment: &str, header: &str, fields: &[Field]| {
        out.push_str(&format!("\n# {about}\n"));
        for line in header.lines() {
            out.push_str(&format!("{comment}{line}\n"));
        }
        settings(&mut out, comment, fields);
    };
    part("The bus's name, and where its queues and its state live.", "", "[bus]", &Bus::declared());
    for Kind { name: kind, fields, .. } in Transport::documented() {
        let header = format!("[transports.local]\nkind = \"{kind}\"");
        part(&format!("A transport of kind {kind}."), "", &header, &fields);
    }
    part("The HTTP interface; without this section there is none.", "#", "[http]", &Http::declared());
    part("How much is done at once, and how accounts share it.", "", "[flow]", &Flow::declared());
    let journal = "What became of each message, for `busway trace`; never a body.";
    part(journal, "", "[journal]", &Journal::declared());
    for Kind { name: kind, fields, .. } in Endpoint::documented() {
        let header = format!("[endpoints.NAME]\nkind = \"{kind}\"");
        part(&format!("An endpoint of kind {kind}."), "#", &header, &fields);
    }
    part("What every endpoint has besides.", "#", "", &Policy::declared());
    let routes = "Which messages go to which endpoints; a message goes once to each that any route names.";
    part(routes, "#", "[[routes]]", &Route::declared());
    out
}

const INTRODUCTION: &str = "\
# Every setting with its default. Lines that begin with # and no space are settings that have no
# default, or sections that have to be asked for.
#
# Over this file go environment variables (BUSWAY__SECTION__KEY) and --set section.key=value.
# Any string may be { env = \"NAME\" } or { file = \"PATH\" }. Durations: 500ms, 10s, 5m, 1h, 2d;
# sizes: 200KiB, 64MiB; rates: 500/s, 30/m. Relative paths start at the current directory.
";

fn settings(out: &mut String, comment: &str, fields: &[Field]) {
    for field in fields {
        for line in &field.doc {
            out.push_str(&format!("#{line}\n"));
        }
        let value = match &field.default {
            Written::Leaf(toml::Value::String(text)) if text.is_empty() => None,
            Written::Leaf(toml::Value::Array(values)) if values.is_empty() => None,
            Written::Table(inner) if inner.is_empty() => None,
            Written::Table(inner) => Some(inline(inner)),
            Written::Leaf(value) => Some(value.to_string()),
            _ => None,
        };
        let (name, expects) = (field.name, field.expects);
        match value {
            Some(value) => out.push_str(&format!("{comment}{name} = {value}\n")),
            None if field.required => out.push_str(&format!("#{name} =  # required: {expects}\n")),
            None => out.push_str(&format!("#{name} =  # {expects}\n")),
        }
    }
}

fn inline(fields: &[(String, Written)]) -> String {
    let shown = fields.iter().filter_map(|(key, field)| match field {
        Written::Leaf(value) => Some(format!("{key} = {value}")),
        _ => None,
    });
    format!("{{ {} }}", shown.collect::<Vec<_>>().join(", "))
}
