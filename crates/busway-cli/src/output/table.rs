//! Columns that line up, by the width that characters have on a screen.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::escape::plain;
use super::screen::Screen;

/// Columns are not made narrower than this for the sake of the screen.
const NARROWEST: usize = 6;
const GAP: &str = "  ";

/// A cell: text that cannot steer the terminal.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

/// How a cell is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Head,
    Good,
    Warn,
    Bad,
}

/// Rows below a head.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// The head first.
    rows: Vec<Vec<Cell>>,
}

impl<T: Display> From<T> for Cell {
    fn from(value: T) -> Self {
        Self { text: plain(&value.to_string()), tone: Tone::Plain }
    }
}

impl Cell {
    /// Gives it a tone where that holds.
    pub(crate) fn when(self, holds: bool, tone: Tone) -> Self {
        if holds { Self { tone, ..self } } else { self }
    }

    fn width(&self) -> usize {
        self.text.width()
    }

    /// Its text in a column of this width.
    fn draw(&self, width: usize, screen: &Screen) -> String {
        let text = cut(&self.text, width);
        let missing = " ".repeat(width.saturating_sub(text.width()));
        match self.tone.style() {
            Some(style) if screen.coloured && !text.is_empty() => format!("{style}{text}{style:#}{missing}"),
            _ => text + &missing,
        }
    }
}

impl Tone {
    fn style(self) -> Option<Style> {
        match self {
            Self::Plain => None,
            Self::Head => Some(Style::new().bold()),
            Self::Good => Some(AnsiColor::Green.on_default()),
            Self::Warn => Some(AnsiColor::Yellow.on_default()),
            Self::Bad => Some(AnsiColor::Red.on_default()),
        }
    }
}

impl Table {
    /// Rows of as many cells as the head has.
    pub(crate) fn new(head: &[&str], rows: impl IntoIterator<Item = Vec<Cell>>) -> Self {
        let head = head.iter().map(|cell| Cell::from(cell.to_uppercase()).when(true, Tone::Head)).collect();
        Self { rows: std::iter::once(head).chain(rows).collect() }
    }

    /// Its text: columns as wide as they must be, narrower where a terminal has less room.
    pub(crate) fn draw(&self, screen: &Screen) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let widest =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(Cell::width).max();
        let mut widths: Vec<usize> = (0..columns).map(|column| widest(column).unwrap_or_default()).collect();
        if let Some((room, _)) = screen.size {
            narrow(&mut widths, room);
        }
        let mut text = String::new();
        for row in &self.rows {
            let filled = row.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |last| last + 1);
            let cells = row.iter().zip(&widths).take(filled);
            let cells: Vec<String> = cells.map(|(cell, width)| cell.draw(*width, screen)).collect();
            text.push_str(cells.join(GAP).trim_end());
            text.push('\n');
        }
        text
    }
}

/// Takes from the widest column until all fit, or none can give more; what is still too much is taken
/// from the last ones.
fn narrow(widths: &mut [usize], room: usize) {
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    let mut over = (widths.iter().sum::<usize>() + gaps).saturating_sub(room);
    while over > 0
        && let Some(widest) = widths.iter_mut().filter(|width| **width > NARROWEST).max()
    {
        *widest -= 1;
        over -= 1;
    }
    for width in widths.iter_mut().rev() {
        let less = over.min(*width);
        *width -= less;
        over -= less;
    }
}

/// The beginning of a text that fits, with a sign that there was more.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut room = width.saturating_sub(1);
    for c in text.chars() {
        let Some(rest) = room.checked_sub(c.width().unwrap_or(0)) else { break };
        kept.push(c);
        room = rest;
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let row = |cells: [&str; 2]| cells.map(Cell::from).to_vec();
        Table::new(&["queue", "ready"], [row(["a", "10"]), row(["longer", ""]), row(["漢字漢字", "1"])])
    }

    #[test]
    fn columns_line_up_and_lines_have_no_tail() {
        let text = table().draw(&Screen::default());
        assert_eq!(text, "QUEUE     READY\na         10\nlonger\n漢字漢字  1\n");
    }

    #[test]
    fn a_terminal_cuts_the_widest_columns_and_nothing_else_does() {
        let wide = Table::new(&["id", "why"], [vec!["7".into(), "x".repeat(50).into()]]);
        let narrow = Screen { size: Some((20, 24)), ..Screen::default() };
        assert_eq!(wide.draw(&narrow), format!("ID  WHY\n7   {}…\n", "x".repeat(15)));
        assert!(wide.draw(&Screen::default()).contains(&"x".repeat(50)));
        for columns in 1..30 {
            let screen = Screen { size: Some((columns, 24)), ..Screen::default() };
            for line in table().draw(&screen).lines() {
                assert!(line.width() <= columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn only_what_is_coloured_has_escapes_and_they_have_no_width() {
        let coloured = Screen { coloured: true, ..Screen::default() };
        let table = Table::new(&["a", "b"], [vec![Cell::from("x\u{1b}[2J").when(true, Tone::Bad), 1.into()]]);
        let text = table.draw(&coloured);
        assert!(text.contains("\x1b[31mx\\u{1b}[2J\x1b[0m  1"), "{text:?}");
        assert!(!table.draw(&Screen::default()).contains('\x1b'));
    }
}
