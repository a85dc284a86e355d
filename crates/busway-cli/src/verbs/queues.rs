//! `queues [--watch]`.

use std::time::Duration;

use busway::core::admin::QueuesReport;

use super::Scope;
use crate::cli::Queues;
use crate::exit::Outcome;
use crate::output::{self, Screen, Table};

/// How often a watch looks again.
const EVERY: Duration = Duration::from_secs(1);

pub(super) async fn run(scope: &Scope, queues: &Queues) -> Outcome {
    scope
        .with_bus(|bus| async move {
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut lines = 0;
            loop {
                ticks.tick().await;
                let report = bus.queues().await?;
                match (scope.json, queues.watch) {
                    (true, _) => output::json(&report)?,
                    (false, true) => lines = redraw(&report, lines)?,
                    (false, false) => output::tables(&tables(&report))?,
                }
                if !queues.watch || output::is_closed() {
                    return Ok(());
                }
            }
        })
        .await
}

/// Draws the report over the lines drawn before, and gives how many lines it has now.
fn redraw(report: &QueuesReport, before: usize) -> Outcome<usize> {
    let screen = Screen::of_stdout();
    let (text, lines) = screen.redraw(&output::drawn(&tables(report), &screen), before);
    output::print(&text)?;
    Ok(lines)
}

fn tables(report: &QueuesReport) -> Vec<Table> {
    let mut tables = vec![output::queues(&report.queues)];
    if !report.accounts.is_empty() {
        tables.push(output::accounts(&report.accounts));
    }
    if !report.endpoints.is_empty() {
        tables.push(output::endpoints(&report.endpoints));
    }
    tables
}
