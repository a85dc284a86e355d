//! `completions SHELL`.

use crate::cli::Completions;
use crate::exit::Outcome;
use crate::{help, output};

pub(super) fn run(completions: &Completions) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut help::command(), "busway", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}
