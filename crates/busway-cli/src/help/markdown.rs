//! docs/cli.md from the table of verbs.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;

use clap::{Arg, Command};

use super::{environment, exits, notes};

const HEAD: &str = "# The program

Made from the table of verbs in `crates/busway-cli/src`, as `busway --help` and `busway man` are.
`BUSWAY_WRITE_DEFAULTS=1 cargo test -p busway-cli markdown` writes it anew.

";

/// The heading of options that every verb has.
const COMMON: &str = "Common options";

/// The whole document.
fn document() -> String {
    let mut root = super::command();
    root.build();
    let mut text = HEAD.to_owned();
    writeln!(text, "{}\n", about(&root)).unwrap();
    text.push_str("## Exit codes\n\n| code | means |\n|---|---|\n");
    for (code, what) in exits(None) {
        row(&mut text, &code.to_string(), what);
    }
    text.push_str("\n## Environment\n\n| variable | says |\n|---|---|\n");
    for (name, what) in environment() {
        row(&mut text, &format!("`{name}`"), what);
    }
    text.push_str(
        "\n## Common options\n\nThey may stand before the verb, between its words, or after it.\n\n",
    );
    options(&mut text, root.get_arguments().filter(|arg| arg.get_help_heading() == Some(COMMON)));
    for verb in root.get_subcommands() {
        add(&mut text, verb, verb.get_name());
    }
    format!("{}\n", text.trim_end())
}

fn add(text: &mut String, command: &Command, verb: &str) {
    let usage = command.clone().render_usage().to_string();
    write!(text, "## busway {verb}\n\n{}\n\n", about(command)).unwrap();
    if command.has_subcommands() {
        for below in command.get_subcommands() {
            add(text, below, &format!("{verb} {}", below.get_name()));
        }
        return;
    }
    write!(text, "```text\n{}\n```\n\n", usage.trim_start_matches("Usage: ")).unwrap();
    options(text, command.get_arguments().filter(|arg| arg.get_help_heading() != Some(COMMON)));
    let notes = notes(verb).unwrap();
    write!(text, "{}\n\n| exit code | means |\n|---|---|\n", notes.prints).unwrap();
    for (code, what) in exits(Some(notes)) {
        row(text, &code.to_string(), what);
    }
    text.push_str("\n```sh\n");
    for (line, what) in notes.examples {
        writeln!(text, "{line}  # {what}").unwrap();
    }
    text.push_str("```\n\n");
}

fn options<'a>(text: &mut String, args: impl Iterator<Item = &'a Arg>) {
    let shown = |arg: &&Arg| !matches!(arg.get_id().as_str(), "help" | "version") && !arg.is_hide_set();
    let args: Vec<_> = args.filter(shown).collect();
    if args.is_empty() {
        return;
    }
    text.push_str("| option | says |\n|---|---|\n");
    for arg in args {
        row(text, &format!("`{}`", spelled(arg)), &said(arg));
    }
    text.push('\n');
}

/// An option with its short form, such as `-c, --config <FILE>`.
fn spelled(arg: &Arg) -> String {
    match (arg.get_short(), arg.get_long()) {
        (Some(short), Some(_)) => format!("-{short}, {arg}"),
        _ => arg.to_string(),
    }
}

/// What an option does, its default and its values.
fn said(arg: &Arg) -> String {
    let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !defaults.is_empty() && arg.get_action().takes_values() {
        write!(text, " [default: {}]", defaults.join(", ")).unwrap();
    }
    let values: Vec<String> =
        arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if !values.is_empty() && arg.get_action().takes_values() && !arg.is_hide_possible_values_set() {
        write!(text, " [possible values: {}]", values.join(", ")).unwrap();
    }
    text
}

fn row(text: &mut String, left: &str, right: &str) {
    writeln!(text, "| {} | {} |", left.replace('|', "\\|"), right.replace('|', "\\|")).unwrap();
}

fn about(command: &Command) -> String {
    command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string).unwrap_or_default()
}

#[test]
fn the_document_is_as_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
    if std::env::var_os("BUSWAY_WRITE_DEFAULTS").is_some() {
        std::fs::write(path, document()).unwrap();
    }
    let text = std::fs::read_to_string(path).unwrap_or_default();
    assert!(text == document(), "docs/cli.md is stale: BUSWAY_WRITE_DEFAULTS=1 writes it anew");
}
