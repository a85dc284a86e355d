//! `trace ID`.

use busway::core::admin::Trace;

use super::Scope;
use crate::cli;
use crate::exit::{Failure, Outcome};
use crate::output;

pub(super) async fn run(scope: &Scope, cli::Trace { id, .. }: &cli::Trace) -> Outcome {
    let trace = scope.with_bus(|bus| async move { Ok(bus.trace(id).await?) }).await?;
    let Some(trace) = trace.filter(|trace| !(trace.events.is_empty() && trace.r#where.is_empty())) else {
        return Err(Failure::Failed(format!(
            "nothing is known of a message with id {}: it is in no queue, and not in the journal",
            output::plain(id)
        )));
    };
    if scope.json { output::json(&trace) } else { show(&trace) }
}

fn show(trace: &Trace) -> Outcome {
    let (r#type, account) = (trace.r#type.as_deref().unwrap_or("-"), trace.account.as_deref().unwrap_or("-"));
    output::line(&format!("{}  {type}  account {account}", trace.id))?;
    output::line("")?;
    output::tables(&[output::events(&trace.events)])?;
    output::line("")?;
    match trace.r#where.as_slice() {
        [] if trace.not_searched.is_empty() => output::line("It is in no queue.")?,
        [] => {}
        places => output::tables(&[output::places(places)])?,
    }
    if !trace.not_searched.is_empty() {
        let queues = trace.not_searched.join(", ");
        output::line(&format!("Not looked for in {queues}: too much waits there to go through."))?;
    }
    missing(trace.missing, trace.cut_off)
}

/// What a reader must know of the gaps in a history.
fn missing(entries: u64, cut_off: u64) -> Outcome {
    if entries > 0 {
        output::line(&format!(
            "{entries} entries of the journal found no room in that time: some of these may be missing here."
        ))?;
    }
    if cut_off > 0 {
        output::line(&format!(
            "A process ended without closing the journal in that time (so often: {cut_off}): what it noted in \
             its last moments may be missing here."
        ))?;
    }
    Ok(())
}
