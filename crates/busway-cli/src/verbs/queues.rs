//! `queues [--watch]`.

use std::time::Duration;

use busway::core::admin::QueuesReport;

use super::Scope;
use crate::cli::Queues;
use crate::exit::Outcome;
use crate::output;

/// How often a watch looks again.
const EVERY: Duration = Duration::from_secs(1);

pub(super) async fn run(scope: &Scope, queues: &Queues) -> Outcome {
    scope
        .with_bus(|bus| async move {
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                show(scope, &bus.queues().await?)?;
                if !queues.watch || output::is_closed() {
                    return Ok(());
                }
            }
        })
        .await
}

fn show(scope: &Scope, report: &QueuesReport) -> Outcome {
    if scope.json {
        return output::json(report);
    }
    let mut text = output::queues(&report.queues);
    if !report.accounts.is_empty() {
        text.push_str(&format!("\n{}", output::accounts(&report.accounts)));
    }
    if !report.endpoints.is_empty() {
        text.push_str(&format!("\n{}", output::endpoints(&report.endpoints)));
    }
    text.push('\n');
    output::print(&text)
}
