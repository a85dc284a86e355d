//! `peek QUEUE [--why]`.

use super::Scope;
use crate::cli::Peek;
use crate::exit::Outcome;
use crate::output;

pub(super) async fn run(scope: &Scope, peek: &Peek) -> Outcome {
    let look = |bus: std::sync::Arc<dyn busway::Admin>| async move {
        Ok(bus.peek(&peek.queue, peek.count, peek.why).await?)
    };
    let rows = scope.with_bus(look).await?;
    match (scope.json, peek.why) {
        (true, _) => output::json(&rows),
        (false, false) => output::tables(&[output::peeked(&rows)]),
        (false, true) => output::tables(&[output::waiting(&rows)]),
    }
}
