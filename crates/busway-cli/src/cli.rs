//! What may stand on the command line.

mod common;

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use clap_complete::Shell;

pub(crate) use self::common::{After, Common, Group, colour_asked};

/// One durable message bus over any broker
///
/// Producers hand in messages; busway keeps them on disk, delivers each to every endpoint that its
/// routes name, and settles it only then. What cannot go on now waits in the queue delayed; what can
/// never be delivered is kept in the queue dead with its reason.
///
/// While a run holds the store, every other verb asks it; without one, the verb opens the store
/// itself. Both ways answer the same. Answers are on standard output, logs and progress on standard
/// error; --json follows the verb and gives one JSON document, or JSON lines where the verb streams.
#[derive(Debug, Parser)]
#[command(name = "busway", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) before: Common,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Does the main job on the embedded transport with real data, and shows what happened
    ///
    /// Starts a bus in a temporary directory and an HTTP endpoint on loopback that has too much to do
    /// part of the time, publishes real webhook payloads of which one account sends most, and waits
    /// until each is delivered. It needs no configuration, reads none, and leaves nothing behind.
    Demo(Demo),
    /// Runs the bus: drains on SIGTERM, reloads on SIGHUP
    ///
    /// Holds the store, serves its socket and the HTTP interface, and delivers until it is told to
    /// stop. On SIGTERM or SIGINT it takes nothing more, finishes what is in hand within
    /// flow.shutdown_grace, and ends. On SIGHUP it reads the configuration anew. It tells systemd when
    /// it is ready. With --once it takes what is ready, delivers it and exits, for a crontab.
    Run(Run),
    /// Publishes messages; they are durable when it returns
    ///
    /// Publishes one message of the type and data given, or many as JSON lines: an event in structured
    /// form on each, of which specversion, id and source may be left out. A line that fails is named
    /// and the others go on. What is unknown may or may not be stored: publish it again with its id.
    /// A progress bar is on standard error where that is a terminal and --jsonl names a file.
    Publish(Publish),
    /// Shows the queues, accounts and endpoints with their figures
    ///
    /// For each queue how many messages are ready, in flight and delayed, the age of the oldest, and
    /// what comes in and goes out a second. With --watch it looks again every second until it is
    /// interrupted: drawn in place on a terminal, one after the other elsewhere.
    Queues(Queues),
    /// Looks at messages of a queue without taking them
    ///
    /// Shows the oldest messages of a queue, how each stands (ready, in flight, delayed), when it is due
    /// and its reason. Nothing is taken, and no attempt is counted. With --why it says of each why it
    /// waits as things stand now, since when, and what would release it.
    Peek(Peek),
    /// Shows what became of a message: each attempt, and where it is now
    ///
    /// Shows when a message was accepted, each delivery with where, when and how it ended, when it was
    /// diverted, put to wait, died or was replayed, and in which queues it is now. It is told from a
    /// journal of the last days (the section journal of the configuration); where some of it may be
    /// missing, that is said.
    Trace(Trace),
    /// Dead letters: what could not be delivered, and why
    ///
    /// A message is dead when it has no route, is past its expirytime, cannot be decoded, or failed at
    /// an endpoint for good. It is kept with its reason until it is replayed or deleted.
    Dead(Group<Dead>),
    /// Endpoints: where messages are delivered to
    ///
    /// Lists the endpoints with their state and figures, pauses and resumes one, or checks whether one
    /// can be used.
    Endpoints(Group<Endpoints>),
    /// Accounts: the tenants that share the bus
    ///
    /// Lists the accounts with their share of recent volume, pauses and resumes one, or sets its weight.
    /// Messages without an account count as the account -.
    Accounts(Group<Accounts>),
    /// The configuration
    ///
    /// Layers, each over the one before: built-in defaults, the file, environment variables of the
    /// form BUSWAY__SECTION__KEY, --set. None of these verbs connects to anything.
    Config(Group<Config>),
    /// Prints completions for a shell
    ///
    /// Prints a script by which the shell completes verbs, options and their values. Where it belongs
    /// depends on the shell: see the examples.
    Completions(Completions),
    /// Prints the manual, or writes a page for each verb
    ///
    /// Without a directory it prints the page of busway itself, as a reader of manual pages takes it.
    /// With one it writes a page for each verb there, such as busway-dead-list.1.
    Man(Man),
}

#[derive(Args, Debug)]
pub(crate) struct Demo {
    #[command(flatten)]
    pub(crate) after: After,
}

#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

