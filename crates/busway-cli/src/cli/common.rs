//! Options that every verb has.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use busway::config::parse_duration;
use clap::{Args, ColorChoice, Subcommand, ValueEnum};

/// Options that may stand before the verb, between its words, or after it.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// The configuration file [default: the one BUSWAY_CONFIG names, else ./busway.toml]
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Sets one setting over the file and the environment; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// How long to wait for a broker, or for the process that holds the bus [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// What is logged to standard error: error, warn, info, debug, trace, or a filter such as
    /// info,busway=debug [default: the one BUSWAY_LOG names, else info for run and warn elsewhere]
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log: Option<String>,
    /// When to colour [default: auto, which is on a terminal alone]
    #[arg(long, value_name = "WHEN", value_enum, hide_possible_values = true, help = COLOUR)]
    pub(crate) color: Option<ColorChoice>,
}

const COLOUR: &str = "When to colour: auto, always, never [default: auto, which is on a terminal alone]";

impl Common {
    /// The options that hold: these over those further left.
    pub(crate) fn over(self, before: Self) -> Self {
        Self {
            config: self.config.or(before.config),
            set: [before.set, self.set].concat(),
            timeout: self.timeout.or(before.timeout),
            log: self.log.or(before.log),
            color: self.color.or(before.color),
        }
    }

    /// The time-out.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(10))
    }
}

/// What `--color` asks for, read before the rest so that help and mistakes of usage heed it too.
pub(crate) fn colour_asked<S: AsRef<OsStr>>(words: &[S]) -> ColorChoice {
    let words: Vec<&str> = words.iter().filter_map(|word| word.as_ref().to_str()).collect();
    let options = words.split(|word| *word == "--").next().unwrap_or_default();
    let value = |at: usize| match options[at].strip_prefix("--color")? {
        "" => options.get(at + 1).copied(),
        rest => rest.strip_prefix('='),
    };
    let last = (0..options.len()).rev().find_map(value);
    last.and_then(|text| ColorChoice::from_str(text, false).ok()).unwrap_or_default()
}

/// Options that follow the verb.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct After {
    /// Answers in JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Verbs under one word, such as those of `dead`.
#[derive(Args, Debug)]
pub(crate) struct Group<V: Subcommand> {
    #[command(flatten)]
    pub(crate) between: Common,
    #[command(subcommand)]
    pub(crate) verb: V,
}
