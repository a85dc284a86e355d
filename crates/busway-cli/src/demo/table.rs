//! What happened in a demo.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::exit::Outcome;
use crate::output::{self, Table};

/// The figures of a demo; `--json` prints exactly these.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Messages published and confirmed.
    pub(crate) published: u64,
    /// Deliveries that succeeded.
    pub(crate) delivered: u64,
    /// Copies that took the way through `delayed`, by reason: `share`, `saturated`, ….
    pub(crate) diverted: BTreeMap<String, u64>,
    /// Failed tries that were tried again.
    pub(crate) retried: u64,
    /// Messages that are dead.
    pub(crate) dead: u64,
    /// Messages that are nowhere.
    pub(crate) lost: u64,
    /// Deliveries beyond the first of a message to an endpoint.
    pub(crate) duplicated: u64,
    /// Latency of the quiet accounts, 99th percentile.
    pub(crate) quiet_p99_ms: f64,
    /// Latency of the account that floods, 99th percentile.
    pub(crate) loud_p99_ms: f64,
    /// How long it took.
    pub(crate) seconds: f64,
}

/// Prints it.
pub(crate) fn show(report: &Report, json: bool) -> Outcome {
    if json { output::json(report) } else { output::tables(&[table(report)]) }
}

fn table(report: &Report) -> Table {
    let diverted: Vec<String> =
        report.diverted.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let total: u64 = report.diverted.values().sum();
    let row = |what: &str, figure: String, note: &str| vec![what.into(), figure.into(), note.into()];
    let rows = [
        row("published", report.published.to_string(), "confirmed on disk before the producer was told"),
        row("delivered", report.delivered.to_string(), "to the endpoints that routes name"),
        row("diverted", total.to_string(), &diverted.join(", ")),
        row("retried", report.retried.to_string(), "failed tries that were tried again"),
        row("dead", report.dead.to_string(), "kept with their reason"),
        row("lost", report.lost.to_string(), ""),
        row("duplicated", report.duplicated.to_string(), ""),
        row("quiet p99", format!("{:.1} ms", report.quiet_p99_ms), "all accounts but the loudest"),
        row("loud p99", format!("{:.1} ms", report.loud_p99_ms), "the account that floods"),
        row("time", output::span(report.seconds), ""),
    ];
    Table::new(&["what", "figure", ""], rows)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::output::Screen;

    #[test]
    fn json_has_exactly_the_keys_of_the_contract() {
        let json = serde_json::to_value(Report::default()).unwrap();
        let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected = [
            "published",
            "delivered",
            "diverted",
            "retried",
            "dead",
            "lost",
            "duplicated",
            "quiet_p99_ms",
            "loud_p99_ms",
            "seconds",
        ];
        expected.sort_unstable();
        let mut keys = keys;
        keys.sort_unstable();
        assert_eq!(keys, expected);
    }

    #[test]
    fn the_table_names_the_reasons_of_diversion() {
        let diverted = BTreeMap::from([("share".to_owned(), 12), ("saturated".to_owned(), 3)]);
        let text = table(&Report { diverted, ..Report::default() }).draw(&Screen::default());
        assert!(text.lines().any(|line| line == "diverted    15      3 saturated, 12 share"), "{text}");
    }
}
