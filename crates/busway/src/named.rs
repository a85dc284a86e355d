//! Named subscriptions, as the state store keeps them: what any holder of the bus routes to a handler,
//! whether or not the handler is in its process.

use busway_core::{Error, ErrorKind, Name, Queue, Result, State, state};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::config::{Order, check_pattern};

const PREFIX: &str = "subscription/";

/// One subscription. Without types it has ended: nothing more is routed to it, and what waits for it is
/// kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) types: Vec<String>,
    /// By what order is kept, in the word of the configuration.
    pub(crate) order: String,
}

impl Named {
    /// The queue by which messages reach the handler in another process.
    pub(crate) fn queue(&self) -> Result<Queue> {
        Ok(Queue::To(Name::new(&self.name)?))
    }

    pub(crate) fn order(&self) -> Order {
        let known = [Order::None, Order::PartitionKey, Order::Account];
        known.into_iter().find(|order| order.as_str() == self.order).unwrap_or_default()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.types.is_empty()
    }

    /// Refuses a name or pattern that is none.
    pub(crate) fn check(&self) -> Result<()> {
        Name::new(&self.name)?;
        let wrong = |why: String| Error::new("subscribe", ErrorKind::Configuration, why).at(&self.name);
        self.types.iter().try_for_each(|types| check_pattern(types).map_err(wrong))
    }
}

/// All that there are, in order of name.
pub(crate) async fn all(state: &dyn State) -> Result<Vec<Named>> {
    let read = |(key, kept): (String, state::Versioned)| {
        serde_json::from_slice(&kept.value).map_err(|error| {
            Error::new("read subscriptions", ErrorKind::Version, "a record is not understood")
                .at(key)
                .caused_by(error)
                .advise("a later version may have written it")
        })
    };
    state.list(PREFIX).await?.into_iter().map(read).collect()
}

/// Sets the record of one.
pub(crate) async fn keep(state: &dyn State, named: &Named) -> Result<()> {
    let json = serde_json::to_vec(named).map_err(|error| {
        Error::new("keep a subscription", ErrorKind::Internal, "it has no JSON form").caused_by(error)
    })?;
    state::put(state, &key(&named.name), Some(Bytes::from(json))).await
}

/// Removes the record of one.
pub(crate) async fn forget(state: &dyn State, name: &str) -> Result<()> {
    state::put(state, &key(name), None).await
}

fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}
