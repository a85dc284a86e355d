//! Manual pages from the table of verbs.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{environment, exits, notes};

/// A manual page.
pub(crate) struct Page {
    /// Its file's name, such as `busway-dead-list.1`.
    pub(crate) file: String,
    /// What is in it, in roff.
    pub(crate) text: Vec<u8>,
}

/// The page of the program, and then one for each verb.
///
/// # Errors
/// None but of writing to memory.
pub(crate) fn pages() -> std::io::Result<Vec<Page>> {
    let mut root = super::command();
    root.build();
    let mut pages = Vec::new();
    add(&root, "", &mut pages)?;
    Ok(pages)
}

fn add(command: &Command, verb: &str, pages: &mut Vec<Page>) -> std::io::Result<()> {
    pages.push(page(command, verb)?);
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        add(below, format!("{verb} {}", below.get_name()).trim_start(), pages)?;
    }
    Ok(())
}

fn page(command: &Command, verb: &str) -> std::io::Result<Page> {
    let manual =
        Man::new(command.clone()).manual("busway").source(format!("busway {}", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    manual.render_title(&mut text)?;
    manual.render_name_section(&mut text)?;
    manual.render_synopsis_section(&mut text)?;
    manual.render_description_section(&mut text)?;
    if command.has_subcommands() {
        manual.render_subcommands_section(&mut text)?;
    }
    manual.render_options_section(&mut text)?;
    sections(verb).to_writer(&mut text)?;
    Ok(Page { file: manual.get_filename(), text })
}

/// What stands beside the parser.
fn sections(verb: &str) -> Roff {
    let mut roff = Roff::new();
    let notes = notes(verb);
    if let Some(notes) = notes {
        roff.control("SH", ["OUTPUT"]).text([roman(notes.prints)]);
    }
    if notes.is_some() || verb.is_empty() {
        roff.control("SH", ["EXIT STATUS"]);
        for (code, what) in exits(notes) {
            roff.control("TP", []).text([bold(code.to_string())]).text([roman(what)]);
        }
    }
    if verb.is_empty() {
        roff.control("SH", ["ENVIRONMENT"]);
        for (name, what) in environment() {
            roff.control("TP", []).text([bold(*name)]).text([roman(*what)]);
        }
    }
    if let Some(notes) = notes {
        roff.control("SH", ["EXAMPLES"]);
        for (line, what) in notes.examples {
            roff.control("TP", []).text([bold(*line)]).text([roman(*what)]);
        }
    }
    roff
}
