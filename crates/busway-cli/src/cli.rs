//! What may stand on the command line.

use std::path::PathBuf;
use std::time::Duration;

use busway::config::parse_duration;
use clap::{ArgGroup, Args, Parser, Subcommand};

/// One durable message bus over any broker.
#[derive(Debug, Parser)]
#[command(name = "busway", version, about, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) before: Common,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Options that may stand before or after the verb.
#[derive(Args, Clone, Debug, Default)]
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
}

impl Common {
    /// The options that hold: those after the verb over those before it.
    pub(crate) fn over(self, before: Self) -> Self {
        Self {
            config: self.config.or(before.config),
            set: [before.set, self.set].concat(),
            timeout: self.timeout.or(before.timeout),
            log: self.log.or(before.log),
        }
    }

    /// The time-out.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(10))
    }
}

/// Options that follow the verb.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct After {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Answers in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Does the main job on the embedded transport with real data, and shows what happened
    Demo(Demo),
    /// Runs the bus: drains on SIGTERM, reloads on SIGHUP
    Run(Run),
    /// Publishes messages; they are durable when it returns
    Publish(Publish),
    /// Shows the queues, accounts and endpoints with their figures
    Queues(Queues),
    /// Looks at messages of a queue without taking them
    Peek(Peek),
    /// Dead letters: what could not be delivered, and why
    #[command(subcommand)]
    Dead(Dead),
    /// Endpoints: where messages are delivered to
    #[command(subcommand)]
    Endpoints(Endpoints),
    /// Accounts: the tenants that share the bus
    #[command(subcommand)]
    Accounts(Accounts),
    /// The configuration
    #[command(subcommand)]
    Config(Config),
}

#[derive(Args, Debug)]
pub(crate) struct Demo {
    #[command(flatten)]
    pub(crate) after: After,
}

#[derive(Args, Debug)]
pub(crate) struct Run {
    /// Takes what is ready, delivers it and exits
    #[arg(long)]
    pub(crate) once: bool,
    /// Deliveries at once [default: flow.workers]
    #[arg(long, value_name = "N", requires = "once", value_parser = at_least_one)]
    pub(crate) workers: Option<usize>,
    /// The most messages to take
    #[arg(long, value_name = "N", requires = "once")]
    pub(crate) limit: Option<u64>,
    #[command(flatten)]
    pub(crate) after: After,
}

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").required(true).args(["type", "jsonl"]))]
pub(crate) struct Publish {
    /// The message's type, such as item.updated
    #[arg(long, value_name = "TYPE")]
    pub(crate) r#type: Option<String>,
    #[command(flatten)]
    pub(crate) one: One,
    /// Messages as JSON lines, each an event in structured form; - reads standard input
    #[arg(long, value_name = "FILE|-")]
    pub(crate) jsonl: Option<PathBuf>,
    /// The most messages a second
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) rate: Option<f64>,
    #[command(flatten)]
    pub(crate) after: After,
}

/// What a single message may have besides its type.
#[derive(Args, Debug)]
pub(crate) struct One {
    /// The payload: its text, @FILE, or - for standard input
    #[arg(long, value_name = "STR|@FILE|-", allow_hyphen_values = true, conflicts_with = "jsonl")]
    pub(crate) data: Option<String>,
    /// The payload's media type [default: application/json]
    #[arg(long, value_name = "TYPE", conflicts_with = "jsonl")]
    pub(crate) content_type: Option<String>,
    /// The tenant it is counted for
    #[arg(long, conflicts_with = "jsonl")]
    pub(crate) account: Option<String>,
    /// Its id [default: a new one]
    #[arg(long, conflicts_with = "jsonl")]
    pub(crate) id: Option<String>,
    /// Where it comes from [default: busway]
    #[arg(long, conflicts_with = "jsonl")]
    pub(crate) source: Option<String>,
    /// What it is about
    #[arg(long, conflicts_with = "jsonl")]
    pub(crate) subject: Option<String>,
    /// The key that order is kept by
    #[arg(long, conflicts_with = "jsonl")]
    pub(crate) key: Option<String>,
    /// 0 to 9 [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9), conflicts_with = "jsonl")]
    pub(crate) priority: Option<u8>,
    /// Not to be delivered before this moment (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "jsonl")]
    pub(crate) deliver_at: Option<u64>,
}

#[derive(Args, Debug)]
pub(crate) struct Queues {
    /// Shows them again every second until interrupted
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) after: After,
}

