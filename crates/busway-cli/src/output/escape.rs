//! Text from outside, with what could steer a terminal made visible.

use std::fmt::Write;

/// One line: control characters, line ends and signs that turn the direction of writing become `\u{1b}`
/// and the like.
pub(crate) fn plain(text: &str) -> String {
    escaped(text, steers, |out, c| {
        out.extend(c.escape_unicode());
    })
}

/// The same with its line ends.
pub(crate) fn lines(text: &str) -> String {
    escaped(
        text,
        |c| c != '\n' && steers(c),
        |out, c| {
            out.extend(c.escape_unicode());
        },
    )
}

/// JSON with the same value: what may stand raw in its strings is escaped there. A carriage return can
/// only stand between tokens, where a space means the same.
pub(crate) fn json(text: &str) -> String {
    escaped(
        text,
        |c| !matches!(c, '\n' | '\t') && steers(c),
        |out, c| match c {
            '\r' => out.push(' '),
            // Each is within the basic plane, and so one unit of UTF-16.
            c => {
                write!(out, "\\u{:04x}", u32::from(c)).ok();
            }
        },
    )
}

fn escaped(text: &str, bad: impl Fn(char) -> bool, escape: impl Fn(&mut String, char)) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if bad(c) { escape(&mut out, c) } else { out.push(c) }
    }
    out
}

/// Whether a terminal may take a character for an order.
fn steers(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn text_from_outside_cannot_steer_the_terminal() {
        assert_eq!(
            plain("a\u{1b}[31mb\r\nc\u{9b}2J\u{7f}\u{202e}"),
            "a\\u{1b}[31mb\\u{d}\\u{a}c\\u{9b}2J\\u{7f}\\u{202e}"
        );
        assert_eq!(lines("a\n\u{1b}b\n"), "a\n\\u{1b}b\n");
        assert_eq!(plain("Grüße, 漢字 \u{1f469}\u{200d}\u{1f680}"), "Grüße, 漢字 \u{1f469}\u{200d}\u{1f680}");
    }

    #[test]
    fn json_keeps_its_value() {
        let text = "{\r\n\t\"a\u{9b}\": \"b\u{7f}\u{2028}\\u001b\"}";
        let safe = json(text);
        assert_eq!(safe, "{ \n\t\"a\\u009b\": \"b\\u007f\\u2028\\u001b\"}");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&safe), value(text));
    }
}
