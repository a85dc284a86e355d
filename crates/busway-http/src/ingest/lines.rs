//! JSON lines: taken as they arrive, published in batches, one result a line.
//!
//! At any time one batch is being published while the next is gathered, so that neither the
//! stream nor the bus waits for the other and what is held stays bounded. The answer waits for
//! the end, because its status speaks for all lines.

use std::pin::Pin;

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use busway_core::admin::PublishResult;
use busway_core::envelope::json;
use busway_core::{ErrorClass, Message};
use futures_util::StreamExt;

use super::body::declared;
use super::outcome::{self, TOO_LARGE};
use super::report::{Entry, Report};
use super::splitter::{Line, Splitter};
use crate::budget::Held;
use crate::context::Context;
use crate::deadline::Deadline;
use crate::problem::Problem;

/// Lines of a batch, about.
const BATCH_LINES: usize = 1000;

/// Bytes that a batch's messages take, about.
const BATCH_BYTES: usize = 1024 * 1024;

/// How many times its length the shortest message takes when it is read.
const GROWTH: u64 = 64;

/// Answers with a result for each line. It runs in a task of its own: lines that have arrived are
/// published also where the client goes before the end.
pub(super) async fn publish(
    context: Data<Context>,
    request: HttpRequest,
    payload: Payload,
    deadline: Deadline,
) -> Result<HttpResponse, Problem> {
    let limit = context.config.max_stream_bytes;
    let length = declared(&request);
    if length.is_some_and(|length| length > limit) {
        return Err(Problem::too_large(limit));
    }
    let mut held = context.budget.open();
    let most = 2 * BATCH_BYTES + context.config.max_body_bytes;
    let needed = length.map_or(most, |length| {
        usize::try_from(length.saturating_mul(GROWTH)).map_or(most, |length| length.min(most))
    });
    if !held.grow(needed) {
        return Err(Problem::crowded());
    }
    let stream = Stream::new(context, held, deadline);
    let report = actix_web::rt::spawn(stream.run(payload)).await;
    match report {
        Ok(report) => Ok(report.response()),
        Err(_) => {
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "publishing the lines ended in a panic"))
        }
    }
}

/// A stream of lines while it is read.
struct Stream {
    context: Data<Context>,
    deadline: Deadline,
    splitter: Option<Splitter>,
    bytes: u64,
    gathered: Batch,
    report: Report,
}

/// Lines that are published together.
#[derive(Default)]
struct Batch {
    entries: Vec<Entry>,
    messages: Vec<Message>,
    bytes: usize,
}

/// A batch that is being published.
struct Flight {
    entries: Vec<Entry>,
    results: Pin<Box<dyn Future<Output = Vec<PublishResult>>>>,
}

impl Stream {
    fn new(context: Data<Context>, held: Held, deadline: Deadline) -> Self {
        let splitter = Splitter::new(context.config.max_body_bytes);
        let report = Report::new(held);
        Self { context, deadline, splitter: Some(splitter), bytes: 0, gathered: Batch::default(), report }
    }

    async fn run(mut self, mut payload: Payload) -> Report {
        let mut flight: Option<Flight> = None;
        let mut late = std::pin::pin!(self.deadline.wait());
        loop {
            self.gather();
            if flight.is_none() && !self.gathered.entries.is_empty() {
                flight = Some(self.launch());
                continue;
            }
            let open = self.splitter.is_some();
            if !open && flight.is_none() {
                return self.report;
            }
            let wants_more = self.splitter.as_ref().is_some_and(Splitter::is_hungry);
            tokio::select! {
                biased;
                (entries, results) = land(&mut flight), if flight.is_some() => {
                    flight = None;
                    self.land(entries, results);
                }
                piece = payload.next(), if wants_more => match piece {
                    Some(Ok(piece)) => self.feed(piece),
                    Some(Err(_)) => self.end(Problem::cut()),
                    None => self.finish(),
                },
                () = &mut late, if open => self.end(Problem::slow()),
            }
        }
    }

    fn feed(&mut self, piece: Bytes) {
        self.bytes += piece.len() as u64;
        let limit = self.context.config.max_stream_bytes;
        if self.bytes > limit {
            return self.end(Problem::too_large(limit));
        }
        if let Some(splitter) = &mut self.splitter {
            splitter.feed(piece);
        }
    }

    /// Takes lines that have come, as long as the batch has room.
    fn gather(&mut self) {
        while !self.gathered.is_full()
            && let Some(line) = self.splitter.as_mut().and_then(Splitter::next_line)
        {
            self.take(line);
        }
    }

    /// The stream ended as it should: a last line without its end is a line too.
    fn finish(&mut self) {
        if let Some(line) = self.splitter.take().and_then(Splitter::finish) {
            self.take(line);
        }
    }

    /// The stream ended early: a begun line is none.
    fn end(&mut self, why: Problem) {
        self.splitter = None;
        self.report.end_early(why);
    }

    /// Adds a line to the batch, or ends the stream where there are too many.
    fn take(&mut self, line: Line) {
        if self.report.lines() >= self.context.config.max_lines {
            let most = self.context.config.max_lines;
            let text = format!("the body has more than {most} lines");
            return self.end(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        let number = self.report.count_line();
        match line {
            Line::Text(text) if text.trim_ascii().is_empty() => {}
            Line::Text(text) => self.gathered.add(number, &text),
            Line::TooLong => {
                let limit = self.context.config.max_body_bytes;
                let error = format!("the line is over the limit of {limit} bytes");
                self.gathered.entries.push(Entry::Bad {
                    line: number,
                    error,
                    attribute: None,
                    class: TOO_LARGE,
                });
            }
        }
    }

    fn launch(&mut self) -> Flight {
        let Batch { entries, messages, .. } = std::mem::take(&mut self.gathered);
        let (context, deadline) = (self.context.clone(), self.deadline);
        let results = Box::pin(async move { outcome::publish(&context, messages, deadline).await });
        Flight { entries, results }
    }

    fn land(&mut self, entries: Vec<Entry>, results: Vec<PublishResult>) {
        if !self.report.add(&entries, &results) {
            self.end(Problem::crowded());
        }
    }
}

/// Waits for the batch that is being published; without one, for ever.
async fn land(flight: &mut Option<Flight>) -> (Vec<Entry>, Vec<PublishResult>) {
    match flight {
        Some(flight) => {
            let results = flight.results.as_mut().await;
            (std::mem::take(&mut flight.entries), results)
        }
        None => std::future::pending().await,
    }
}

impl Batch {
    fn is_full(&self) -> bool {
        self.entries.len() >= BATCH_LINES || self.bytes >= BATCH_BYTES
    }

    fn add(&mut self, line: usize, text: &[u8]) {
        match json::decode(text) {
            Ok(message) => {
                self.bytes += message.weight();
                self.messages.push(message);
                self.entries.push(Entry::Message(line));
            }
            Err(e) => {
                let class = ErrorClass::Reject.as_str();
                let error = e.to_string();
                self.entries.push(Entry::Bad { line, error, attribute: e.attribute, class });
            }
        }
    }
}
