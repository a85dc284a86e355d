//! What each verb prints, what its exit codes mean, and how it is used.

/// A row of the table of verbs, beside what the parser knows of it.
pub(crate) struct Notes {
    /// The verb's words, such as `dead list`.
    pub(crate) verb: &'static str,
    /// What is on standard output.
    pub(crate) prints: &'static str,
    /// Where an exit code means something of its own here.
    pub(crate) exits: &'static [(u8, &'static str)],
    /// Whether it reaches the bus, and so may find it away or be interrupted.
    pub(crate) reaches: bool,
    /// Command lines that work, each with what it is for.
    pub(crate) examples: &'static [(&'static str, &'static str)],
}

/// What the program's exit codes mean.
pub(super) const EXITS: [(u8, &str); 5] = [
    (0, "done"),
    (1, "failed; why is on standard error"),
    (2, "wrong usage or configuration; nothing was begun"),
    (3, "the bus, its holder or a broker could not be reached in time"),
    (130, "interrupted by SIGINT or SIGTERM"),
];

/// The variables that the program reads.
pub(super) const ENVIRONMENT: [(&str, &str); 5] = [
    ("BUSWAY_CONFIG", "the configuration file where -c names none"),
    ("BUSWAY_LOG", "what is logged where --log does not say it"),
    ("BUSWAY__SECTION__KEY", "one setting, such as BUSWAY__FLOW__WORKERS=8; stands over the file"),
    ("NO_COLOR", "no colours, where --color does not say otherwise"),
    ("TERM", "dumb: no colours, no progress bars, nothing drawn in place"),
];

