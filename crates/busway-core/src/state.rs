//! What several processes must agree on: pauses, subscriptions, physical names, phases.

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Result;

/// A value with the version it was read at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// The value.
    pub value: Bytes,
    /// Its version: rises with every change of the key, never used twice.
    pub version: u64,
}

/// What a change did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// It took effect; the key has this version now.
    Done(u64),
    /// Somebody else was first; the key stands like this now.
    Conflict(Option<Versioned>),
}

/// A durable store of small values that changes by compare-and-swap. Object safe.
///
/// Keys are paths such as `pause/endpoint/inventory`, at most 512 bytes; values at most 1 MiB.
#[async_trait]
pub trait State: Send + Sync + 'static {
    /// The value of a key.
    async fn get(&self, key: &str) -> Result<Option<Versioned>>;

    /// All keys with this prefix and their values, in order of key, at most 100,000.
    async fn list(&self, prefix: &str) -> Result<Vec<(String, Versioned)>>;

    /// Sets (`Some`) or removes (`None`) a key, but only if it still has the version `expected`
    /// (`None`: if it does not exist). Durable when it returns `Done`.
    ///
    /// Cancelling it leaves open whether it took effect; read the key again.
    async fn swap(&self, key: &str, expected: Option<u64>, value: Option<Bytes>) -> Result<Swap>;

    /// Lets go of files and connections.
    async fn close(&self) -> Result<()>;
}

/// Sets or removes a key whatever it was before. Gives up after 100 lost races.
///
/// # Errors
/// Those of the store; `Conflict` when others kept changing the key.
pub async fn put(state: &dyn State, key: &str, value: Option<Bytes>) -> Result<()> {
    let mut current = state.get(key).await?;
    for _ in 0..100 {
        if current.is_none() && value.is_none() {
            return Ok(());
        }
        match state.swap(key, current.as_ref().map(|c| c.version), value.clone()).await? {
            Swap::Done(_) => return Ok(()),
            Swap::Conflict(now) => current = now,
        }
    }
    Err(crate::Error::new("put", crate::ErrorKind::Conflict, "the key changed 100 times meanwhile").at(key))
}

const _: Option<&dyn State> = None;
