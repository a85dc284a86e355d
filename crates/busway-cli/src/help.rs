//! The table of verbs: what the parser knows, and beside it what each verb prints, its exit codes and
//! examples of its use. Help, manual pages, completions and docs/cli.md are made from it.
//!
//! | module | holds |
//! |---|---|
//! | `notes` | what stands beside the parser: the rows of the table |
//! | `man` | manual pages |
//! | `markdown` | docs/cli.md, and the test that it is as the table says |

pub(crate) mod man;
#[cfg(test)]
mod markdown;
mod notes;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use clap::builder::StyledStr;
use clap::builder::styling::Styles;
use clap::{Command, CommandFactory};

use self::notes::{ENVIRONMENT, EXITS, NOTES, Notes};
use crate::cli::Cli;

/// The command line as the parser takes it, with all that help says.
pub(crate) fn command() -> Command {
    let command = Cli::command().after_help(root_help(false)).after_long_help(root_help(true));
    NOTES.iter().fold(command, |command, notes| noted(command, notes.verb, notes))
}

/// The notes of a verb, by its words after the program's name.
pub(crate) fn notes(verb: &str) -> Option<&'static Notes> {
    NOTES.iter().find(|notes| notes.verb == verb)
}

/// The exit codes of a verb; those of the program without one.
pub(crate) fn exits(notes: Option<&Notes>) -> Vec<(u8, &'static str)> {
    let Some(notes) = notes else { return EXITS.to_vec() };
    let own = |code: u8| notes.exits.iter().find(|(own, _)| *own == code).map(|(_, what)| *what);
    let can = |code: u8| notes.reaches || !matches!(code, 3 | 130) || own(code).is_some();
    EXITS
        .iter()
        .filter(|(code, _)| can(*code))
        .map(|(code, what)| (*code, own(*code).unwrap_or(what)))
        .collect()
}

/// The variables that the program reads.
pub(crate) fn environment() -> &'static [(&'static str, &'static str)] {
    &ENVIRONMENT
}

/// Hangs a verb's notes into the command, below the verb's first word.
fn noted(command: Command, words: &str, notes: &'static Notes) -> Command {
    let (word, rest) = words.split_once(' ').unwrap_or((words, ""));
    command.mut_subcommand(word, |verb| match rest {
        "" => verb.after_help(verb_help(notes, false)).after_long_help(verb_help(notes, true)),
        rest => noted(verb, rest, notes),
    })
}

fn root_help(long: bool) -> StyledStr {
    let mut text = String::new();
    section(&mut text, "Exit codes", &coded(&exits(None)));
    if long {
        section(&mut text, "Environment", ENVIRONMENT.as_slice());
        text.push_str("Each verb says more: busway VERB --help");
    } else {
        text.push_str("--help says more, and so does busway VERB --help");
    }
    text.into()
}

fn verb_help(notes: &Notes, long: bool) -> StyledStr {
    let mut text = String::new();
    if long {
        heading(&mut text, "Output");
        text.push_str(&indented(notes.prints));
        section(&mut text, "Exit codes", &coded(&exits(Some(notes))));
    }
    heading(&mut text, "Examples");
    for (line, what) in notes.examples {
        write!(text, "  {line}\n      {what}\n").ok();
    }
    text.trim_end().to_owned().into()
}

/// Text in lines of eighty columns, two of them empty, and an empty line.
fn indented(text: &str) -> String {
    let mut lines = vec![String::from(" ")];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= 80 => line.extend([" ", word]),
            _ => lines.push(format!("  {word}")),
        }
    }
    lines.join("\n") + "\n\n"
}

fn coded(exits: &[(u8, &'static str)]) -> Vec<(String, &'static str)> {
    exits.iter().map(|(code, what)| (code.to_string(), *what)).collect()
}

fn heading(text: &mut String, title: &str) {
    let style = *Styles::styled().get_header();
    writeln!(text, "{style}{title}:{style:#}").ok();
}

fn section<S: AsRef<str>>(text: &mut String, title: &str, rows: &[(S, &str)]) {
    heading(text, title);
    let width = rows.iter().map(|(name, _)| name.as_ref().len()).max().unwrap_or_default();
    for (name, what) in rows {
        writeln!(text, "  {:width$}  {what}", name.as_ref()).ok();
    }
    text.push('\n');
}
