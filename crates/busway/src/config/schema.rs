//! The configuration's JSON Schema (draft 2020-12), for editors: made from the declarations.
//!
//! It says what one setting alone can tell: keys, types, words, forms and defaults. It refuses nothing
//! that [`load`](super::load) takes; limits, references between sections and pairs that must fit are left
//! to that.

use serde_json::{Map, Value, json};

use super::endpoints::Endpoint;
use super::sections::{Bus, Flow, Http, Journal, Route};
use super::setting::{Field, Kind, Setting, Written};
use super::transports::Transport;

/// Names of endpoints and transports, as `busway_core::Name` has them.
const NAME: &str = "^[a-z][a-z0-9_-]{0,40}$";

/// The schema of a whole file.
#[must_use]
pub fn schema() -> Value {
    let named = |of: Value, about: &str| {
        json!({
            "description": about,
            "type": "object",
            "propertyNames": { "pattern": NAME },
            "additionalProperties": of,
        })
    };
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The configuration of busway",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "bus": Bus::schema(),
            "transports": named(Transport::schema(), "The brokers, and the embedded store, by name."),
            "http": Http::schema(),
            "flow": Flow::schema(),
            "journal": Journal::schema(),
            "endpoints": named(Endpoint::schema(), "Where messages are delivered to, by name."),
            "routes": Vec::<Route>::schema(),
        },
        "$defs": {
            "reference": {
                "description": "A secret by reference: an environment variable, or a file.",
                "type": "object",
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": false,
                "properties": { "env": { "type": "string" }, "file": { "type": "string" } },
            },
        },
    })
}

/// A string of this form, or a reference to one.
pub(super) fn text(form: Value) -> Value {
    json!({ "anyOf": [form, { "$ref": "#/$defs/reference" }] })
}

/// Text that matches a pattern, or a reference to one.
pub(super) fn matching(pattern: &str) -> Value {
    text(json!({ "type": "string", "pattern": pattern }))
}

/// A table of these settings.
pub(super) fn object(about: &[&str], fields: &[Field]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|field| (field.name.to_owned(), property(field))).collect();
    let required: Vec<&str> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    json!({
        "description": description(about),
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "required": required,
    })
}

/// A table that has the settings of one of these kinds.
pub(super) fn kinds(kinds: &[Kind]) -> Value {
    let each = kinds.iter().map(|kind| {
        let mut schema = object(kind.about, &kind.fields);
        schema["properties"]["kind"] = text(json!({ "const": kind.name }));
        if let Some(required) = schema["required"].as_array_mut() {
            required.insert(0, "kind".into());
        }
        schema
    });
    // A kind by reference may be any of them.
    json!({ "anyOf": each.collect::<Vec<_>>() })
}

/// One setting: its form, what it is for, and its default.
fn property(field: &Field) -> Value {
    let mut schema = (field.schema)();
    schema["description"] = description(&field.doc).into();
    if let Some(default) = default(&field.default).filter(|_| !field.required) {
        schema["default"] = default;
    }
    schema
}

