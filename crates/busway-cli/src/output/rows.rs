//! The bus's answers as tables.

use busway::core::admin::{AccountRow, DeadRow, EndpointRow, PeekRow, Place, QueueRow, TraceEvent};

use super::span;
use super::table::{Cell, Table, Tone};

/// The queues.
pub(crate) fn queues(rows: &[QueueRow]) -> Table {
    let head = ["queue", "transport", "physical", "ready", "in flight", "delayed", "oldest", "in/s", "out/s"];
    let row = |row: &QueueRow| {
        vec![
            format!("{}{}", row.queue, if row.approximate { " ~" } else { "" }).into(),
            (&row.transport).into(),
            (&row.physical).into(),
            figure(row.ready),
            figure(row.in_flight),
            figure(row.delayed),
            figure(row.oldest_age_seconds.map(span)),
            figure(row.in_rate.map(|rate| format!("{rate:.1}"))),
            figure(row.out_rate.map(|rate| format!("{rate:.1}"))),
        ]
    };
    Table::new(&head, rows.iter().map(row))
}

/// The accounts.
pub(crate) fn accounts(rows: &[AccountRow]) -> Table {
    let head = ["account", "share", "diverted", "waiting", "since", "paused", "weight"];
    let row = |row: &AccountRow| {
        vec![
            (&row.account).into(),
            format!("{:.1} %", row.share * 100.0).into(),
            yes(row.diverted).when(row.diverted, Tone::Warn),
            row.waiting.into(),
            shown(row.waiting_since.as_deref()),
            yes(row.paused).when(row.paused, Tone::Warn),
            row.weight.into(),
        ]
    };
    Table::new(&head, rows.iter().map(row))
}

/// The endpoints.
pub(crate) fn endpoints(rows: &[EndpointRow]) -> Table {
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
            (&row.endpoint).into(),
            (&row.kind).into(),
            state(&row.state),
            row.in_flight.into(),
            row.limit.into(),
            row.waiting.into(),
            row.delivered.into(),
            row.failed.into(),
            row.diverted.into(),
            row.why.as_deref().unwrap_or_default().into(),
        ]
    };
    Table::new(&head, rows.iter().map(row))
}

/// Messages that were looked at.
pub(crate) fn peeked(rows: &[PeekRow]) -> Table {
    let head = ["id", "type", "account", "destination", "standing", "due", "reason", "tried", "bytes"];
    let row = |row: &PeekRow| {
        vec![
            (&row.id).into(),
            (&row.r#type).into(),
            shown(row.account.as_deref()),
            shown(row.destination.as_deref()),
            (&row.standing).into(),
            shown(row.due.as_deref()),
            shown(row.reason.as_deref()),
            row.attempts.into(),
            row.bytes.into(),
        ]
    };
    Table::new(&head, rows.iter().map(row))
}

/// Messages that were looked at, with why they wait.
pub(crate) fn waiting(rows: &[PeekRow]) -> Table {
    let head = ["id", "destination", "standing", "since", "why", "released by"];
    let row = |row: &PeekRow| {
        let waits = row.waits.clone().unwrap_or_default();
        vec![
            (&row.id).into(),
            shown(row.destination.as_deref()),
            (&row.standing).into(),
            shown(waits.since.as_deref()),
            waits.why.into(),
            waits.released_by.into(),
        ]
    };
    Table::new(&head, rows.iter().map(row))
}

/// What became of a message.
pub(crate) fn events(rows: &[TraceEvent]) -> Table {
    let head = ["at", "event", "destination", "attempt", "status", "reason", "due", "took"];
    let row = |row: &TraceEvent| {
        let tone = match row.event.as_str() {
            "delivered" => Tone::Good,
            "failed" | "dead" => Tone::Bad,
            _ => Tone::Plain,
        };
        vec![
            (&row.at).into(),
            Cell::from(&row.event).when(true, tone),
            shown(row.destination.as_deref()),
            row.attempt.into(),
            shown(row.status.as_deref()),
            shown(row.reason.as_deref()),
            shown(row.due.as_deref()),
            figure(row.took_us.map(|took| format!("{}.{} ms", took / 1000, took % 1000 / 100))),
        ]
    };
    Table::new(&head, rows.iter().map(row))
}

/// Where a message is.
pub(crate) fn places(rows: &[Place]) -> Table {
    let head = ["queue", "destination", "standing", "tried", "why", "released by"];
    let row = |Place { queue, row }: &Place| {
        let waits = row.waits.clone().unwrap_or_default();
        vec![
            queue.into(),
            shown(row.destination.as_deref()),
            (&row.standing).into(),
            row.attempts.into(),
            waits.why.into(),
            waits.released_by.into(),
        ]
    };
    Table::new(&head, rows.iter().map(row))
}

/// Dead letters.
pub(crate) fn dead(rows: &[DeadRow]) -> Table {
    let head = ["id", "type", "account", "destination", "reason", "tried", "replayed", "since", "origin"];
    let row = |row: &DeadRow| {
        vec![
            (&row.id).into(),
            (&row.r#type).into(),
            shown(row.account.as_deref()),
            shown(row.destination.as_deref()),
            Cell::from(row.reason.as_str()).when(true, Tone::Bad),
            row.attempts.into(),
            row.replays.into(),
            shown(row.since.as_deref()),
            shown(row.origin.as_deref()),
        ]
    };
    Table::new(&head, rows.iter().map(row))
}

/// A figure, or `-` where there is none.
fn figure<T: ToString>(value: Option<T>) -> Cell {
    shown(value.map(|value| value.to_string()).as_deref())
}

fn shown(text: Option<&str>) -> Cell {
    text.unwrap_or("-").into()
}

fn yes(value: bool) -> Cell {
    if value { "yes" } else { "" }.into()
}

fn state(state: &str) -> Cell {
    Cell::from(state).when(true, if state == "open" { Tone::Good } else { Tone::Warn })
}
