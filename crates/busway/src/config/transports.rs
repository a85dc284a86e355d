//! `[transports.NAME]`: the brokers, and the embedded store.

use std::path::PathBuf;

use serde_json::Value;

use super::declare::{choices, settings};
use super::mistake::suggestion;
use super::schema::kinds;
use super::setting::{Kind, Reader, Section, Setting, Written};
use super::tree::Node;
use super::values::ByteSize;

/// The kinds of transports that this program has.
pub(super) const KINDS: [&str; 1] = ["embedded"];

choices! {
    /// Whether queues that do not exist are made.
    pub enum DeclareMode {
        /// They are made.
        Create = "create",
        /// Nothing is made; what an administrator must create is printed.
        Verify = "verify",
    }
}

settings! {
    /// What every transport has.
    pub struct TransportCommon expects "a table" {
        /// `create` makes queues that do not exist, `verify` prints what an administrator must
        /// create.
        declare: DeclareMode = DeclareMode::Create,
    }
}

settings! {
    /// The store of this host: a directory, held by one process at a time, which serves the others
    /// through a socket.
    pub struct Embedded expects "a table" {
        /// Its directory. Left out, it is `var/NAME/queues`, NAME being the bus's.
        path: PathBuf = PathBuf::new(),
        /// The largest message, payload and attributes together; 336KiB to 64MiB, and 136KiB more than
        /// `http.max_body`.
        max_message: ByteSize = ByteSize::mib(2),
    }
}

/// One transport.
#[derive(Clone, Debug, PartialEq)]
pub struct Transport {
    /// What every transport has.
    pub common: TransportCommon,
    /// What its kind has.
    pub kind: TransportKind,
}

/// What is particular to a kind of transport.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TransportKind {
    /// The store of this host.
    Embedded(Embedded),
}

impl Transport {
    /// An embedded store in this directory.
    #[must_use]
    pub fn embedded(path: impl Into<PathBuf>) -> Self {
        Self {
            common: TransportCommon::default(),
            kind: TransportKind::Embedded(Embedded { path: path.into(), ..Embedded::default() }),
        }
    }

    /// The word for its kind.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            TransportKind::Embedded(_) => "embedded",
        }
    }

    /// The declarations by kind, with what every transport has.
    pub(super) fn documented() -> Vec<Kind> {
        vec![Kind::of::<Embedded>("embedded").with(TransportCommon::declared())]
    }
}

impl Setting for Transport {
    const EXPECTS: &'static str = "a table";

    fn read(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Self> {
        let table = reader.table(node, path, Self::EXPECTS)?;
        let kind = read_kind(node, path, reader, &KINDS)?;
        let documented = Self::documented();
        let fields = &documented.iter().find(|known| known.name == kind)?.fields;
        let known: Vec<&str> = std::iter::once("kind").chain(fields.iter().map(|field| field.name)).collect();
        reader.unknown_keys(table, path, &known);
        Some(Self {
            common: TransportCommon::read_fields(table, path, reader),
            kind: TransportKind::Embedded(Embedded::read_fields(table, path, reader)),
        })
    }

    fn schema() -> Value {
        kinds(&Self::documented())
    }

    fn write(&self) -> Written {
        let mut fields = vec![("kind".to_owned(), Written::Leaf(self.kind_name().into()))];
        match &self.kind {
            TransportKind::Embedded(embedded) => fields.extend(embedded.write_fields()),
        }
        fields.extend(self.common.write_fields());
        Written::Table(fields)
    }
}

/// Reads the `kind` of a table; one of `kinds`, else it is reported.
pub(super) fn read_kind(
    node: &Node,
    path: &str,
    reader: &mut Reader<'_>,
    kinds: &[&'static str],
) -> Option<&'static str> {
    let table = reader.table(node, path, "a table")?;
    let Some(kind) = table.get("kind") else {
        reader.report(&node.origin, path, format!("`kind` is missing; known: {}", kinds.join(", ")));
        return None;
    };
    let inner = super::setting::join(path, "kind");
    reader.origins.insert(inner.clone(), kind.origin.clone());
    let text = reader.text(kind, &inner, "a string")?;
    let found = kinds.iter().find(|known| **known == text).copied();
    if found.is_none() {
        let near = suggestion(&text, kinds.iter().copied());
        reader.report(&kind.origin, &inner, format!("unknown kind {text:?}{near}"));
    }
    found
}
