//! `endpoints list|pause|resume|test`.

use std::sync::Arc;

use busway::core::{Admin, ErrorClass};
use serde_json::json;

use super::Scope;
use crate::cli::{Endpoints, Named};
use crate::exit::{Failure, Outcome};
use crate::output;

pub(super) async fn run(scope: &Scope, verb: &Endpoints) -> Outcome {
    match verb {
        Endpoints::List(_) => {
            let rows = scope.with_bus(|bus| async move { Ok(bus.endpoints().await?) }).await?;
            if scope.json { output::json(&rows) } else { output::tables(&[output::endpoints(&rows)]) }
        }
        Endpoints::Pause(named) => pause(scope, named, true).await,
        Endpoints::Resume(named) => pause(scope, named, false).await,
        Endpoints::Test(Named { name, .. }) => {
            // An endpoint is neither the bus nor a broker: that it refuses is a failure like another.
            let test = |bus: Arc<dyn Admin>| async move {
                let tested = bus.endpoint_test(name).await;
                tested.map_err(|error| match error.class() {
                    ErrorClass::Retry => Failure::Failed(error.to_string()),
                    _ => Failure::Bus(error),
                })
            };
            let result = scope.with_bus(test).await?;
            if scope.json {
                return output::json(&json!({ "endpoint": name, "result": result }));
            }
            output::line(&format!("endpoint {name}: {}", result))
        }
    }
}

async fn pause(scope: &Scope, Named { name, .. }: &Named, paused: bool) -> Outcome {
    scope.with_bus(|bus| async move { Ok(bus.endpoint_pause(name, paused).await?) }).await?;
    if scope.json {
        return output::json(&json!({ "endpoint": name, "paused": paused }));
    }
    output::line(&format!("endpoint {name} is {}", if paused { "paused" } else { "resumed" }))
}
