//! The types that settings have.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use busway_core::Secret;
use serde_json::{Value, json};

use super::mistake::Origin;
use super::schema::{matching, text};
use super::setting::{Reader, Setting, Written, join};
use super::tree::{Content, Node};
use super::values::{ByteSize, Rate, duration_pattern, format_duration, parse_duration};

/// A value that is written as one TOML value.
fn leaf(value: impl Into<toml::Value>) -> Written {
    Written::Leaf(value.into())
}

impl Setting for String {
    const EXPECTS: &'static str = "a string";
    fn read(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Self> {
        reader.text(node, path, Self::EXPECTS)
    }
    fn schema() -> Value {
        text(json!({ "type": "string" }))
    }
    fn write(&self) -> Written {
        leaf(self.as_str())
    }
}

impl Setting for PathBuf {
    const EXPECTS: &'static str = "a path";
    fn read(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Self> {
        reader.parsed(node, path, Self::EXPECTS, |text| match text {
            "" => Err("the path is empty".to_owned()),
            text => Ok(Self::from(text)),
        })
    }
    fn schema() -> Value {
        text(json!({ "type": "string", "minLength": 1 }))
    }
    fn write(&self) -> Written {
        leaf(self.to_string_lossy().into_owned())
    }
}

impl Setting for Secret {
    const EXPECTS: &'static str = "a secret such as { env = \"NAME\" } or { file = \"PATH\" }";
    fn read(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Self> {
        if matches!(node.origin, Origin::Set(_)) && !node.is_reference() {
            let text = "a secret on a command line is seen by everyone; give { env = \"NAME\" } or { file = \"PATH\" }";
            reader.report(&node.origin, path, text);
            return None;
        }
        let text = reader.text(node, path, Self::EXPECTS)?;
        if text.is_empty() {
            reader.report(&node.origin, path, "the secret is empty");
            return None;
        }
        Some(Self::new(text))
    }
    fn schema() -> Value {
        text(json!({ "type": "string", "minLength": 1 }))
    }
    fn write(&self) -> Written {
        Written::Hidden(self.clone())
    }
}

impl Setting for bool {
    const EXPECTS: &'static str = "true or false";
    fn read(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Self> {
        if let Content::Boolean(value) = node.content {
            return Some(value);
        }
        reader.wrong_type(node, path, Self::EXPECTS);
        None
    }
    fn schema() -> Value {
        json!({ "type": "boolean" })
    }
    fn write(&self) -> Written {
        leaf(*self)
    }
}

impl Setting for f64 {
    const EXPECTS: &'static str = "a number";
    #[expect(clippy::cast_precision_loss, reason = "settings are far below 2^52")]
    fn read(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Self> {
        match node.content {
            Content::Float(value) if value.is_finite() => Some(value),
            Content::Integer(value) => Some(value as Self),
            _ => {
                reader.wrong_type(node, path, Self::EXPECTS);
                None
            }
        }
    }
    fn schema() -> Value {
        json!({ "type": "number" })
    }
    fn write(&self) -> Written {
        leaf(*self)
    }
}

macro_rules! whole_numbers {
    ($($type:ty),+) => {$(
        impl Setting for $type {
            const EXPECTS: &'static str = "a whole number";
            fn read(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Self> {
                let Content::Integer(value) = node.content else {
                    reader.wrong_type(node, path, Self::EXPECTS);
                    return None;
                };
                let fitting = Self::try_from(value).ok();
                if fitting.is_none() {
                    reader.report(&node.origin, path, format!("{value} is out of range"));
                }
                fitting
            }
            fn schema() -> Value {
                json!({ "type": "integer", "minimum": 0, "maximum": i64::try_from(Self::MAX).unwrap_or(i64::MAX) })
            }
            fn write(&self) -> Written {
                leaf(i64::try_from(*self).unwrap_or(i64::MAX))
            }
        }
    )+};
}
whole_numbers!(u32, u64, usize);

impl Setting for Duration {
    const EXPECTS: &'static str = "a duration such as \"10s\"";
    fn read(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Self> {
        reader.parsed(node, path, Self::EXPECTS, parse_duration)
    }
    fn schema() -> Value {
        matching(&duration_pattern())
    }
    fn write(&self) -> Written {
        leaf(format_duration(*self))
    }
}

impl Setting for ByteSize {
    const EXPECTS: &'static str = "a size such as \"64MiB\"";
    fn read(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Self> {
        match node.content {
            Content::Integer(value) if value >= 0 => Some(Self(value.unsigned_abs())),
            _ => reader.parsed(node, path, Self::EXPECTS, Self::parse),
        }
    }
    fn schema() -> Value {
        let written = matching(&Self::pattern());
        json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, written] })
    }
    fn write(&self) -> Written {
        leaf(self.to_string())
    }
}

impl Setting for Rate {
    const EXPECTS: &'static str = "a rate such as \"500/s\"";
    fn read(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Self> {
        reader.parsed(node, path, Self::EXPECTS, Self::parse)
    }
    fn schema() -> Value {
        matching(Self::PATTERN)
    }
    fn write(&self) -> Written {
        leaf(self.to_string())
    }
}

impl Setting for SocketAddr {
    const EXPECTS: &'static str = "an address such as \"127.0.0.1:8620\"";
    fn read(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Self> {
        reader.parsed(node, path, Self::EXPECTS, |text| {
            let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
            let address = numeric.as_deref().unwrap_or(text).parse();
            address.map_err(|_| format!("{text:?} is not an address such as \"127.0.0.1:8620\""))
        })
    }
    fn schema() -> Value {
        matching(":[0-9]+$")
    }
    fn write(&self) -> Written {
        leaf(self.to_string())
    }
}

impl<T: Setting> Setting for Option<T> {
    const EXPECTS: &'static str = T::EXPECTS;
    fn read(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Self> {
        T::read(node, path, reader).map(Some)
    }
    fn schema() -> Value {
        T::schema()
    }
    fn write(&self) -> Written {
        self.as_ref().map_or(Written::Nothing, T::write)
    }
}

impl<T: Setting> Setting for Vec<T> {
    const EXPECTS: &'static str = "a list";
    fn read(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Self> {
        let Content::Array(nodes) = &node.content else {
            reader.wrong_type(node, path, &format!("a list, each {}", T::EXPECTS));
            return None;
        };
        let read = nodes.iter().enumerate().map(|(index, node)| {
            let path = format!("{path}[{index}]");
            reader.origins.insert(path.clone(), node.origin.clone());
            T::read(node, &path, reader)
        });
        read.collect::<Vec<_>>().into_iter().collect()
    }
    fn schema() -> Value {
        json!({ "type": "array", "items": T::schema() })
    }
    fn write(&self) -> Written {
        let written: Vec<Written> = self.iter().map(T::write).collect();
        let leaves = written.iter().map(|one| match one {
            Written::Leaf(value) => Some(value.clone()),
            Written::Hidden(_) => Some("***".into()),
            _ => None,
        });
        match leaves.collect::<Option<Vec<_>>>() {
            Some(values) if !T::IS_SECTION => leaf(values),
            _ => Written::Tables(written),
        }
    }
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    const EXPECTS: &'static str = "a table";
    fn read(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Self> {
        let table = reader.table(node, path, Self::EXPECTS)?;
        let read = table.iter().filter_map(|(key, node)| {
            let path = join(path, key);
            reader.origins.insert(path.clone(), node.origin.clone());
            Some((key.clone(), T::read(node, &path, reader)?))
        });
        Some(read.collect())
    }
    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }
    fn write(&self) -> Written {
        Written::Table(self.iter().map(|(key, value)| (key.clone(), value.write())).collect())
    }
}
