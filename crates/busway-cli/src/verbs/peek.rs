//! `peek QUEUE`.

use super::Scope;
use crate::cli::Peek;
use crate::exit::Outcome;
use crate::output;

pub(super) async fn run(scope: &Scope, peek: &Peek) -> Outcome {
    let rows = scope.with_bus(|bus| async move { Ok(bus.peek(&peek.queue, peek.count).await?) }).await?;
    if scope.json { output::json(&rows) } else { output::tables(&[output::peeked(&rows)]) }
}
