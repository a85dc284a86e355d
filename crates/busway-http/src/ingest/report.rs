//! The answer to JSON lines: a result for each, and why the stream ended early where it did.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use busway_core::admin::{PublishOutcome, PublishResult};
use serde::Serialize;

use super::outcome::{self, Tally};
use crate::budget::Held;
use crate::problem::Problem;

/// One line of a batch, by its number counted from 1.
pub(super) enum Entry {
    Message(usize),
    Bad { line: usize, error: String, attribute: Option<String>, class: &'static str },
}

/// The results so far, already in their text form.
pub(super) struct Report {
    rows: Vec<u8>,
    tally: Tally,
    held: Held,
    lines: usize,
    early: Option<Problem>,
}

/// One result; its line where it was not stored.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outcome: PublishOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attribute: Option<&'a str>,
}

/// The last line of an answer to a stream that ended early.
#[derive(Serialize)]
struct Early<'a> {
    error: &'a str,
    line: usize,
}

impl Report {
    pub(super) fn new(held: Held) -> Self {
        Self { rows: Vec::new(), tally: Tally::default(), held, lines: 0, early: None }
    }

    /// Counts a line that has come; answers its number.
    pub(super) fn count_line(&mut self) -> usize {
        self.lines += 1;
        self.lines
    }

    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    /// The stream ended early; the first reason stands.
    pub(super) fn end_early(&mut self, why: Problem) {
        self.early.get_or_insert(why);
    }

    /// Adds a batch's results; `false` where there is no room to hold more of them.
    pub(super) fn add(&mut self, entries: &[Entry], results: &[PublishResult]) -> bool {
        let before = self.rows.len();
        let mut results = results.iter();
        for entry in entries {
            match entry {
                Entry::Message(line) => {
                    let Some(result) = results.next() else { break };
                    self.tally.add(result);
                    self.write(&Row {
                        line: (result.outcome != PublishOutcome::Stored).then_some(*line),
                        id: Some(&result.id),
                        outcome: result.outcome,
                        error: result.error.as_deref(),
                        class: result.class.as_deref(),
                        attribute: None,
                    });
                }
                Entry::Bad { line, error, attribute, class } => {
                    self.tally.add_failed(class);
                    self.write(&Row {
                        line: Some(*line),
                        id: None,
                        outcome: PublishOutcome::Failed,
                        error: Some(error),
                        class: Some(class),
                        attribute: attribute.as_deref(),
                    });
                }
            }
        }
        self.held.grow(self.rows.len() - before)
    }

    fn write<T: Serialize>(&mut self, row: &T) {
        match serde_json::to_writer(&mut self.rows, row) {
            Ok(()) => self.rows.push(b'\n'),
            Err(e) => tracing::error!(error = %e, "a result has no JSON form"),
        }
    }

    pub(super) fn response(mut self) -> HttpResponse {
        let early = self.early.take();
        if let Some(early) = &early {
            let row = Early { error: &early.to_string(), line: self.lines + 1 };
            self.write(&row);
        }
        let status = self.tally.status().or(early.map(|early| early.status()));
        outcome::builder(status.unwrap_or(StatusCode::ACCEPTED))
            .content_type("application/x-ndjson")
            .body(self.held.with_body(self.rows))
    }
}
