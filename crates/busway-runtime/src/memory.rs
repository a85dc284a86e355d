//! What a bus remembers in the state store: pauses, weights, and how its gates stood.

use std::sync::Arc;

use busway_core::{Result, State, state};
use bytes::Bytes;
use serde_json::Value;

use crate::target::Target;
use crate::turns::TurnsBoard;

const ENDPOINT_PAUSE: &str = "pause/endpoint/";
const ACCOUNT_PAUSE: &str = "pause/account/";
const ACCOUNT_WEIGHT: &str = "weight/account/";
const GATE: &str = "gate/";

/// The state store as the runtime uses it.
pub(crate) struct Memory {
    state: Arc<dyn State>,
}

impl Memory {
    pub(crate) fn new(state: Arc<dyn State>) -> Self {
        Self { state }
    }

    /// Brings the gate of an endpoint to where it was left.
    pub(crate) async fn recall_gate(&self, target: &Target) -> Result<()> {
        let paused = self.state.get(&format!("{ENDPOINT_PAUSE}{}", target.name)).await?.is_some();
        let kept = self.state.get(&format!("{GATE}{}", target.name)).await?;
        target.gate.set_paused(paused);
        if let Some(kept) = kept
            && let Ok(memory) = serde_json::from_slice::<Value>(&kept.value)
        {
            target.gate.restore(&memory);
        }
        Ok(())
    }

    /// Brings the turns of accounts to where they were left.
    pub(crate) async fn recall_turns(&self, board: &TurnsBoard) -> Result<()> {
        let paused = self.state.list(ACCOUNT_PAUSE).await?;
        let weights = self.state.list(ACCOUNT_WEIGHT).await?;
        board.change(|turns| {
            turns.paused = paused
                .iter()
                .filter_map(|(key, _)| key.strip_prefix(ACCOUNT_PAUSE))
                .map(str::to_owned)
                .collect();
            turns.weights = weights
                .iter()
                .filter_map(|(key, kept)| {
                    let account = key.strip_prefix(ACCOUNT_WEIGHT)?;
                    Some((account.to_owned(), std::str::from_utf8(&kept.value).ok()?.parse().ok()?))
                })
                .collect();
        });
        Ok(())
    }

    pub(crate) async fn endpoint_paused(&self, name: &str, paused: bool) -> Result<()> {
        self.put(&format!("{ENDPOINT_PAUSE}{name}"), paused.then(|| Bytes::from_static(b"1"))).await
    }

    pub(crate) async fn account_paused(&self, name: &str, paused: bool) -> Result<()> {
        self.put(&format!("{ACCOUNT_PAUSE}{name}"), paused.then(|| Bytes::from_static(b"1"))).await
    }

    pub(crate) async fn account_weight(&self, name: &str, weight: u32) -> Result<()> {
        self.put(&format!("{ACCOUNT_WEIGHT}{name}"), (weight != 1).then(|| Bytes::from(weight.to_string())))
            .await
    }

    /// Keeps how a gate stands for the next process.
    pub(crate) async fn gate(&self, name: &str, memory: &Value) -> Result<()> {
        let calm = memory.as_object().is_some_and(|fields| fields.values().all(Value::is_null));
        self.put(&format!("{GATE}{name}"), (!calm).then(|| Bytes::from(memory.to_string()))).await
    }

    pub(crate) async fn close(&self) -> Result<()> {
        self.state.close().await
    }

    async fn put(&self, key: &str, value: Option<Bytes>) -> Result<()> {
        state::put(&*self.state, key, value).await
    }
}
