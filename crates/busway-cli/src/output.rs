//! Answers on standard output, as tables for people or as JSON; words and progress on standard error. A
//! stream that nobody reads any more is no failure. Text from outside cannot steer the terminal.
//!
//! | module | holds |
//! |---|---|
//! | `escape` | control characters made visible |
//! | `screen` | whether a stream is a terminal, and what it can do |
//! | `table` | columns that line up |
//! | `rows` | the bus's answers as tables |
//! | `progress` | bars on standard error |

mod escape;
pub(crate) mod progress;
mod rows;
mod screen;
mod table;

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

pub(crate) use self::escape::{lines, plain};
pub(crate) use self::rows::{accounts, dead, endpoints, events, peeked, places, queues, waiting};
pub(crate) use self::screen::{Screen, colour, stderr_is_coloured};
pub(crate) use self::table::Table;
use crate::exit::{Failure, Outcome};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether nobody reads standard output any more.
pub(crate) fn is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// Prints text as it is.
pub(crate) fn print(text: &str) -> Outcome {
    let written = progress::beside(|| {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush())
    });
    match written {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            CLOSED.store(true, Ordering::Relaxed);
            Ok(())
        }
        Err(error) => Err(Failure::Failed(format!("standard output: {error}"))),
    }
}

/// Prints a line.
pub(crate) fn line(text: &str) -> Outcome {
    print(&format!("{}\n", plain(text)))
}

/// Prints tables, an empty line between them.
pub(crate) fn tables(tables: &[Table]) -> Outcome {
    print(&drawn(tables, &Screen::of_stdout()))
}

/// The text of tables, an empty line between them.
pub(crate) fn drawn(tables: &[Table], screen: &Screen) -> String {
    let texts: Vec<String> = tables.iter().map(|table| table.draw(screen)).collect();
    texts.join("\n")
}

/// Prints a value as one line of JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Outcome {
    let text = serde_json::to_string(value).map_err(|error| Failure::Failed(error.to_string()))?;
    print(&format!("{}\n", escape::json(&text)))
}

/// Prints text that is JSON already, as the very text that it is but for what could steer a terminal.
pub(crate) fn raw_json(text: &str) -> Outcome {
    print(&format!("{}\n", escape::json(text)))
}

/// Says something on standard error.
pub(crate) fn complain(text: &str) {
    // Where standard error is closed there is nobody left to tell.
    progress::beside(|| writeln!(std::io::stderr().lock(), "{}", lines(text)).ok());
}

/// A stretch of time for people: `0.4 s`, `35 s`, `4 m 5 s`, `2 h 10 m`, `3 d 4 h`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ages are small and positive")]
pub(crate) fn span(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{:.1} s", seconds.max(0.0));
    }
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3_600 => format!("{} m {} s", whole / 60, whole % 60),
        3_600..86_400 => format!("{} h {} m", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_for_people() {
        for (seconds, text) in [
            (0.0, "0.0 s"),
            (0.44, "0.4 s"),
            (35.9, "35 s"),
            (245.0, "4 m 5 s"),
            (7_800.0, "2 h 10 m"),
            (273_600.0, "3 d 4 h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
