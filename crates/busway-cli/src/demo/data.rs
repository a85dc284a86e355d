//! Real webhook payloads, of which one account sends most.

use busway::core::{Message, envelope};

use crate::exit::{Failure, Outcome};

const LINES: &str = include_str!("../../../../examples/data/github-webhooks.jsonl");

/// The messages, in the order of the file, with ids of their own.
pub(crate) fn messages() -> Outcome<Vec<Message>> {
    let read = LINES.lines().enumerate().map(|(index, line)| {
        envelope::json::decode(line.as_bytes())
            .map_err(|error| Failure::Failed(format!("line {} of the demo's data: {error}", index + 1)))
    });
    read.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn one_account_of_many_sends_most_messages() {
        let messages = messages().unwrap();
        assert_eq!(messages.len(), 329);
        let ids: HashSet<&str> = messages.iter().map(|message| message.id.as_str()).collect();
        assert_eq!(ids.len(), 329);
        let mut accounts: HashMap<&str, usize> = HashMap::new();
        for message in &messages {
            *accounts.entry(message.account_or_dash()).or_default() += 1;
        }
        let most = accounts.values().max().unwrap();
        assert!(accounts.len() > 5 && *most > 200, "{accounts:?}");
    }

    #[test]
    fn the_payload_is_the_very_text_of_the_line() {
        let first = LINES.lines().next().unwrap();
        let message = messages().unwrap().remove(0);
        let data = std::str::from_utf8(&message.data).unwrap();
        assert!(first.ends_with(&format!("\"data\":{data}}}")), "{data}");
    }
}