#[derive(Args, Debug)]
pub(crate) struct Peek {
    /// The queue's logical name: priority, delayed, dead or a further one
    pub(crate) queue: String,
    /// How many messages
    #[arg(short = 'n', value_name = "N", default_value_t = 10)]
    pub(crate) count: usize,
    #[command(flatten)]
    pub(crate) after: After,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Dead {
    /// Lists dead letters, oldest first
    List(DeadList),
    /// Shows one with its data
    Show(DeadShow),
    /// Publishes them again, each to the endpoint it died for
    Replay(DeadSelected),
    /// Deletes them
    Delete(DeadSelected),
}

#[derive(Args, Debug)]
pub(crate) struct DeadList {
    #[command(flatten)]
    pub(crate) selectors: Selectors,
    /// How many at most
    #[arg(short = 'n', value_name = "N", default_value_t = 10_000)]
    pub(crate) count: usize,
    #[command(flatten)]
    pub(crate) after: After,
}

#[derive(Args, Debug)]
pub(crate) struct DeadShow {
    /// The message's id
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) after: After,
}

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("selector").required(true).multiple(true)
    .args(["id", "type", "account", "destination", "all"]))]
pub(crate) struct DeadSelected {
    #[command(flatten)]
    pub(crate) selectors: Selectors,
    /// All of them
    #[arg(long, conflicts_with_all = ["id", "type", "account", "destination"])]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) after: After,
}

/// Which dead letters are meant: those that have all of what is given.
#[derive(Args, Clone, Debug)]
pub(crate) struct Selectors {
    /// The one with this id
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Those of this type
    #[arg(long)]
    pub(crate) r#type: Option<String>,
    /// Those of this account; - for those without
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) account: Option<String>,
    /// Those for this endpoint
    #[arg(long)]
    pub(crate) destination: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Endpoints {
    /// Lists them and how they stand
    List(Plain),
    /// Delivers nothing to it until it is resumed; survives restarts
    Pause(Named),
    /// Delivers to it again
    Resume(Named),
    /// Checks that it can be used, without delivering anything
    Test(Named),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Accounts {
    /// Lists them: share, diverted, waiting since
    List(Plain),
    /// Delivers nothing of it until it is resumed; survives restarts
    Pause(Named),
    /// Delivers its messages again
    Resume(Named),
    /// Sets how many messages in a row it gets when accounts take turns
    Weight(Weight),
}

#[derive(Args, Debug)]
pub(crate) struct Plain {
    #[command(flatten)]
    pub(crate) after: After,
}

#[derive(Args, Debug)]
pub(crate) struct Named {
    /// Its name
    #[arg(allow_hyphen_values = true)]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) after: After,
}

#[derive(Args, Debug)]
pub(crate) struct Weight {
    /// Its name
    #[arg(allow_hyphen_values = true)]
    pub(crate) name: String,
    /// Messages in a row, 1 to 1000
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) weight: u32,
    #[command(flatten)]
    pub(crate) after: After,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Writes a configuration file to start from
    Init(ConfigInit),
    /// Checks the configuration without connecting to anything
    Check(Plain),
    /// Prints the merged configuration, secrets hidden, and where each value comes from
    Show(Plain),
}

#[derive(Args, Debug)]
pub(crate) struct ConfigInit {
    /// The file to write; - prints it [default: the one of -c, else busway.toml]
    pub(crate) file: Option<PathBuf>,
    /// Replaces a file that is there
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) after: After,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number >= 1).ok_or_else(|| "must be a whole number from 1".to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse().ok();
    number.filter(|rate: &f64| rate.is_finite() && *rate > 0.0).ok_or_else(|| "must be above 0".to_owned())
}

fn moment(text: &str) -> Result<u64, String> {
    let moment = busway::core::clock::parse_rfc3339(text);
    moment.ok_or_else(|| "must be a moment such as 2030-01-31T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_parser_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_before_and_after_the_verb_are_joined() {
        let line = ["busway", "-c", "a", "--set", "x=1", "queues", "--set", "y=2", "--json"];
        let cli = Cli::try_parse_from(line).unwrap();
        let Verb::Queues(queues) = cli.verb else { panic!("not queues") };
        let common = queues.after.common.over(cli.before);
        assert_eq!(common.config, Some("a".into()));
        assert_eq!(common.set, ["x=1", "y=2"]);
        assert!(queues.after.json);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for line in [
            "dead replay",
            "dead delete --all --id 3",
            "publish",
            "publish --type a --jsonl b",
            "publish --jsonl b --account c",
            "publish --type a --priority 10",
            "publish --type a --deliver-at tomorrow",
            "run --workers 2",
            "run --once --workers 0",
            "accounts weight a 0",
            "bridge",
            "--json queues",
        ] {
            let words = std::iter::once("busway").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_err(), "{line}");
        }
    }
}
