//! One call of an endpoint, in a task of its own that brings its messages to their outcome whatever
//! becomes of the actor that started it.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use busway_core::{Delivery, DeliveryError};
use futures_util::FutureExt;

use crate::faults::Faults;
use crate::gate::Call;
use crate::job::Job;
use crate::settings::Settings;
use crate::target::Target;
use crate::workers::Worker;

/// What a call holds while it runs.
pub(crate) struct Holds {
    pub(crate) call: Call,
    #[expect(dead_code, reason = "held for its drop")]
    pub(crate) worker: Worker,
}

/// Delivers a batch by these settings and concludes each of its messages; those whose time is over are
/// dead without a try.
///
/// Cancelled (a forced stop), the messages are abandoned and come again.
pub(crate) async fn deliver(
    target: Arc<Target>,
    settings: Arc<Settings>,
    jobs: Vec<Job>,
    holds: Holds,
    faults: Faults,
) {
    let (expired, jobs): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(Job::expired);
    expired.into_iter().for_each(|job| target.expire(job));
    if jobs.is_empty() {
        return;
    }
    let deliveries: Vec<Delivery> = jobs
        .iter()
        .map(|job| Delivery {
            message: Arc::clone(&job.message),
            destination: Arc::clone(&target.name),
            attempt: job.message.attempt.saturating_add(1),
        })
        .collect();
    let started = Instant::now();
    let call = async {
        faults.pass("delivery");
        settings.spec.endpoint.deliver(deliveries).await
    };
    let bounded = tokio::time::timeout(settings.spec.deadline, call);
    let results = match AssertUnwindSafe(bounded).catch_unwind().await {
        Ok(Ok(results)) if results.len() == jobs.len() => results,
        Ok(Ok(results)) => {
            let detail = format!("{} results for {} deliveries", results.len(), jobs.len());
            all(&jobs, &DeliveryError::retry("internal", detail))
        }
        Ok(Err(_)) => all(&jobs, &DeliveryError::retry("timeout", "the call took too long").overload()),
        Err(payload) => {
            let text = panic_message(&*payload);
            tracing::error!(endpoint = %target.name, panic = %text, "a delivery panicked");
            all(&jobs, &DeliveryError::retry("panic", text))
        }
    };
    let took = started.elapsed();
    for result in &results {
        target.gate.learn(holds.call.opening(), result);
    }
    drop(holds);
    for (job, result) in jobs.into_iter().zip(results) {
        target.conclude(job, result, settings.spec.retry, took);
    }
}

fn all(jobs: &[Job], error: &DeliveryError) -> Vec<Result<(), DeliveryError>> {
    jobs.iter().map(|_| Err(error.clone())).collect()
}

/// What a panic said.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}
