//! `publish`: one message, or JSON lines in a stream.

mod lines;
mod single;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use busway::core::Admin;
use busway::core::admin::{PublishOutcome, PublishResult};
use serde::Serialize;
use tokio::time::Instant;

use self::lines::{Chunk, Line, Lines};
use super::{Scope, interrupted};
use crate::cli::Publish;
use crate::exit::{Failure, Outcome};
use crate::output::progress::Progress;
use crate::output::{self, complain, plain};

pub(super) async fn run(scope: &Scope, publish: Publish) -> Outcome {
    let Publish { r#type, one, jsonl, rate, .. } = publish;
    let mut lines = match (&jsonl, r#type) {
        (Some(path), _) => Lines::open(path)?,
        (None, Some(r#type)) => Lines::of_one(single::message(r#type, one)?),
        (None, None) => return Err(Failure::Usage("give --type or --jsonl".to_owned())),
    };
    let bus = scope.reach().await?;
    let progress = lines.size.map_or_else(Progress::none, |size| Progress::of_bytes(size, "publishing"));
    let began = Instant::now();
    let mut publisher = Publisher {
        bus: Arc::clone(&bus) as Arc<dyn Admin>,
        deadline: scope.common.timeout(),
        rate,
        began,
        offered: 0,
        summary: Summary::default(),
        progress,
    };
    let done = publisher.publish_all(&mut lines).await;
    let Publisher { mut summary, progress, .. } = publisher;
    drop(progress);
    summary.seconds = began.elapsed().as_secs_f64();
    let closed = bus.close().await;
    if scope.json {
        output::json(&summary)?
    } else {
        output::line(&summary.text())?
    }
    done?;
    closed?;
    if summary.failed > 0 || summary.unknown > 0 { Err(Failure::Said) } else { Ok(()) }
}

/// What became of the messages.
#[derive(Debug, Default, Serialize)]
struct Summary {
    published: u64,
    failed: u64,
    unknown: u64,
    seconds: f64,
}

impl Summary {
    fn text(&self) -> String {
        let Self { published, failed, unknown, seconds } = self;
        format!("published {published}, failed {failed}, unknown {unknown} in {}", output::span(*seconds))
    }

    /// Counts one result; what was not stored is named by its line.
    fn count(&mut self, number: Option<u64>, result: &PublishResult) {
        let place = number.map_or_else(String::new, |number| format!("line {number}: "));
        let why = plain(result.error.as_deref().unwrap_or("no reason was given"));
        match result.outcome {
            PublishOutcome::Stored => self.published += 1,
            PublishOutcome::Failed => {
                self.failed += 1;
                complain(&format!("{place}failed: {why}"));
            }
            PublishOutcome::Unknown => {
                self.unknown += 1;
                let id = plain(&result.id);
                complain(&format!("{place}unknown, publish it again with id {id}: {why}"));
            }
        }
    }

    /// Counts a line that is no message.
    fn refuse(&mut self, number: Option<u64>, why: &str) {
        self.failed += 1;
        complain(&match number {
            Some(number) => format!("line {number}: {}", plain(why)),
            None => plain(why),
        });
    }
}

struct Publisher {
    bus: Arc<dyn Admin>,
    deadline: Duration,
    rate: Option<f64>,
    began: Instant,
    offered: u64,
    summary: Summary,
    progress: Progress,
}

impl Publisher {
    /// Publishes chunk after chunk, in order. An interruption ends it after the chunk in hand.
    async fn publish_all(&mut self, lines: &mut Lines) -> Outcome {
        loop {
            let chunk = tokio::select! {
                chunk = lines.next() => chunk?,
                () = interrupted() => return Err(Failure::Interrupted),
            };
            let Some(chunk) = chunk else { return Ok(()) };
            self.publish_chunk(chunk).await?;
        }
    }

    async fn publish_chunk(&mut self, chunk: Chunk) -> Outcome {
        let mut rest = chunk.into_iter().peekable();
        while rest.peek().is_some() {
            let part: Chunk = rest.by_ref().take(self.step()).collect();
            tokio::select! {
                () = tokio::time::sleep_until(self.due()) => {}
                () = interrupted() => return Err(Failure::Interrupted),
            }
            self.offered += part.len() as u64;
            let end = part.last().map_or(0, |line| line.end);
            self.publish_part(part).await?;
            self.progress.at(end);
            self.progress.say(format!("{} published", self.summary.published));
        }
        Ok(())
    }

    async fn publish_part(&mut self, part: Chunk) -> Outcome {
        let mut numbers = Vec::with_capacity(part.len());
        let mut batch = Vec::with_capacity(part.len());
        for Line { number, message, .. } in part {
            match message {
                Ok(message) => {
                    numbers.push(number);
                    batch.push(message);
                }
                Err(why) => self.summary.refuse(number, &why),
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = batch.iter().map(|message| message.id.clone()).collect();
        let mut results = self.bus.publish(batch, self.deadline).await;
        let silent = ids.into_iter().skip(results.len()).map(|id| PublishResult {
            id,
            outcome: PublishOutcome::Unknown,
            error: None,
            class: None,
        });
        results.extend(silent.collect::<Vec<_>>());
        for (number, result) in numbers.iter().zip(&results) {
            self.summary.count(*number, result);
        }
        let away = |result: &PublishResult| {
            result.outcome != PublishOutcome::Stored
                && !matches!(result.class.as_deref(), Some("reject" | "unsupported"))
        };
        if results.iter().all(away)
            && let Some(Some(number)) = numbers.last()
        {
            complain(&format!("stopped at line {number}: the bus takes nothing; later lines were not read"));
            return Err(Failure::Said);
        }
        Ok(())
    }

    /// How many messages are offered at a time.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
    fn step(&self) -> usize {
        self.rate.map_or(usize::MAX, |rate| (rate / 10.0).clamp(1.0, 1_000.0) as usize)
    }

    /// When the next message may be offered.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn due(&self) -> Instant {
        let wait = self.rate.map_or(0.0, |rate| self.offered as f64 / rate);
        self.began + Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX / 4)
    }
}
