//! The program behind `cargo xtask bench`: runs cases and prints a row for each measure.
//!
//! It exits 0 when all is done, 1 when a case failed or a message was lost, 2 on wrong usage; with
//! `--check` 4 where a limit is missed and 5 where there were too few pairs to judge one.

use std::io::Write;
use std::process::ExitCode;

use busway_benches::{Bench, CASES, Case, Options, Row, Verdict, row};

const USAGE: &str = "\
Usage: cargo xtask bench CASE… [OPTIONS]

Options:
  --json           One JSON object a line for each measure
  --check          Exit 4 where a measure misses its limit, 5 where there were too few pairs to tell
  --pairs <N>      Pairs of each measure, 5 or more [default: 15]
  --measure <NAME> This measure of the cases alone
  --quick          The shortest form: few messages, one pair; shows that a case works, not how fast
  --dir <PATH>     Where stores are put, on the disk to measure

Cases:
";

fn main() -> ExitCode {
    let asked = match parse() {
        Ok(asked) => asked,
        Err(error) => {
            eprintln!("bench: {error}\n\n{}", help());
            return ExitCode::from(2);
        }
    };
    if asked.help {
        print!("{}", help());
        return ExitCode::SUCCESS;
    }
    let mut worst = Verdict::Met;
    let mut print = |row: &Row| show(row, asked.json);
    if !asked.json {
        println!("{}", row::HEAD);
    }
    for case in &asked.cases {
        let mut bench = Bench::new(case.name, &asked.options, &mut print);
        if let Err(error) = (case.run)(&mut bench) {
            eprintln!("bench: {error:#}");
            return ExitCode::FAILURE;
        }
        worst = worst.max(bench.verdict());
    }
    match worst {
        Verdict::Lost => ExitCode::FAILURE,
        Verdict::Missed if asked.check => ExitCode::from(4),
        Verdict::Inconclusive if asked.check => ExitCode::from(5),
        _ => ExitCode::SUCCESS,
    }
}

#[derive(Default)]
struct Asked {
    cases: Vec<&'static Case>,
    options: Options,
    json: bool,
    check: bool,
    help: bool,
}

fn parse() -> Result<Asked, lexopt::Error> {
    use lexopt::prelude::*;
    let mut asked = Asked::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => asked.help = true,
            Long("json") => asked.json = true,
            Long("check") => asked.check = true,
            Long("quick") => {
                asked.options.quick = true;
                asked.options.pairs = 1;
            }
            Long("pairs") => match parser.value()?.parse()? {
                0..5 => return Err("--pairs: at least 5".into()),
                pairs => asked.options.pairs = pairs,
            },
            Long("measure") => asked.options.measure = Some(parser.value()?.string()?),
            Long("dir") => asked.options.directory = parser.value()?.into(),
            Value(name) => {
                let name = name.string()?;
                let case = CASES.iter().find(|case| case.name == name);
                asked.cases.push(case.ok_or_else(|| format!("no such case: {name}"))?);
            }
            other => return Err(other.unexpected()),
        }
    }
    if asked.cases.is_empty() && !asked.help {
        return Err("which case?".into());
    }
    Ok(asked)
}

fn help() -> String {
    CASES.iter().fold(USAGE.to_owned(), |text, case| text + &format!("  {:<14} {}\n", case.name, case.about))
}

fn show(row: &Row, json: bool) {
    let line =
        if json { serde_json::to_string(row).unwrap_or_else(|error| error.to_string()) } else { row.text() };
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
        eprintln!("bench: the row cannot be printed: {error}");
    }
}
