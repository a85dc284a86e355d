//! Answers on standard output, as tables for people or as JSON; words of progress on standard
//! error. A stream that nobody reads any more is no failure.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use busway::core::admin::{AccountRow, DeadRow, EndpointRow, PeekRow, QueueRow};
use serde::Serialize;

use crate::exit::{Failure, Outcome};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether nobody reads standard output any more.
pub(crate) fn is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// Prints text as it is.
pub(crate) fn print(text: &str) -> Outcome {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
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
    print(&format!("{text}\n"))
}

/// Prints a value as one line of JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Outcome {
    let text = serde_json::to_string(value).map_err(|error| Failure::Failed(error.to_string()))?;
    line(&text)
}

/// Says something on standard error.
pub(crate) fn complain(text: &str) {
    // Where standard error is closed there is nobody left to tell.
    writeln!(std::io::stderr().lock(), "{text}").ok();
}

/// A table with a head, its columns as wide as they must be; nothing but words where it is empty.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(head.get(column).map(|cell| cell.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    let head: Vec<String> = head.iter().map(|cell| cell.to_uppercase()).collect();
    for row in std::iter::once(&head).chain(rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| {
            let missing = width - cell.chars().count();
            format!("{cell}{}", " ".repeat(missing))
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
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

/// A figure, or `-` where there is none.
fn figure<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Text without control characters, so that a message's attribute cannot steer the terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn shown(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), plain)
}

fn yes(value: bool) -> String {
    if value { "yes" } else { "" }.to_owned()
}

/// The queues.
pub(crate) fn queues(rows: &[QueueRow]) -> String {
    let head = ["queue", "transport", "physical", "ready", "in flight", "delayed", "oldest", "in/s", "out/s"];
    let row = |row: &QueueRow| {
        vec![
            format!("{}{}", row.queue, if row.approximate { " ~" } else { "" }),
            row.transport.clone(),
            row.physical.clone(),
            figure(row.ready),
            figure(row.in_flight),
            figure(row.delayed),
            figure(row.oldest_age_seconds.map(span)),
            figure(row.in_rate.map(|rate| format!("{rate:.1}"))),
            figure(row.out_rate.map(|rate| format!("{rate:.1}"))),
        ]
    };
    table(&head, &rows.iter().map(row).collect::<Vec<_>>())
}

/// The accounts.
pub(crate) fn accounts(rows: &[AccountRow]) -> String {
    let head = ["account", "share", "diverted", "waiting", "since", "paused", "weight"];
    let row = |row: &AccountRow| {
        vec![
            plain(&row.account),
            format!("{:.1} %", row.share * 100.0),
            yes(row.diverted),
            row.waiting.to_string(),
            shown(row.waiting_since.as_deref()),
            yes(row.paused),
            row.weight.to_string(),
        ]
    };
    table(&head, &rows.iter().map(row).collect::<Vec<_>>())
}

/// The endpoints.
pub(crate) fn endpoints(rows: &[EndpointRow]) -> String {
    let head = [
        "endpoint",
        "kind",
        "state",
        "in flight",
        "limit",
        "waiting",
        "delivered",
        "failed",
        "diverted",
        "why",
    ];
    let row = |row: &EndpointRow| {
        vec![
            row.endpoint.clone(),
            row.kind.clone(),
            row.state.clone(),
            row.in_flight.to_string(),
            row.limit.to_string(),
            row.waiting.to_string(),
            row.delivered.to_string(),
            row.failed.to_string(),
            row.diverted.to_string(),
            row.why.as_deref().map(plain).unwrap_or_default(),
        ]
    };
    table(&head, &rows.iter().map(row).collect::<Vec<_>>())
}

/// Messages that were looked at.
pub(crate) fn peeked(rows: &[PeekRow]) -> String {
    let head = ["id", "type", "account", "destination", "standing", "due", "reason", "tried", "bytes"];
    let row = |row: &PeekRow| {
        vec![
            plain(&row.id),
            plain(&row.r#type),
            shown(row.account.as_deref()),
            shown(row.destination.as_deref()),
            row.standing.clone(),
            shown(row.due.as_deref()),
            shown(row.reason.as_deref()),
            row.attempts.to_string(),
            row.bytes.to_string(),
        ]
    };
    table(&head, &rows.iter().map(row).collect::<Vec<_>>())
}

/// Dead letters.
pub(crate) fn dead(rows: &[DeadRow]) -> String {
    let head = ["id", "type", "account", "destination", "reason", "tried", "since", "origin"];
    let row = |row: &DeadRow| {
        vec![
            plain(&row.id),
            plain(&row.r#type),
            shown(row.account.as_deref()),
            shown(row.destination.as_deref()),
            plain(&row.reason),
            row.attempts.to_string(),
            shown(row.since.as_deref()),
            shown(row.origin.as_deref()),
        ]
    };
    table(&head, &rows.iter().map(row).collect::<Vec<_>>())
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

    #[test]
    fn columns_line_up_and_lines_have_no_tail() {
        let rows = [vec!["a".to_owned(), "10".to_owned()], vec!["longer".to_owned(), String::new()]];
        assert_eq!(table(&["queue", "ready"], &rows), "QUEUE   READY\na       10\nlonger\n");
    }

    #[test]
    fn a_message_cannot_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\n"), "a\u{fffd}[31mb\u{fffd}");
    }
}
