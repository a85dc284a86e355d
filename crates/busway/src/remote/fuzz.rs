//! The readers of what crosses the socket, for the fuzz targets alone: no part of the interface.

use busway_core::{Error, Message};

use super::call::Call;
use super::wire::{Answer, WireMessage};

/// A call as it would be sent again; `None` where the bytes are none.
#[must_use]
pub fn call(bytes: &[u8]) -> Option<Vec<u8>> {
    let call: Call = serde_json::from_slice(bytes).ok()?;
    serde_json::to_vec(&call).ok()
}

/// The messages of a call that publishes, and why others are none.
#[must_use]
pub fn published(bytes: &[u8]) -> Vec<Result<Message, Error>> {
    match serde_json::from_slice(bytes) {
        Ok(Call::Publish { messages, .. }) => messages.into_iter().map(WireMessage::into_message).collect(),
        _ => Vec::new(),
    }
}

/// A call that publishes these messages.
///
/// # Errors
/// A message without a structured form.
pub fn publish(messages: Vec<Message>) -> Result<Vec<u8>, Error> {
    let messages = messages.into_iter().map(WireMessage::new).collect::<Result<_, _>>()?;
    Ok(serde_json::to_vec(&Call::Publish { messages, deadline_ms: 1_000 }).unwrap_or_default())
}

/// A holder's answer: its text, or the error that it tells; `None` where the bytes are none.
#[must_use]
pub fn answer(bytes: &[u8]) -> Option<Result<String, Error>> {
    Some(match serde_json::from_slice(bytes).ok()? {
        Answer::Ok(text) => Ok(text.get().to_owned()),
        Answer::Error(error) => Err(error.into_error("ask")),
    })
}
