//! The project's own tasks: `cargo xtask help` lists them.
//!
//! Each task is a module; this file reads the command line and turns the outcome into an exit code:
//! 0 done, 1 failed, 2 wrong usage, 4 a limit was missed, 5 inconclusive (something that had to run did not), 130 interrupted.

mod bench;
mod fuzz;
mod provision;
mod signals;
mod test;
mod tidy;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

const HELP: &str = "\
The tasks of this project.

Usage: cargo xtask <TASK> [OPTIONS]

Tasks:
  bench  Measure what busway does on this machine, beside a twin: `cargo xtask bench --help` lists the cases
  test   Check and test everything, and close with a table of what ran
  fuzz   Run the fuzz targets, led by coverage: cargo xtask fuzz [TARGET...] [--seconds N]
  tidy   Check the rules of the project: arrows between crates, licences, sources, documents
  help   Print this text

Options of `test`:
  --provision          Install what the tests need and this machine lacks (so does CI=true)
  --long               The long forms of the tests (BUSWAY_TEST_LONG=1)
  --only <STEP>...     These steps alone: toolchain, fmt, clippy, tidy, build, test, doc, examples
  --filter <TEXT>      In step `test`, only the test binaries whose name contains TEXT
  --stop-after <S>     Stop by itself after S seconds (default 4500; with --long 21600)
  --json               One JSON document on standard output, the rest on standard error
";

/// What a task came to; the exit code says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    Failed,
    Inconclusive,
    Interrupted,
    /// As a program told it that a task is only the front of.
    Code(u8),
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        ExitCode::from(match verdict {
            Verdict::Done => 0,
            Verdict::Failed => 1,
            Verdict::Inconclusive => 5,
            Verdict::Interrupted => 130,
            Verdict::Code(code) => code,
        })
    }
}

fn main() -> ExitCode {
    let task = match parse() {
        Ok(task) => task,
        Err(error) => {
            eprintln!("xtask: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let outcome = match task {
        Task::Help => {
            print!("{HELP}");
            Ok(Verdict::Done)
        }
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Tidy => tidy::run(),
        Task::Test(options) => Ok(test::run(&options)),
    };
    match outcome {
        Ok(verdict) => verdict.into(),
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

enum Task {
    Help,
    Bench(Vec<OsString>),
    Fuzz(fuzz::Options),
    Tidy,
    Test(test::Options),
}

fn parse() -> Result<Task, lexopt::Error> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_env();
    let task = match parser.next()? {
        None | Some(Long("help") | Short('h')) => return Ok(Task::Help),
        Some(Value(task)) => task.string()?,
        Some(other) => return Err(other.unexpected()),
    };
    match task.as_str() {
        "help" => Ok(Task::Help),
        "bench" => Ok(Task::Bench(parser.raw_args()?.collect())),
        "tidy" => match parser.next()? {
            None => Ok(Task::Tidy),
            Some(Long("help") | Short('h')) => Ok(Task::Help),
            Some(other) => Err(other.unexpected()),
        },
        "fuzz" => parse_fuzz(&mut parser),
        "test" => parse_test(&mut parser),
        other => Err(format!("no such task: {other}").into()),
    }
}

fn parse_fuzz(parser: &mut lexopt::Parser) -> Result<Task, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = fuzz::Options { seconds: fuzz::SECONDS, ..fuzz::Options::default() };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(Task::Help),
            Long("seconds") => options.seconds = parser.value()?.parse()?,
            Value(target) => options.targets.push(target.string()?),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Task::Fuzz(options))
}

fn parse_test(parser: &mut lexopt::Parser) -> Result<Task, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = test::Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(Task::Help),
            Long("provision") => options.provision = true,
            Long("long") => options.long = true,
            Long("json") => options.json = true,
            Long("filter") => options.filter = Some(parser.value()?.string()?),
            Long("stop-after") => options.stop_after_seconds = Some(parser.value()?.parse()?),
            Long("only") => {
                for value in parser.values()? {
                    options.only.extend(value.string()?.split(',').map(str::to_owned));
                }
            }
            other => return Err(other.unexpected()),
        }
    }
    options.check().map_err(lexopt::Error::from)?;
    Ok(Task::Test(options))
}
