//! `dead list|show|replay|delete`.

use busway::core::transport::Filter;
use serde_json::json;

use super::Scope;
use crate::cli::{Dead, DeadList, DeadSelected, DeadShow, Selectors};
use crate::exit::{Failure, Outcome};
use crate::output::{self, progress::Progress};

pub(super) async fn run(scope: &Scope, verb: Dead) -> Outcome {
    match verb {
        Dead::List(wanted) => list(scope, wanted).await,
        Dead::Show(wanted) => show(scope, &wanted).await,
        Dead::Replay(selected) => {
            let filter = filter(selected);
            let progress = Progress::open("replaying");
            let count = scope.with_bus(|bus| async move { Ok(bus.dead_replay(filter).await?) }).await?;
            drop(progress);
            counted(scope, "replayed", count)
        }
        Dead::Delete(selected) => {
            let filter = filter(selected);
            let count = scope.with_bus(|bus| async move { Ok(bus.dead_delete(filter).await?) }).await?;
            counted(scope, "deleted", count)
        }
    }
}

async fn list(scope: &Scope, DeadList { selectors, count, .. }: DeadList) -> Outcome {
    let filter = Filter::from(selectors);
    let rows = scope.with_bus(|bus| async move { Ok(bus.dead_list(filter, count).await?) }).await?;
    if rows.len() == count {
        output::complain(&format!("the first {count}; -n gives more"));
    }
    if scope.json { output::json(&rows) } else { output::tables(&[output::dead(&rows)]) }
}

async fn show(scope: &Scope, DeadShow { id, .. }: &DeadShow) -> Outcome {
    let letter = scope.with_bus(|bus| async move { Ok(bus.dead_show(id).await?) }).await?;
    let Some(letter) = letter else {
        return Err(Failure::Failed(format!("there is no dead letter with id {id}")));
    };
    if scope.json {
        return output::json(&letter);
    }
    output::tables(&[output::dead(std::slice::from_ref(&letter.row))])?;
    output::raw_json(&format!("\n{}", letter.message.get()))
}

fn counted(scope: &Scope, what: &str, count: u64) -> Outcome {
    if scope.json { output::json(&json!({ what: count })) } else { output::line(&format!("{what} {count}")) }
}

fn filter(DeadSelected { selectors, .. }: DeadSelected) -> Filter {
    selectors.into()
}

impl From<Selectors> for Filter {
    fn from(selectors: Selectors) -> Self {
        let Selectors { id, r#type, account, destination } = selectors;
        Self { id, r#type, account, destination }
    }
}
