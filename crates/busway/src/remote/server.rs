//! Answers the calls of other processes from the bus that this one holds.

use std::sync::Arc;
use std::time::Duration;

use busway_core::admin::{PublishOutcome, PublishResult};
use busway_core::{Admin, Error, ErrorKind, Message, Result};
use serde::Serialize;
use serde_json::value::RawValue;

use super::call::Call;
use super::wire::{Answer, WireError, WireMessage};

/// The most messages or rows one call may ask for.
const MOST: usize = 100_000;

/// The server side of the verbs: one call in, one answer out.
#[derive(Clone)]
pub struct AdminVerbs {
    admin: Arc<dyn Admin>,
}

impl AdminVerbs {
    /// Answers from this bus.
    #[must_use]
    pub fn new(admin: Arc<dyn Admin>) -> Self {
        Self { admin }
    }

    /// Answers one call; a call that cannot be understood is answered with an error.
    ///
    /// Cancelling it leaves open whether the verb took effect.
    pub async fn answer(&self, call: &[u8]) -> Vec<u8> {
        let answer = match serde_json::from_slice::<Call>(call) {
            Ok(call) => self.dispatch(call).await,
            Err(error) => Err(Error::new("answer", ErrorKind::Malformed, "the call is not understood")
                .caused_by(error)
                .advise("the two processes may be of different versions")),
        };
        let answer = match answer {
            Ok(answer) => Answer::Ok(answer),
            Err(error) => Answer::Error(WireError::from(&error)),
        };
        serde_json::to_vec(&answer).unwrap_or_default()
    }

    async fn dispatch(&self, call: Call) -> Result<Box<RawValue>> {
        let admin = &self.admin;
        match call {
            Call::Ping => json(&()),
            Call::Publish { messages, deadline_ms } => {
                json(&self.publish(messages, Duration::from_millis(deadline_ms)).await)
            }
            Call::Queues => json(&admin.queues().await?),
            Call::Peek { queue, max, why } => json(&admin.peek(&queue, max.min(MOST), why).await?),
            Call::Trace { id } => json(&admin.trace(&id).await?),
            Call::DeadList { filter, max } => json(&admin.dead_list(filter.into(), max.min(MOST)).await?),
            Call::DeadShow { id } => json(&admin.dead_show(&id).await?),
            Call::DeadReplay(request) => json(&admin.dead_replay(request.into()).await?),
            Call::DeadDelete(request) => json(&admin.dead_delete(request.into()).await?),
            Call::Endpoints => json(&admin.endpoints().await?),
            Call::EndpointPause { name, pause } => json(&admin.endpoint_pause(&name, pause).await?),
            Call::EndpointTest { name } => json(&admin.endpoint_test(&name).await?),
            Call::Accounts => json(&admin.accounts().await?),
            Call::AccountPause { name, pause } => json(&admin.account_pause(&name, pause).await?),
            Call::AccountWeight { name, weight } => json(&admin.account_weight(&name, weight).await?),
            Call::Readiness => json(&admin.readiness().await),
            Call::Snapshots => json(&admin.snapshots().await),
            Call::RunOnce(request) => json(&admin.run_once(request).await?),
        }
    }

    /// Publishes what can be read; what cannot fails by itself.
    async fn publish(&self, messages: Vec<WireMessage>, deadline: Duration) -> Vec<PublishResult> {
        let read: Vec<Result<Message>> = messages.into_iter().map(WireMessage::into_message).collect();
        let batch: Vec<Message> = read.iter().filter_map(|message| message.as_ref().ok().cloned()).collect();
        let mut published = self.admin.publish(batch, deadline).await.into_iter();
        let result = |message: Result<Message>| match message {
            Ok(message) => published.next().unwrap_or_else(|| unanswered(message.id)),
            Err(error) => PublishResult {
                id: String::new(),
                outcome: PublishOutcome::Failed,
                error: Some(error.to_string()),
                class: Some(error.class().as_str().to_owned()),
            },
        };
        read.into_iter().map(result).collect()
    }
}

/// The result of a message for which the bus gave none.
pub(super) fn unanswered(id: String) -> PublishResult {
    PublishResult {
        id,
        outcome: PublishOutcome::Unknown,
        error: Some("there was no answer for this message".to_owned()),
        class: Some("unknown".to_owned()),
    }
}

fn json<T: Serialize>(value: &T) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(value).map_err(|error| {
        Error::new("answer", ErrorKind::Internal, "the answer has no JSON form").caused_by(error)
    })
}
