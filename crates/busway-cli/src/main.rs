//! The program `busway`: one durable message bus over any broker.
//!
//! | module | holds |
//! |---|---|
//! | `cli` | what may stand on the command line |
//! | `verbs` | what each verb does |
//! | `client` | how a verb reaches the bus: through its holder, or by opening it |
//! | `follow` | a bus that changes hands |
//! | `help` | the table of verbs, of which help, manual pages and docs/cli.md are made |
//! | `output` | answers on standard output, as tables or JSON; progress on standard error |
//! | `exit` | what a failure means as an exit code |
//! | `logs` | logs on standard error |
//! | `demo` | the demo's data and its closing table |

mod cli;
mod client;
mod demo;
mod exit;
mod follow;
mod help;
mod logs;
mod output;
mod verbs;

use std::process::ExitCode;

use clap::FromArgMatches;

use crate::cli::Cli;
use crate::exit::Failure;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    let command = help::command().color(cli::colour_asked(&words));
    let parsed = command.clone().try_get_matches_from(words);
    let parsed = parsed.and_then(|matches| {
        Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command.clone()))
    });
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return exit::of_usage(&error),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(verbs::run(cli));
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(Failure::Failed(format!("the runtime cannot start: {error}"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
