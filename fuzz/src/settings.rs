//! The configuration file, variables, flags, and values with a unit.

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::Duration;

use busway::config::{
    ByteSize, ConfigError, LoadOptions, Loaded, Rate, format_duration, load, parse_duration,
};
use serde_json::Value;

use crate::bounds::{bounded, bounded_with};

/// Memory for each byte of a file: a short value has a place, an origin and a key of its own.
const TREE: usize = 200;

/// What the variable `SECRET` holds.
const SECRET: &str = "s3cret";

/// The most that is said of a file, whatever is wrong with it.
const MOST_SAID: usize = 256 * 1024;

/// The text of a configuration file.
pub(crate) fn file(input: &[u8]) {
    let most = (1 << 20) + TREE * input.len();
    let loaded = bounded_with(most, input.len(), || load_text(input));
    if let Some(loaded) = told(loaded, input) {
        let shown = loaded.to_toml();
        let again = load_text(shown.as_bytes());
        let again = again.unwrap_or_else(|error| panic!("the shown form is refused: {error}\n{shown}"));
        assert_eq!(values_of(again.to_json()), values_of(loaded.to_json()), "{shown}");
    }
}

/// Variables (`BUSWAY__…=value`) and settings by flag, a line each.
pub(crate) fn overrides(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (env, set): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("BUSWAY__"));
    let pair = |line: &str| {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        (OsString::from(name), OsString::from(value))
    };
    let options = LoadOptions {
        file: Some(PathBuf::from("/dev/null")),
        set: set.into_iter().map(str::to_owned).collect(),
        env: env.into_iter().map(pair).collect(),
    };
    if let Some(loaded) = told(bounded(input.len(), || load(&options)), input) {
        let again = load(&options).expect("what was accepted is accepted again");
        assert_eq!(again.config, loaded.config);
    }
}

/// A duration, a size or a rate.
pub(crate) fn values(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(duration) = bounded(input.len(), || parse_duration(text)) {
        assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        assert!(duration.subsec_nanos().is_multiple_of(1_000_000), "finer than milliseconds");
    }
    if let Ok(size) = bounded(input.len(), || ByteSize::parse(text)) {
        assert_eq!(ByteSize::parse(&size.to_string()), Ok(size));
    }
    if let Ok(rate) = bounded(input.len(), || Rate::parse(text)) {
        assert_eq!(Rate::parse(&rate.to_string()), Ok(rate));
        assert!(rate.per_second() > 0.0 && rate.per > Duration::ZERO);
    }
}

fn load_text(text: &[u8]) -> Result<Loaded, ConfigError> {
    let mut file = tempfile::tempfile_in(memory()).expect("a file");
    file.write_all(text).expect("written");
    let options = LoadOptions {
        file: Some(PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))),
        set: Vec::new(),
        env: vec![("SECRET".into(), SECRET.into())],
    };
    load(&options)
}

fn memory() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

/// What was loaded; else what is wrong has been told.
fn told(loaded: Result<Loaded, ConfigError>, input: &[u8]) -> Option<Loaded> {
    match loaded {
        Ok(loaded) => Some(loaded),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && text.len() <= MOST_SAID, "{} bytes are said", text.len());
            let given = input.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
            assert!(given || !text.contains(SECRET), "a secret is told: {text}");
            None
        }
    }
}

/// The values without their origins.
fn values_of(shown: Value) -> Value {
    match shown {
        Value::Object(mut fields) if fields.len() == 2 && fields.contains_key("origin") => {
            fields.remove("value").unwrap_or_default()
        }
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name, values_of(value))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(values_of).collect()),
        other => other,
    }
}
