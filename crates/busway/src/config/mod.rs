//! The configuration: typed, layered, checked as a whole before anything connects.
//!
//! Layers, later ones over earlier ones: built-in defaults, one file, the environment
//! (`BUSWAY__SECTION__KEY`), `--set section.key=value`. Every mistake is reported with its place
//! and a near match, all at once. Any string may be a secret reference, `{ env = "NAME" }` or
//! `{ file = "PATH" }`. Relative paths are relative to the current directory of the process,
//! wherever the file lies.
//!
//! Each section is declared once, in the macro `settings!`; the declaration gives the struct, its
//! reader and its part of `config/default.toml`.
//!
//! | module | holds |
//! |---|---|
//! | `sections`, `transports`, `endpoints` | the declarations |
//! | `declare`, `setting`, `types` | what a declaration is made of |
//! | `tree` | values as they were written, with their places |
//! | `layers` | the layers, and [`load`] |
//! | `check` | references between sections, and limits |
//! | `schema` | the JSON Schema of a file |
//! | `show` | the merged result, and the documented default file |

mod check;
mod declare;
mod endpoints;
mod layers;
mod mistake;
mod pattern;
mod schema;
mod secret;
mod sections;
mod setting;
mod show;
#[cfg(test)]
mod tests;
mod transports;
mod tree;
mod types;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use self::endpoints::{
    Concurrency, Endpoint, ExecTarget, FileTarget, HttpTarget, Mode, Order, Policy, QueueTarget, Retry,
    Target,
};
pub use self::layers::{LoadOptions, Loaded, load};
pub use self::mistake::{ConfigError, Mistake, Origin};
pub use self::pattern::check_pattern;
pub use self::schema::schema;
pub use self::sections::{Bus, Flow, Http, Journal, Route};
pub use self::show::default_file;
pub use self::transports::{DeclareMode, Embedded, Transport, TransportCommon, TransportKind};
pub use self::values::{ByteSize, Rate, format_duration, parse_duration};
pub use busway_core::Secret;

use self::check::Declared;
use self::setting::{Reader, Section, Written};
use self::tree::{Content, Table};

/// A whole configuration.
///
/// One made in code is checked by [`Config::validate`]; one that was loaded is checked already.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[bus]`.
    pub bus: Bus,
    /// `[transports.NAME]`.
    pub transports: BTreeMap<String, Transport>,
    /// `[http]`; without it there is no HTTP interface.
    pub http: Option<Http>,
    /// `[flow]`.
    pub flow: Flow,
    /// `[journal]`.
    pub journal: Journal,
    /// `[endpoints.NAME]`.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// `[[routes]]`.
    pub routes: Vec<Route>,
}

impl Default for Config {
    /// A bus called `busway` on the embedded transport, without endpoints.
    fn default() -> Self {
        Self::named("busway")
    }
}

impl Config {
    /// A bus of this name on the embedded transport, in `var/NAME`, without endpoints.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let mut config = Self {
            bus: Bus { name: name.to_owned(), ..Bus::default() },
            transports: BTreeMap::from([("local".to_owned(), Transport::embedded(""))]),
            http: None,
            flow: Flow::default(),
            journal: Journal::default(),
            endpoints: BTreeMap::new(),
            routes: Vec::new(),
        };
        config.fill();
        config
    }

    /// Puts in what follows from the bus's name where it was left empty: the state store and the
    /// directories of embedded stores; the journal lies beside the state.
    pub fn fill(&mut self) {
        if self.bus.state.is_empty() {
            self.bus.state = format!("sqlite:var/{}/state.db", self.bus.name);
        }
        if self.journal.path.as_os_str().is_empty() {
            let state = self.bus.state.split_once(':').map_or("", |(_, path)| path);
            let state = Path::new(state.strip_prefix("//").unwrap_or(state));
            self.journal.path = state.parent().unwrap_or(Path::new("")).join("journal");
        }
        for transport in self.transports.values_mut() {
            let TransportKind::Embedded(embedded) = &mut transport.kind;
            if embedded.path.as_os_str().is_empty() {
                embedded.path = PathBuf::from(format!("var/{}/queues", self.bus.name));
            }
        }
    }

    /// Checks limits and references between sections.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let declared = Declared {
            transports: self.transports.keys().cloned().collect(),
            endpoints: self.endpoints.keys().cloned().collect(),
        };
        let mistakes = check::check(self, &declared, &|_| None);
        if mistakes.is_empty() { Ok(()) } else { Err(ConfigError { mistakes }) }
    }

    /// The most deliveries at once to an endpoint of this policy: its `concurrency.max`, else a quarter of
    /// `flow.workers`, never below its `concurrency.min`.
    #[must_use]
    pub fn max_concurrency(&self, policy: &Policy) -> usize {
        let Concurrency { min, max } = policy.concurrency;
        max.unwrap_or(self.flow.workers / 4).max(min).max(1)
    }

    /// Paths of the settings that differ between the two, in order; an added or removed entry is
    /// named as a whole.
    #[must_use]
    pub fn changes(&self, other: &Self) -> Vec<String> {
        show::differences(self, other)
    }

    const SECTIONS: [&str; 7] = ["bus", "transports", "http", "flow", "journal", "endpoints", "routes"];

    fn read(root: &Table, reader: &mut Reader<'_>) -> Self {
        reader.unknown_keys(root, "", &Self::SECTIONS);
        let optional = |name| (name, false);
        let mut config = Self {
            bus: reader.field(root, "", optional("bus"), Bus::default),
            transports: reader.field(root, "", optional("transports"), BTreeMap::new),
            http: reader.field(root, "", optional("http"), || None),
            flow: reader.field(root, "", optional("flow"), Flow::default),
            journal: reader.field(root, "", optional("journal"), Journal::default),
            endpoints: reader.field(root, "", optional("endpoints"), BTreeMap::new),
            routes: reader.field(root, "", optional("routes"), Vec::new),
        };
        config.fill();
        let names = |section: &str| match root.get(section).map(|node| &node.content) {
            Some(Content::Table(table)) => table.keys().cloned().collect(),
            _ => Default::default(),
        };
        let declared = Declared { transports: names("transports"), endpoints: names("endpoints") };
        let found = check::check(&config, &declared, &|path| reader.origins.get(path).cloned());
        let replaced = |path: &str| {
            let within = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
            reader.replaced.iter().any(|bad| path.strip_prefix(bad.as_str()).is_some_and(within))
        };
        let fresh: Vec<_> = found.into_iter().filter(|mistake| !replaced(&mistake.path)).collect();
        let all = std::mem::take(&mut reader.mistakes).into_iter().chain(fresh);
        reader.mistakes = all.map(|mistake| reader.hidden(mistake)).collect();
        config
    }

    fn written(&self) -> Written {
        use setting::Setting;
        let sections = vec![
            ("bus", Written::Table(self.bus.write_fields())),
            ("transports", self.transports.write()),
            ("http", self.http.write()),
            ("flow", Written::Table(self.flow.write_fields())),
            ("journal", Written::Table(self.journal.write_fields())),
            ("endpoints", self.endpoints.write()),
            ("routes", self.routes.write()),
        ];
        Written::Table(sections.into_iter().map(|(name, written)| (name.to_owned(), written)).collect())
    }
}
