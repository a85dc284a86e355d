//! What becomes of a message when it is settled.

use busway_core::error::{Error, ErrorKind, Result};
use busway_core::transport::{mark_dead, mark_waiting};
use busway_core::{Outcome, Queue};

use super::lease::Lease;
use super::storage::State;

impl State {
    /// Settles the message held under `token`. `transport` is the name that a dead letter's origin
    /// begins with.
    pub(super) fn settle(&mut self, token: u64, outcome: Outcome, transport: &str) -> Result<()> {
        if matches!(outcome, Outcome::Dead { .. }) && !self.lines.contains_key(&Queue::Dead) {
            self.abandon(token);
            return Err(Error::new(
                "settle",
                ErrorKind::NotFound,
                "there is no such queue; the message returns",
            )
            .at(Queue::Dead)
            .advise("declare it"));
        }
        let Lease { queue, position, .. } = self.end_lease(token)?;
        let now = self.now();
        let due = match &outcome {
            Outcome::Retry { after, .. } | Outcome::Park { after, .. } => self.due_after(*after),
            _ => now,
        };
        let line = self.line("settle", &queue)?;
        match outcome {
            Outcome::Ack => {
                line.remove(position);
            }
            Outcome::Release => line.put_back(position, None),
            Outcome::Retry { reason, .. } => {
                if let Some(message) = line.message_mut(position) {
                    mark_waiting(message, reason, true, due);
                }
                line.put_back(position, Some(due));
            }
            Outcome::Park { reason, .. } => {
                if let Some(message) = line.message_mut(position) {
                    mark_waiting(message, reason, false, due);
                }
                line.put_back(position, Some(due));
            }
            Outcome::Dead { reason, attempts } => {
                if let Some(entry) = line.remove(position) {
                    let mut message = entry.message;
                    mark_dead(&mut message, reason, attempts, &format!("{transport}/{queue}"), now);
                    self.line("settle", &Queue::Dead)?.push(message, None, now);
                }
            }
        }
        Ok(())
    }
}
