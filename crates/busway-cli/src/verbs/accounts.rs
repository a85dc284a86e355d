//! `accounts list|pause|resume|weight`.

use serde_json::json;

use super::Scope;
use crate::cli::{Accounts, Named};
use crate::exit::Outcome;
use crate::output;

pub(super) async fn run(scope: &Scope, verb: &Accounts) -> Outcome {
    match verb {
        Accounts::List(_) => {
            let rows = scope.with_bus(|bus| async move { Ok(bus.accounts().await?) }).await?;
            if scope.json { output::json(&rows) } else { output::tables(&[output::accounts(&rows)]) }
        }
        Accounts::Pause(named) => pause(scope, named, true).await,
        Accounts::Resume(named) => pause(scope, named, false).await,
        Accounts::Weight(weight) => {
            let (name, weight) = (&weight.name, weight.weight);
            scope.with_bus(|bus| async move { Ok(bus.account_weight(name, weight).await?) }).await?;
            if scope.json {
                return output::json(&json!({ "account": name, "weight": weight }));
            }
            output::line(&format!("account {name} has weight {weight}"))
        }
    }
}

async fn pause(scope: &Scope, Named { name, .. }: &Named, paused: bool) -> Outcome {
    scope.with_bus(|bus| async move { Ok(bus.account_pause(name, paused).await?) }).await?;
    if scope.json {
        return output::json(&json!({ "account": name, "paused": paused }));
    }
    output::line(&format!("account {name} is {}", if paused { "paused" } else { "resumed" }))
}