#[derive(Args, Debug)]
pub(crate) struct Man {
    /// The directory to write to; made where it is not there
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Run {
    /// Takes what is ready, delivers it and exits
    #[arg(long)]
    pub(crate) once: bool,
    /// Deliveries at once [default: flow.workers]
    #[arg(long, value_name = "N", requires = "once", value_parser = at_least_one)]
    pub(crate) workers: Option<usize>,
    /// The most messages to take [default: all that are ready]
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
    /// The most messages a second [default: as fast as they are stored]
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
    /// The tenant it is counted for [default: none, counted as -]
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
    /// Says of each why it waits, since when, and what would release it
    #[arg(long)]
    pub(crate) why: bool,
    #[command(flatten)]
    pub(crate) after: After,
}

#[derive(Args, Debug)]
pub(crate) struct Trace {
    /// The message's id
    #[arg(allow_hyphen_values = true)]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) after: After,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Dead {
    /// Lists dead letters, oldest first
    ///
    /// Lists those that have all of what the selectors ask for; without a selector, all.
    List(DeadList),
    /// Shows one with its data and its history
    ///
    /// Shows one dead letter with its reason, what became of it as far as the journal has it, and the
    /// whole message.
    Show(DeadShow),
    /// Publishes them again, each to the endpoint it died for
    ///
    /// A selector is required. Each is published again with its attempts at 0, to the endpoint that it
    /// died for, in the order in which they died, and leaves the queue dead once the copy is durable.
    /// One that dies again meanwhile is left there. It prints how many left, also when it is interrupted.
    Replay(DeadReplay),
    /// Deletes them
    ///
    /// A selector is required. What is deleted is gone for good. It prints how many there were.
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
pub(crate) struct DeadReplay {
    /// The most a second [default: 1000]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) rate: Option<f64>,
    #[command(flatten)]
    pub(crate) selected: DeadSelected,
}

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("selector").required(true).multiple(true)
    .args(["id", "type", "account", "destination", "reason", "since", "until", "all"]))]
pub(crate) struct DeadSelected {
    #[command(flatten)]
    pub(crate) selectors: Selectors,
    /// All of them
    #[arg(long, conflicts_with_all = ["id", "type", "account", "destination", "reason", "since", "until"])]
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
    /// Those of this type; * stands for one word, # for any number
    #[arg(long)]
    pub(crate) r#type: Option<String>,
    /// Those of this account; - for those without
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) account: Option<String>,
    /// Those for this endpoint
    #[arg(long)]
    pub(crate) destination: Option<String>,
    /// Those that died of this, such as expired, error, or error:status-503
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Those that died at this moment (RFC 3339) or later
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<u64>,
    /// Those that died before this moment (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Endpoints {
    /// Lists them and how they stand
    ///
    /// Lists kind, state (open, or why nothing is delivered now), calls under way and their limit, what
    /// waits, and what was delivered, failed and was diverted since the start.
    List(Plain),
    /// Delivers nothing to it until it is resumed; survives restarts
    ///
    /// What is meant for it waits in the queue delayed and is delivered once it is resumed.
    Pause(Named),
    /// Delivers to it again
    ///
    /// What has waited is delivered as there is room, beside what is new.
    Resume(Named),
    /// Checks that it can be used, without delivering anything
    ///
    /// Connects to an HTTP endpoint, opens a file, looks for a program; no message is sent.
    Test(Named),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Accounts {
    /// Lists them: share, diverted, waiting since
    ///
    /// Lists each account's share of the volume within flow.window, whether it is over its limit, what of
    /// it waits and since when, and its weight.
    List(Plain),
    /// Delivers nothing of it until it is resumed; survives restarts
    ///
    /// Its messages wait in the queue delayed; those of other accounts go on.
    Pause(Named),
    /// Delivers its messages again
    ///
    /// What has waited is delivered as its turn comes.
    Resume(Named),
    /// Sets how many messages in a row it gets when accounts take turns
    ///
    /// An account with weight 3 gets three messages delivered where one with weight 1 gets one. It
    /// survives restarts. The weight is 1 where none was set.
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
    ///
    /// Writes a commented example with an HTTP endpoint, a file endpoint and a route. A file that is there
    /// is left alone unless --force is given.
    Init(ConfigInit),
    /// Checks the configuration without connecting to anything
    ///
    /// Each mistake is named with its file, line and a near match. Secrets must be set.
    Check(Plain),
    /// Prints the merged configuration, secrets hidden, and where each value comes from
    ///
    /// Every setting is printed, defaults included, with the file and line, variable or option it is from.
    Show(Plain),
    /// Prints the JSON Schema of the configuration, for editors
    ///
    /// Draft 2020-12. It refuses nothing that can be used; limits and references between sections are for
    /// config check.
    Schema(Plain),
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
    use clap::{ColorChoice, CommandFactory};

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
    fn options_between_the_words_of_a_verb_are_joined_too() {
        let line = "busway --log info dead --set x=1 --timeout 1s list --timeout 2s --json";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Verb::Dead(Group { between, verb: Dead::List(list) }) = cli.verb else { panic!("not dead list") };
        let common = list.after.common.over(between).over(cli.before);
        assert_eq!((common.log.as_deref(), common.timeout().as_secs()), (Some("info"), 2));
        assert_eq!(common.set, ["x=1"]);
    }

    #[test]
    fn the_colour_asked_for_is_known_before_the_line_is_parsed() {
        for (line, choice) in [
            ("busway queues", ColorChoice::Auto),
            ("busway --color never queues --color=always", ColorChoice::Always),
            ("busway --color", ColorChoice::Auto),
            ("busway peek -- --color=never", ColorChoice::Auto),
        ] {
            assert_eq!(colour_asked(&line.split(' ').collect::<Vec<_>>()), choice, "{line}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for line in [
            "dead replay",
            "dead delete",
            "dead delete --all --id 3",
            "dead delete --all --reason error",
            "dead delete --all --rate 3",
            "dead replay --rate 3",
            "dead replay --all --rate 0",
            "dead list --since yesterday",
            "trace",
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