/// What stands beside the parser, verb by verb.
pub(super) const NOTES: &[Notes] = &[
    Notes {
        verb: "demo",
        prints: "A table of what was published, delivered, diverted, retried, dead, lost and duplicated, \
                 and how long messages waited; with --json the same as one object.",
        exits: &[(130, "interrupted by SIGINT or SIGTERM")],
        reaches: false,
        examples: &[
            ("busway demo", "shows what the bus does, in about a quarter of a minute"),
            ("busway demo --json", "the same figures for a program"),
        ],
    },
    Notes {
        verb: "run",
        prints: "Nothing but with --once: then how many were received, delivered, diverted, retried and \
                 are dead. Logs are on standard error.",
        exits: &[
            (0, "drained after a signal; with --once, what was ready has come to an outcome"),
            (1, "not all that was in hand was finished within the grace: it is delivered again"),
            (3, "the store is held by another process, or a broker could not be reached"),
            (130, "interrupted during --once"),
        ],
        reaches: true,
        examples: &[
            ("busway run", "the daemon, with ./busway.toml"),
            (
                "busway -c /etc/busway.toml run --log info,busway=debug",
                "with another file, and more in the log",
            ),
            (
                "busway run --once --limit 1000 --json",
                "from a crontab: at most a thousand messages, then the figures",
            ),
        ],
    },
    Notes {
        verb: "publish",
        prints: "How many were published, failed and are unknown; with --json {published, failed, unknown, \
                 seconds}. What was not stored is named on standard error, by its line.",
        exits: &[
            (0, "every message is durable"),
            (1, "some failed or are unknown"),
            (130, "interrupted; what was published until then stays published"),
        ],
        reaches: true,
        examples: &[
            ("busway publish --type item.updated --account acme --data '{\"sku\":7}'", "one message"),
            ("busway publish --type note --content-type text/plain --data @note.txt", "its data from a file"),
            ("busway publish --jsonl messages.jsonl --rate 500", "a file of events, at most 500 a second"),
        ],
    },
    Notes {
        verb: "queues",
        prints: "Tables of queues, accounts and endpoints, - where a figure is not known, ~ where it is \
                 approximate; with --json {queues, accounts, endpoints}, with --watch one a line.",
        exits: &[(0, "shown; with --watch, nobody reads the output any more")],
        reaches: true,
        examples: &[
            ("busway queues", "how things stand"),
            ("busway queues --watch", "the same every second, until Ctrl-C"),
            ("busway queues --watch --json", "the same as JSON lines"),
        ],
    },
    Notes {
        verb: "peek",
        prints: "A row for each message, oldest first; with --json an array.",
        exits: &[(1, "failed; there is no such queue")],
        reaches: true,
        examples: &[
            ("busway peek delayed", "the first ten that wait"),
            ("busway peek priority -n 100 --json", "a hundred, for a program"),
            ("busway peek delayed --why", "why each waits, and what would release it"),
        ],
    },
    Notes {
        verb: "trace",
        prints: "A row for each event, then one for each queue that it is in; with --json {id, type, account, \
                 events, where, missing, cut_off, since}: missing counts entries of the journal that found no \
                 room in its time, cut_off the processes that ended then without closing the journal.",
        exits: &[(1, "failed; nothing is known of such a message")],
        reaches: true,
        examples: &[
            ("busway trace 0190-77", "what became of it, and where it is"),
            ("busway trace 0190-77 --json", "the same for a program"),
        ],
    },
    Notes {
        verb: "dead list",
        prints: "A row for each dead letter; with --json an array of {id, reason, destination, attempts, \
                 origin, since, type, account}, and replays where it was replayed.",
        exits: &[(0, "listed, be it none")],
        reaches: true,
        examples: &[
            ("busway dead list", "all"),
            (
                "busway dead list --account acme --destination inventory",
                "those of an account for an endpoint",
            ),
            ("busway dead list --json -n 100000", "up to a hundred thousand, for a program"),
        ],
    },
    Notes {
        verb: "dead show",
        prints: "Its row, its history, then the message as JSON; with --json one object with all: the keys of \
                 the row, history, missing, message.",
        exits: &[(1, "failed; there is no dead letter with this id")],
        reaches: true,
        examples: &[
            ("busway dead show 0190-77", "one dead letter with its data"),
            ("busway dead show 0190-77 --json", "the same for a program"),
        ],
    },
    Notes {
        verb: "dead replay",
        prints: "How many were replayed; with --json {replayed}, and interrupted where it was.",
        exits: &[
            (0, "done, be it none"),
            (1, "failed; what was not replayed is still dead"),
            (130, "interrupted; what was replayed until then stays replayed"),
        ],
        reaches: true,
        examples: &[
            ("busway dead replay --destination inventory", "after inventory was mended"),
            ("busway dead replay --id 0190-77", "a single one"),
            ("busway dead replay --reason error --rate 50", "all that an endpoint failed, fifty a second"),
        ],
    },
    Notes {
        verb: "dead delete",
        prints: "How many were deleted; with --json {deleted}, and interrupted where it was.",
        exits: &[
            (0, "done, be it none"),
            (1, "failed; what was not deleted is still there"),
            (130, "interrupted; what was deleted until then is gone"),
        ],
        reaches: true,
        examples: &[
            ("busway dead delete --type test.ping", "those of a type"),
            ("busway dead delete --id 0190-77 --json", "a single one"),
        ],
    },
    Notes {
        verb: "endpoints list",
        prints: "A row for each endpoint; with --json an array.",
        exits: &[],
        reaches: true,
        examples: &[
            ("busway endpoints list", "how they stand"),
            ("busway endpoints list --json", "the same for a program"),
        ],
    },
    Notes {
        verb: "endpoints pause",
        prints: "A line; with --json {endpoint, paused}.",
        exits: &[(1, "failed; there is no such endpoint")],
        reaches: true,
        examples: &[
            ("busway endpoints pause inventory", "before inventory is serviced"),
            ("busway endpoints pause inventory --json", "the same, with an answer for a program"),
        ],
    },
    Notes {
        verb: "endpoints resume",
        prints: "A line; with --json {endpoint, paused}.",
        exits: &[(1, "failed; there is no such endpoint")],
        reaches: true,
        examples: &[
            ("busway endpoints resume inventory", "after it"),
            ("busway endpoints resume inventory --json", "the same, with an answer for a program"),
        ],
    },
    Notes {
        verb: "endpoints test",
        prints: "What was found; with --json {endpoint, result}.",
        exits: &[(0, "it can be used"), (1, "it cannot be used, or there is no such endpoint")],
        reaches: true,
        examples: &[
            ("busway endpoints test audit", "whether its file can be written"),
            ("busway endpoints test audit --json", "the same for a program"),
        ],
    },
    Notes {
        verb: "accounts list",
        prints: "A row for each account; with --json an array.",
        exits: &[],
        reaches: true,
        examples: &[
            ("busway accounts list", "who shares the bus"),
            ("busway accounts list --json", "the same for a program"),
        ],
    },
    Notes {
        verb: "accounts pause",
        prints: "A line; with --json {account, paused}.",
        exits: &[],
        reaches: true,
        examples: &[
            ("busway accounts pause acme", "until acme has mended its data"),
            ("busway accounts pause -", "all messages without an account"),
        ],
    },
    Notes {
        verb: "accounts resume",
        prints: "A line; with --json {account, paused}.",
        exits: &[],
        reaches: true,
        examples: &[
            ("busway accounts resume acme", "afterwards"),
            ("busway accounts resume -", "all messages without an account"),
        ],
    },
    Notes {
        verb: "accounts weight",
        prints: "A line; with --json {account, weight}.",
        exits: &[],
        reaches: true,
        examples: &[
            ("busway accounts weight acme 3", "three of acme's in a row"),
            ("busway accounts weight acme 1", "as every other account again"),
        ],
    },
    Notes {
        verb: "config init",
        prints: "The name of the file that was written, with - the file itself; with --json {file}.",
        exits: &[(1, "failed; there is such a file already")],
        reaches: false,
        examples: &[
            ("busway config init new.toml", "writes new.toml"),
            ("busway config init -", "prints it"),
        ],
    },
    Notes {
        verb: "config check",
        prints: "ok and the files that were read; with --json {ok, files}.",
        exits: &[(0, "it can be used"), (2, "it has mistakes, which are on standard error")],
        reaches: false,
        examples: &[
            ("busway config check", "before a reload"),
            (
                "busway config check -c busway.toml --set flow.workers=8",
                "a file, with another value for a setting",
            ),
        ],
    },
    Notes {
        verb: "config show",
        prints: "The configuration as TOML, the origin of each value as a comment; with --json an object \
                 whose leaves are {value, origin}.",
        exits: &[(2, "it has mistakes, which are on standard error")],
        reaches: false,
        examples: &[
            ("busway config show", "what holds, and why"),
            ("busway --set flow.workers=8 config show --json", "the same for a program"),
        ],
    },
    Notes {
        verb: "config schema",
        prints: "The schema, with --json on one line.",
        exits: &[],
        reaches: false,
        examples: &[
            (
                "busway config schema > busway.schema.json",
                "a file that `#:schema ./busway.schema.json` in the first line of busway.toml names",
            ),
            ("busway config schema --json", "the same on one line"),
        ],
    },
    Notes {
        verb: "completions",
        prints: "The script.",
        exits: &[],
        reaches: false,
        examples: &[
            (
                "busway completions bash > busway.bash",
                "for bash: source it, or put it where bash-completion looks",
            ),
            ("busway completions zsh > _busway", "for zsh: into a directory of fpath"),
            ("busway completions fish > busway.fish", "for fish: into ~/.config/fish/completions"),
        ],
    },
    Notes {
        verb: "man",
        prints: "The page; with a directory, how many were written.",
        exits: &[],
        reaches: false,
        examples: &[
            ("busway man man1", "writes the pages to man1, to be read by: man -M . busway"),
            ("busway man > busway.1", "the main page alone"),
        ],
    },
];
