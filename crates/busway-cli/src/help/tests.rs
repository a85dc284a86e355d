//! The table is whole, and its examples are taken by the parser.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use clap::Command;

use super::*;

/// The words of every verb that does something, from the parser.
fn verbs(command: &Command, path: &str) -> BTreeSet<String> {
    let below = |below: &Command| {
        let path = format!("{path} {}", below.get_name());
        if below.has_subcommands() {
            verbs(below, &path)
        } else {
            BTreeSet::from([path.trim_start().to_owned()])
        }
    };
    command.get_subcommands().flat_map(below).collect()
}

/// The words of a command line, as a shell would give them; what follows `>` is left out.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.split(" > ").next().unwrap().chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words
}

#[test]
fn every_verb_has_its_row_and_every_row_a_verb() {
    let noted: BTreeSet<String> = NOTES.iter().map(|notes| notes.verb.to_owned()).collect();
    assert_eq!(noted, verbs(&command(), ""));
    assert_eq!(noted.len(), NOTES.len());
}

#[test]
fn every_verb_has_a_paragraph_and_two_or_three_examples_that_are_taken() {
    for notes in NOTES {
        let verb = notes
            .verb
            .split(' ')
            .fold(command(), |command, word| command.find_subcommand(word).unwrap().clone());
        assert!(verb.get_long_about().is_some(), "{} has no paragraph", notes.verb);
        assert!((2..=3).contains(&notes.examples.len()), "{}", notes.verb);
        for (line, _) in notes.examples {
            let found =
                command().try_get_matches_from(words(line)).unwrap_or_else(|error| panic!("{line}: {error}"));
            let (mut path, mut matches) = (Vec::new(), &found);
            while let Some((word, below)) = matches.subcommand() {
                path.push(word);
                matches = below;
            }
            assert_eq!(path.join(" "), notes.verb, "{line}");
        }
    }
}

#[test]
fn every_option_says_what_it_does() {
    fn look(command: &Command) {
        for arg in command.get_arguments() {
            assert!(arg.get_help().is_some(), "{} of {}", arg, command.get_name());
        }
        command.get_subcommands().for_each(look);
    }
    look(&command());
}

#[test]
fn manual_pages_have_the_examples_and_exit_codes_of_the_table() {
    let pages = man::pages().unwrap();
    assert_eq!(pages[0].file, "busway.1");
    for notes in NOTES {
        let name = format!("busway-{}.1", notes.verb.replace(' ', "-"));
        let page = pages.iter().find(|page| page.file == name).unwrap_or_else(|| panic!("no {name}"));
        let text = String::from_utf8(page.text.clone()).unwrap().replace(r"\*(Aq", "'").replace(r"\-", "-");
        for (line, what) in notes.examples {
            assert!(text.contains(line) && text.contains(what), "{line}: {text}");
        }
        for (code, what) in exits(Some(notes)) {
            assert!(text.contains(&format!("\\fB{code}\\fR\n{what}\n")), "{code}: {text}");
        }
    }
}
