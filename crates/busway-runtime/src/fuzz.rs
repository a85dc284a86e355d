//! What a bus remembers of an endpoint, for the fuzz targets alone: no part of the interface.

use serde_json::Value;

use crate::gate::Gate;
use crate::options::Room;

/// What a gate keeps for the next process after it took over this row; `None` where the row is no JSON.
#[must_use]
pub fn gate_row(row: &[u8]) -> Option<Value> {
    let memory = serde_json::from_slice::<Value>(row).ok()?;
    let gate = Gate::new(1, 1, Room { messages: 1, bytes: 1 });
    gate.restore(&memory);
    Some(gate.memory())
}
