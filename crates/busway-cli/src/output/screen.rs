//! Whether a stream is a terminal, and what it can do.

use std::io::IsTerminal;

use anstream::{AutoStream, ColorChoice};

/// What standard output is drawn on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Screen {
    /// Whether colours are wanted.
    pub(super) coloured: bool,
    /// Columns and rows of a terminal; `None` elsewhere, where nothing is cut short.
    pub(super) size: Option<(usize, usize)>,
    /// Whether the cursor can be moved.
    pub(super) moves: bool,
}

impl Screen {
    /// Standard output as it is now.
    pub(crate) fn of_stdout() -> Self {
        let out = std::io::stdout();
        let size = terminal_size::terminal_size_of(&out);
        Self {
            coloured: AutoStream::choice(&out) != ColorChoice::Never,
            size: size.map(|(columns, rows)| (columns.0.into(), rows.0.into())).filter(|size| *size > (0, 0)),
            moves: out.is_terminal() && !is_dumb(),
        }
    }

    /// The text that takes the place of what was drawn before, and how many lines it has; without a
    /// cursor that moves, the text below an empty line.
    pub(crate) fn redraw(&self, text: &str, before: usize) -> (String, usize) {
        if !self.moves {
            return (format!("{text}\n"), 0);
        }
        let most = self.size.map_or(usize::MAX, |(_, rows)| rows.saturating_sub(1).max(1));
        let mut drawn = if before > 0 { format!("\x1b[{before}F") } else { String::new() };
        let mut count = 0;
        for line in text.lines().take(most) {
            drawn.push_str(line);
            drawn.push_str("\x1b[K\n");
            count += 1;
        }
        drawn.push_str("\x1b[J");
        (drawn, count)
    }
}

/// Sets when to colour, for both streams.
pub(crate) fn colour(choice: clap::ColorChoice) {
    match choice {
        clap::ColorChoice::Auto => ColorChoice::Auto,
        clap::ColorChoice::Always => ColorChoice::Always,
        clap::ColorChoice::Never => ColorChoice::Never,
    }
    .write_global();
}

/// Whether standard error is coloured.
pub(crate) fn stderr_is_coloured() -> bool {
    AutoStream::choice(&std::io::stderr()) != ColorChoice::Never
}

/// Whether the terminal can do nothing but lines.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term == "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_in_place_leaves_nothing_of_what_was_there_and_fits() {
        let screen = Screen { moves: true, size: Some((80, 3)), ..Screen::default() };
        assert_eq!(screen.redraw("a\nb\nc\n", 0), ("a\x1b[K\nb\x1b[K\n\x1b[J".to_owned(), 2));
        assert_eq!(screen.redraw("a\n", 2), ("\x1b[2Fa\x1b[K\n\x1b[J".to_owned(), 1));
        assert_eq!(Screen::default().redraw("a\n", 0), ("a\n\n".to_owned(), 0));
    }
}
