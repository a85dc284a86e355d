//! One message from the options of the command line.

use std::io::Read;

use busway::core::{Message, envelope};

use crate::cli::One;
use crate::exit::{Failure, Outcome};
use crate::output::complain;

/// The largest payload that is read.
const MOST: u64 = 64 << 20;

/// The message; what it may hold is what an event in structured form may hold.
pub(super) fn message(r#type: String, one: One) -> Outcome<Message> {
    let One { data, content_type, account, id, source, subject, key, priority, deliver_at } = one;
    let mut message = Message::new(r#type, payload(data.as_deref())?);
    if content_type.is_none() && !message.data.is_empty() && !is_json(&message.data) {
        complain("the data is not JSON, but the media type is application/json; --content-type sets another");
    }
    message.datacontenttype = content_type;
    message.account = account;
    message.subject = subject;
    message.partitionkey = key;
    message.deliver_at = deliver_at;
    if let Some(id) = id {
        message.id = id;
    }
    if let Some(source) = source {
        message.source = source;
    }
    if let Some(priority) = priority {
        message.priority = priority;
    }
    let attributes = Message { data: bytes::Bytes::new(), ..message.clone() };
    envelope::json::decode(&envelope::json::encode(&attributes))
        .map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(message)
}

fn is_json(data: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok()
}

fn payload(data: Option<&str>) -> Outcome<Vec<u8>> {
    match data {
        None => Ok(Vec::new()),
        Some("-") => read("standard input", std::io::stdin().lock()),
        Some(text) => match text.strip_prefix('@') {
            None => Ok(text.as_bytes().to_vec()),
            Some(path) => {
                let file = std::fs::File::open(path);
                read(path, file.map_err(|error| Failure::Usage(format!("{path}: {error}")))?)
            }
        },
    }
}

fn read(name: &str, from: impl Read) -> Outcome<Vec<u8>> {
    let mut data = Vec::new();
    from.take(MOST + 1)
        .read_to_end(&mut data)
        .map_err(|error| Failure::Failed(format!("{name}: {error}")))?;
    if data.len() as u64 > MOST {
        return Err(Failure::Failed(format!("{name}: over {MOST} bytes")));
    }
    Ok(data)
}
