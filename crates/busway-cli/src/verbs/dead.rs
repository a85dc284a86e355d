//! `dead list|show|replay|delete`.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use busway::core::Admin;
use busway::core::admin::{DeadReport, DeadRequest};
use busway::core::transport::Filter;
use serde_json::json;

use super::{Scope, interrupted};
use crate::cli::{Dead, DeadList, DeadReplay, DeadSelected, DeadShow, Selectors};
use crate::exit::{Failure, Outcome};
use crate::output::{self, progress::Progress};

/// Letters of one call, so that an interruption comes between two and knows what was done.
const CALL: u64 = 1000;
/// How long a call that is under way may take to end after an interruption.
const ENDING: Duration = Duration::from_secs(10);

pub(super) async fn run(scope: &Scope, verb: Dead) -> Outcome {
    match verb {
        Dead::List(wanted) => list(scope, wanted).await,
        Dead::Show(wanted) => show(scope, &wanted).await,
        Dead::Replay(DeadReplay { rate, selected }) => {
            let request = DeadRequest { max: Some(a_second(rate)), rate, ..request(selected) };
            call_until_done(scope, ["replaying", "replayed"], request, |bus, request| async move {
                bus.dead_replay(request).await
            })
            .await
        }
        Dead::Delete(selected) => {
            let request = DeadRequest { max: Some(CALL), ..request(selected) };
            call_until_done(scope, ["deleting", "deleted"], request, |bus, request| async move {
                bus.dead_delete(request).await
            })
            .await
        }
    }
}

/// Calls the verb again and again until nothing is left or it is interrupted, and tells how many there
/// were in all.
async fn call_until_done<F>(
    scope: &Scope,
    [doing, what]: [&'static str; 2],
    mut request: DeadRequest,
    verb: impl Fn(std::sync::Arc<dyn Admin>, DeadRequest) -> F,
) -> Outcome
where
    F: Future<Output = busway::core::Result<DeadReport>>,
{
    let bus = scope.reach().await?;
    let mut stop = pin!(interrupted());
    let progress = Progress::open(doing);
    let mut total = 0;
    let ended = loop {
        let mut call = pin!(verb(std::sync::Arc::clone(&bus) as _, request.clone()));
        let (answer, stopped) = tokio::select! {
            answer = &mut call => (Some(answer), false),
            () = &mut stop => (tokio::time::timeout(ENDING, call).await.ok(), true),
        };
        match answer {
            Some(Ok(DeadReport { done, next })) => {
                total += done;
                progress.say(total.to_string());
                request.from = next;
            }
            Some(Err(error)) => break Err(Failure::from(error)),
            None => output::complain(&format!("up to {} more are under way", request.max.unwrap_or(CALL))),
        }
        if stopped {
            break Err(Failure::Interrupted);
        }
        if request.from.is_none() {
            break Ok(());
        }
    };
    drop(progress);
    let closed = bus.close().await;
    match ended {
        Ok(()) => {
            closed?;
            counted(scope, what, total)
        }
        Err(Failure::Interrupted) => {
            if scope.json {
                output::json(&json!({ what: total, "interrupted": true }))?;
            } else {
                output::line(&format!("{what} {total}, interrupted"))?;
            }
            Err(Failure::Interrupted)
        }
        Err(failure) => {
            output::complain(&format!("{what} {total} before this:"));
            Err(failure)
        }
    }
}

/// The letters that go in about a second.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 1000")]
fn a_second(rate: Option<f64>) -> u64 {
    rate.map_or(CALL, |rate| rate.ceil().clamp(1.0, 1000.0) as u64)
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
    let (row, history) = (output::dead(std::slice::from_ref(&letter.row)), output::events(&letter.history));
    output::tables(&[row, history])?;
    output::raw_json(&format!("\n{}", letter.message.get()))
}

fn counted(scope: &Scope, what: &str, count: u64) -> Outcome {
    if scope.json { output::json(&json!({ what: count })) } else { output::line(&format!("{what} {count}")) }
}

fn request(DeadSelected { selectors, .. }: DeadSelected) -> DeadRequest {
    Filter::from(selectors).into()
}

impl From<Selectors> for Filter {
    fn from(selectors: Selectors) -> Self {
        let Selectors { id, r#type, account, destination, reason, since, until } = selectors;
        Self { id, r#type, account, destination, reason, since, until }
    }
}