fn description(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// The default as it would be written; empty text stands for what follows from other settings.
fn default(written: &Written) -> Option<Value> {
    match written {
        Written::Leaf(toml::Value::String(text)) if text.is_empty() => None,
        Written::Leaf(value) => serde_json::to_value(value).ok(),
        Written::Table(fields) => {
            let given = fields.iter().filter_map(|(key, value)| Some((key.clone(), default(value)?)));
            let given: Map<String, Value> = given.collect();
            (!given.is_empty()).then_some(Value::Object(given))
        }
        Written::Nothing | Written::Hidden(_) | Written::Tables(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{Config, LoadOptions, load};

    /// Whether the schema and the program take this file.
    fn taken(text: &str) -> (bool, bool) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("busway.toml");
        std::fs::write(&file, text).unwrap();
        let env = [("S", "s"), ("KIND", "file"), ("WINDOW", "1s")];
        let env = env.map(|(name, value)| (name.into(), value.into())).to_vec();
        let options = LoadOptions { file: Some(file), env, ..LoadOptions::default() };
        let value = serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap();
        (jsonschema::validator_for(&schema()).unwrap().is_valid(&value), load(&options).is_ok())
    }

    const FILE: &str = "[endpoints.a]\nkind = \"file\"\npath = \"x\"\n";

    #[test]
    fn it_is_a_schema_of_its_draft() {
        jsonschema::meta::validate(&schema()).unwrap();
        let broken = json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "tabel" });
        assert!(jsonschema::meta::validate(&broken).is_err());
    }

    #[test]
    fn it_has_every_section() {
        let schema = schema();
        let mut sections: Vec<&str> =
            schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected = Config::SECTIONS;
        sections.sort_unstable();
        expected.sort_unstable();
        assert_eq!(sections, expected);
    }

    #[test]
    fn the_files_of_the_project_are_valid() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
        assert!(files.len() >= 2, "{files:?}");
        for file in files {
            assert_eq!(taken(&std::fs::read_to_string(&file).unwrap()), (true, true), "{}", file.display());
        }
    }

    #[test]
    fn it_takes_what_the_program_takes() {
        for text in [
            "",
            "[bus]\nname = { env = \"S\" }",
            "[bus]\nstate = \"\"",
            "[http]\ntoken = { env = \"S\" }\nmax_body = 204800\nhosts = [\"a\", { env = \"S\" }]",
            "[http]\nmax_body = \"200 kib\"\nlisten = \"localhost:80\"",
            "[http]\nlisten = \"[::1]:80\"",
            "[flow]\nwindow = \"1m30s\"\nmax_share = 1",
            "[flow]\nwindow = { env = \"WINDOW\" }\nmax_share = 0.5",
            "[journal]\nkeep = \"0s\"\nmax_size = \"1GB\"",
            "[transports.local]\nkind = \"embedded\"\ndeclare = \"verify\"",
            "[endpoints.a]\nkind = \"http\"\nurl = \"http://h/\"\nheaders = { x = { env = \"S\" }, y = \"z\" }\nmode = \"forget\"",
            "[endpoints.a]\nkind = \"exec\"\ncommand = [\"x\"]\nenv = { A = \"b\" }",
            "[endpoints.a]\nkind = \"queue\"\nqueue = \"q\"\nrate = \"5/m\"\nretry = { attempts = 1 }\nconcurrency = { min = 1 }",
            "[endpoints.a]\nkind = { env = \"KIND\" }\npath = \"x\"",
            &format!("{FILE}order = \"account\"\n[[routes]]\ntype = [\"#\"]\nto = [\"a\"]"),
            &format!("{FILE}[[routes]]\ntype = [\"a.*\"]\naccount = [\"b\"]\nto = [\"a\"]"),
        ] {
            assert_eq!(taken(text), (true, true), "{text}");
        }
    }

    #[test]
    fn it_refuses_what_the_program_refuses() {
        for text in [
            "[bsu]",
            "bus = 1",
            "[bus]\nnam = \"x\"",
            "[bus]\nname = 1",
            "[bus]\nname = 2026-01-01",
            "[bus]\nname = { env = \"S\", file = \"x\" }",
            "[bus]\nname = { env = 1 }",
            "[bus]\nname = { vault = \"x\" }",
            "[flow]\nworkers = \"many\"",
            "[flow]\nworkers = { env = \"S\" }",
            "[flow]\nworkers = -1",
            "[flow]\nworkers = 1.5",
            "[flow]\nwindow = 10",
            "[flow]\nwindow = \"10\"",
            "[flow]\nwindow = \"soon\"",
            "[flow]\nwindow = \"1.5s\"",
            "[flow]\nmax_share = \"1\"",
            "[flow]\nmax_share = nan",
            "[flow]\ncredit_bytes = \"1XB\"",
            "[flow]\ncredit_bytes = \"MiB\"",
            "[flow]\ncredit_bytes = -1",
            "[http]\ntoken = \"\"",
            "[http]\nlisten = \"127.0.0.1\"",
            "[http]\nhosts = \"a\"",
            "[journal]\npath = \"\"",
            "[transports.local]\nkind = \"embeded\"",
            "[transports.local]\npath = \"x\"",
            "[transports.Local]\nkind = \"embedded\"",
            "[transports.local]\nkind = \"embedded\"\ndeclare = \"maybe\"",
            "[endpoints.a]\nkind = \"http\"",
            "[endpoints.a]\nkind = \"file\"\npath = \"x\"\nurl = \"http://h/\"",
            "[endpoints.a]\nkind = \"file\"\npath = \"\"",
            &format!("{FILE}rate = \"0/s\""),
            &format!("{FILE}rate = \"+5/s\""),
            &format!("{FILE}rate = \"5/y\""),
            &format!("{FILE}order = \"partition\""),
            &format!("{FILE}retry = {{ atempts = 1 }}"),
            &format!("{FILE}retry = {{ attempts = 4294967296 }}"),
            &format!("{FILE}concurrency = 3"),
            &format!("{FILE}[[routes]]\ntype = [\"#\"]"),
            &format!("{FILE}[[routes]]\ntype = \"#\"\nto = [\"a\"]"),
            &format!("{FILE}[[routes]]\ntype = [1]\nto = [\"a\"]"),
        ] {
            assert_eq!(taken(text), (false, false), "{text}");
        }
    }

    #[test]
    fn what_it_cannot_say_the_program_refuses() {
        for text in [
            // To a schema, 1.0 is a whole number.
            "[flow]\nworkers = 1.0",
            // Limits.
            "[flow]\nworkers = 0",
            "[flow]\nwindow = \"0s\"",
            "[flow]\ncredit_bytes = \"99999999999TiB\"",
            "[http]\nlisten = \"127.0.0.1:99999\"",
            "[bus]\nname = \"Shop\"",
            // Pairs that must fit.
            "[http]\nlisten = \"0.0.0.0:8620\"",
            &format!("{FILE}retry = {{ first = \"2h\" }}"),
            // References between sections, and out of the file.
            "[bus]\ntransport = \"elsewhere\"",
            &format!("{FILE}[[routes]]\ntype = [\"#\"]\nto = [\"b\"]"),
            "[bus]\nname = { env = \"NOT_SET\" }",
            // The form of what is text to it.
            "[bus]\nstate = \"mysql:x\"",
            "[endpoints.a]\nkind = \"http\"\nurl = \"h\"",
            &format!("{FILE}[[routes]]\ntype = [\"a..b\"]\nto = [\"a\"]"),
        ] {
            assert_eq!(taken(text), (true, false), "{text}");
        }
    }

    /// How many defaults there are within, each of the form that it is a default of.
    fn proper_defaults(whole: &Value, within: &Value) -> usize {
        let inner = match within {
            Value::Object(entries) => entries.values().map(|one| proper_defaults(whole, one)).sum(),
            Value::Array(entries) => entries.iter().map(|one| proper_defaults(whole, one)).sum(),
            _ => 0,
        };
        let Some(default) = within.get("default").filter(|_| within.get("description").is_some()) else {
            return inner;
        };
        let mut form = within.clone();
        form["$defs"] = whole["$defs"].clone();
        assert!(jsonschema::validator_for(&form).unwrap().is_valid(default), "{within}");
        inner + 1
    }

    #[test]
    fn each_default_is_of_its_form() {
        let schema = schema();
        let found = proper_defaults(&schema, &schema);
        assert!(found > 30, "{found}");
    }

    #[test]
    fn it_shows_defaults_words_and_what_each_is_for() {
        let schema = schema();
        let flow = &schema["properties"]["flow"];
        assert_eq!(flow["description"], "How much is done at once, and how accounts share it.");
        let flow = &flow["properties"];
        assert_eq!((&flow["workers"]["default"], &flow["window"]["default"]), (&json!(64), &json!("10s")));
        assert_eq!(flow["workers"]["description"], "Deliveries at once, over all endpoints.");
        let http = &schema["properties"]["endpoints"]["additionalProperties"]["anyOf"][0];
        assert_eq!(http["required"], json!(["kind", "url"]));
        assert_eq!(http["description"], "A POST with the message in binary mode.");
        assert_eq!(http["properties"]["mode"]["anyOf"][0]["enum"], json!(["wait", "forget"]));
        assert_eq!(
            http["properties"]["retry"]["default"],
            json!({ "attempts": 10, "first": "1s", "max": "1h" })
        );
        assert!(schema["properties"]["http"]["properties"]["token"]["default"].is_null());
    }
}
