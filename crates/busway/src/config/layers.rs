//! The layers a configuration is made of.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Config;
use super::mistake::{ConfigError, Mistake, Origin};
use super::setting::Reader;
use super::tree::{Content, Node, parse};
use super::values::ByteSize;

/// The variable that names the file.
const FILE_VARIABLE: &str = "BUSWAY_CONFIG";

/// What the variables that hold settings begin with.
const PREFIX: &str = "BUSWAY__";

/// The file that is read where none is named and it is there.
const DEFAULT_FILE: &str = "busway.toml";

/// The largest file: thousands of routes take a tenth of it.
const LARGEST_FILE: u64 = 4 << 20;

/// The most words of a setting's path that a variable or flag may name; none that there is has half as many.
const DEEPEST: usize = 16;

/// Where a configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The file; where `None`, the one that `BUSWAY_CONFIG` names, else `./busway.toml` if it is
    /// there.
    pub file: Option<PathBuf>,
    /// `section.key=value`, each laid over all that came before.
    pub set: Vec<String>,
    /// The environment; settings, the file's name and secrets are looked up in it.
    pub env: Vec<(OsString, OsString)>,
}

impl LoadOptions {
    /// These options with the environment of this process.
    #[must_use]
    pub fn from_process(file: Option<PathBuf>, set: Vec<String>) -> Self {
        Self { file, set, env: std::env::vars_os().collect() }
    }

    fn variable(&self, name: &str) -> Option<String> {
        let found = self.env.iter().find(|(key, _)| key == name);
        found.and_then(|(_, value)| value.to_str()).map(str::to_owned)
    }
}

/// A configuration that was loaded, and where it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The merged result.
    pub config: Config,
    /// Where each value that is not a default comes from, by its path, such as
    /// `endpoints.inventory.timeout`.
    pub origins: BTreeMap<String, Origin>,
    /// The text of secret references, by the path of their value.
    pub references: BTreeMap<String, String>,
    /// The files that were read, secret files excluded.
    pub files: Vec<PathBuf>,
}

/// Loads a configuration: reads the layers, merges them and checks the result. Connects to
/// nothing.
///
/// # Errors
/// All mistakes at once, each with its place.
pub fn load(options: &LoadOptions) -> Result<Loaded, ConfigError> {
    let mut mistakes = Vec::new();
    let named = options.file.clone().or_else(|| options.variable(FILE_VARIABLE).map(PathBuf::from));
    let file = named.or_else(|| Path::new(DEFAULT_FILE).exists().then(|| PathBuf::from(DEFAULT_FILE)));
    let mut root = match &file {
        Some(path) => read_file(path).map_err(|mistakes| ConfigError { mistakes })?,
        None => Node::empty(Origin::Default),
    };
    add_default_transport(&mut root);
    lay_environment(&mut root, options, &mut mistakes);
    lay_sets(&mut root, options, &mut mistakes);

    let lookup = |name: &str| options.variable(name);
    let mut reader = Reader::new(&lookup);
    reader.mistakes = mistakes;
    let Content::Table(table) = &root.content else { return Err(ConfigError { mistakes: reader.mistakes }) };
    let config = Config::read(table, &mut reader);
    if reader.mistakes.is_empty() {
        let Reader { origins, references, .. } = reader;
        return Ok(Loaded { config, origins, references, files: file.into_iter().collect() });
    }
    let mut mistakes = reader.mistakes;
    mistakes.sort_by_key(|mistake| match &mistake.origin {
        Origin::File { line, column, .. } => (*line, *column),
        _ => (usize::MAX, 0),
    });
    Err(ConfigError { mistakes })
}

fn read_file(path: &Path) -> Result<Node, Vec<Mistake>> {
    let text = read_text(path, LARGEST_FILE).map_err(|error| {
        let text = format!("cannot be read: {error}");
        vec![Mistake { origin: Origin::Default, path: path.display().to_string(), text }]
    })?;
    parse(&text, path)
}

/// Reads a file of UTF-8 that has at most so many bytes: what has more is not what it was taken for.
pub(super) fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let mut text = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut text)?;
    if text.len() as u64 > most {
        return Err(io::Error::other(format!("it is larger than {}", ByteSize(most))));
    }
    String::from_utf8(text).map_err(|error| {
        io::Error::other(format!("it is not UTF-8, at byte {}", error.utf8_error().valid_up_to()))
    })
}

/// Where no transport is configured, there is an embedded one called `local`.
fn add_default_transport(root: &mut Node) {
    if matches!(&root.content, Content::Table(table) if table.contains_key("transports")) {
        return;
    }
    let kind = Node { origin: Origin::Default, content: Content::String("embedded".into()), raw: None };
    root.overlay_at(&["transports", "local", "kind"], kind, false);
}

fn lay_environment(root: &mut Node, options: &LoadOptions, mistakes: &mut Vec<Mistake>) {
    let mut settings: Vec<(String, Option<&str>)> = options
        .env
        .iter()
        .filter_map(|(key, value)| Some((key.to_str()?.to_owned(), value.to_str())))
        .filter(|(key, _)| key.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX)))
        .collect();
    settings.sort();
    for (key, value) in settings {
        let segments: Vec<&str> = key[PREFIX.len()..].split("__").collect();
        let origin = Origin::Env(key.clone());
        let mut wrong = |text: &str| {
            mistakes.push(Mistake { origin: origin.clone(), path: String::new(), text: text.to_owned() });
        };
        match value {
            None => wrong("is not UTF-8"),
            Some(_) if segments.len() > DEEPEST || segments.iter().any(|segment| segment.is_empty()) => {
                wrong("names no setting; the form is BUSWAY__SECTION__KEY");
            }
            Some(text) => root.overlay_at(&segments, Node::from_text(text, &origin), true),
        }
    }
}

fn lay_sets(root: &mut Node, options: &LoadOptions, mistakes: &mut Vec<Mistake>) {
    for set in &options.set {
        let (key, value) =
            set.split_once('=').map_or((set.as_str(), None), |(key, value)| (key, Some(value)));
        let key = key.trim();
        let origin = Origin::Set(key.to_owned());
        let segments: Vec<&str> = key.split('.').collect();
        match value {
            Some(value)
                if segments.len() <= DEEPEST && segments.iter().all(|segment| !segment.is_empty()) =>
            {
                root.overlay_at(&segments, Node::from_text(value.trim(), &origin), false);
            }
            _ => {
                let text = "names no setting; the form is --set section.key=value".to_owned();
                mistakes.push(Mistake { origin, path: String::new(), text });
            }
        }
    }
}
