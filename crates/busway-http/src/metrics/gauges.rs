//! The figures of queues, endpoints and accounts as metrics.

use busway_core::admin::{AccountRow, EndpointRow, QueueRow, QueuesReport};

use super::text::{head, sample};

/// Accounts shown, at most: those with the largest share.
const ACCOUNTS: usize = 100;

/// The text of all gauges; without a report, which the bus could not give, only whether it is up.
pub(super) fn render(ready: bool, report: Option<&QueuesReport>) -> String {
    let mut out = String::new();
    head(&mut out, "busway_ready", "gauge", "Whether the bus does its work.");
    sample(&mut out, "busway_ready", &[], u8::from(ready));
    head(&mut out, "busway_figures_available", "gauge", "Whether the bus gave its figures.");
    sample(&mut out, "busway_figures_available", &[], u8::from(report.is_some()));
    if let Some(report) = report {
        queues(&mut out, &report.queues);
        endpoints(&mut out, &report.endpoints);
        accounts(&mut out, &report.accounts);
    }
    out
}

type QueueFigure = fn(&QueueRow) -> Option<f64>;

fn queues(out: &mut String, rows: &[QueueRow]) {
    let figures: [(&str, &str, QueueFigure); 6] = [
        ("busway_queue_ready", "Messages that can be received now.", |r| r.ready.map(float)),
        ("busway_queue_in_flight", "Messages received and not settled.", |r| r.in_flight.map(float)),
        ("busway_queue_delayed", "Messages that wait for their time.", |r| r.delayed.map(float)),
        ("busway_queue_oldest_age_seconds", "Age of the oldest message.", |r| r.oldest_age_seconds),
        ("busway_queue_in_rate", "Messages a second in.", |r| r.in_rate),
        ("busway_queue_out_rate", "Messages a second out.", |r| r.out_rate),
    ];
    for (name, help, figure) in figures {
        head(out, name, "gauge", help);
        for row in rows {
            if let Some(value) = figure(row) {
                sample(out, name, &[("queue", &row.queue), ("transport", &row.transport)], value);
            }
        }
    }
}

type EndpointFigure = fn(&EndpointRow) -> u64;

fn endpoints(out: &mut String, rows: &[EndpointRow]) {
    let figures: [(&str, &str, &str, EndpointFigure); 6] = [
        ("busway_endpoint_in_flight", "gauge", "Deliveries under way.", |r| r.in_flight),
        ("busway_endpoint_limit", "gauge", "Most deliveries at once.", |r| r.limit),
        ("busway_endpoint_waiting", "gauge", "Messages that wait in delayed.", |r| r.waiting),
        ("busway_endpoint_delivered_total", "counter", "Deliveries that succeeded.", |r| r.delivered),
        ("busway_endpoint_failed_total", "counter", "Tries that failed.", |r| r.failed),
        ("busway_endpoint_diverted_total", "counter", "Messages diverted.", |r| r.diverted),
    ];
    for (name, kind, help, figure) in figures {
        head(out, name, kind, help);
        for row in rows {
            sample(out, name, &[("endpoint", &row.endpoint)], figure(row));
        }
    }
    let name = "busway_endpoint_state";
    head(out, name, "gauge", "1 for the state the endpoint is in.");
    for row in rows {
        sample(out, name, &[("endpoint", &row.endpoint), ("state", &row.state)], 1);
    }
}

type AccountFigure = fn(&AccountRow) -> f64;

fn accounts(out: &mut String, rows: &[AccountRow]) {
    let figures: [(&str, &str, AccountFigure); 4] = [
        ("busway_account_share", "Part of the window's volume, 0 to 1.", |r| r.share),
        ("busway_account_waiting", "Messages that wait in delayed.", |r| float(r.waiting)),
        ("busway_account_diverted", "Whether it is diverted now.", |r| f64::from(u8::from(r.diverted))),
        ("busway_account_paused", "Whether it is paused.", |r| f64::from(u8::from(r.paused))),
    ];
    let shown = largest(rows);
    for (name, help, figure) in figures {
        head(out, name, "gauge", help);
        for row in &shown {
            sample(out, name, &[("account", &row.account)], figure(row));
        }
    }
    head(out, "busway_accounts", "gauge", "Accounts known, shown here or not.");
    sample(out, "busway_accounts", &[], rows.len());
}

fn largest(rows: &[AccountRow]) -> Vec<&AccountRow> {
    let mut shown: Vec<&AccountRow> = rows.iter().collect();
    shown.sort_by(|a, b| b.share.total_cmp(&a.share).then(b.waiting.cmp(&a.waiting)));
    shown.truncate(ACCOUNTS);
    shown
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floats; counts over 2^53 are none")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_largest_accounts_are_shown() {
        let account = |n: u32| AccountRow {
            account: format!("a{n}"),
            share: f64::from(n) / 1000.0,
            ..AccountRow::default()
        };
        let report = QueuesReport { accounts: (0..500).map(account).collect(), ..QueuesReport::default() };
        let text = render(true, Some(&report));
        assert_eq!(text.lines().filter(|line| line.starts_with("busway_account_share{")).count(), ACCOUNTS);
        assert!(text.contains(r#"busway_account_share{account="a499"} 0.499"#), "{text}");
        assert!(!text.contains(r#"account="a399""#), "{text}");
        assert!(text.contains("\nbusway_accounts 500\n"), "{text}");
    }

    #[test]
    fn a_figure_the_broker_cannot_give_is_left_out() {
        let row = QueueRow {
            queue: "priority".to_owned(),
            transport: "local".to_owned(),
            ready: Some(3),
            ..QueueRow::default()
        };
        let report = QueuesReport { queues: vec![row], ..QueuesReport::default() };
        let text = render(false, Some(&report));
        assert!(text.contains(r#"busway_queue_ready{queue="priority",transport="local"} 3"#), "{text}");
        assert!(!text.contains("busway_queue_delayed{"), "{text}");
        assert!(text.contains("\nbusway_ready 0\n"), "{text}");
    }
}
