//! Why a message waits, since when, and what would release it: from its own attributes, and from how
//! the gates, turns, lanes and shares stand now.

use std::time::Duration;

use busway_core::admin::{PeekRow, Waits};
use busway_core::clock::{self, Millis};
use busway_core::transport::{Peeked, Standing};
use busway_core::{Message, Queue, Reason};

use crate::gate::Stands;
use crate::options::Order;
use crate::runtime::Runtime;
use crate::target::Target;

/// Why, and what would release it.
type Words = (String, String);

impl Runtime {
    /// A message as `peek` shows it, with what it waits for where that is asked.
    pub(crate) fn peek_row(&self, queue: &Queue, peeked: &Peeked, why: bool) -> PeekRow {
        let message = &peeked.message;
        let (name, due) = match peeked.standing {
            Standing::Ready => ("ready", None),
            Standing::Delayed(at) => ("delayed", Some(clock::format_rfc3339(at))),
            Standing::InFlight => ("in-flight", None),
            Standing::Behind => ("behind", None),
        };
        PeekRow {
            id: message.id.clone(),
            r#type: message.r#type.clone(),
            account: message.account.clone(),
            destination: message.destination.clone(),
            standing: name.to_owned(),
            due,
            reason: message.reason.as_ref().map(ToString::to_string),
            attempts: message.attempt,
            accepted: message.accepted.map(clock::format_rfc3339),
            bytes: message.data.len() as u64,
            waits: why.then(|| self.waits(queue, peeked)),
        }
    }

    fn waits(&self, queue: &Queue, peeked: &Peeked) -> Waits {
        let message = &peeked.message;
        let held = peeked.position.filter(|_| peeked.standing == Standing::InFlight);
        let held = held.and_then(|position| self.engine.held_since(queue, position));
        let (why, released_by) = match queue {
            Queue::Dead => self.dead(message),
            _ if peeked.standing == Standing::InFlight => in_flight(message, held),
            Queue::Priority => self.on_priority(message, peeked.standing),
            Queue::Delayed => self.on_delayed(message, peeked.standing),
            other => match peeked.standing {
                Standing::Delayed(due) => scheduled(due),
                _ => (
                    format!("it is there to be taken by whoever reads {other}"),
                    format!("a reader of {other}"),
                ),
            },
        };
        let since = held.or(message.parked).or(message.accepted).map(clock::format_rfc3339);
        Waits { why, since, released_by }
    }

    fn dead(&self, message: &Message) -> Words {
        let reason = message.reason.as_ref().map_or_else(|| "no reason".to_owned(), ToString::to_string);
        let why = match (&message.destination, message.attempt) {
            (Some(destination), attempts) => {
                format!("dead: {reason}, after {} to {destination}", counted(attempts, "try", "tries"))
            }
            (None, _) => format!("dead: {reason}"),
        };
        (why, format!("busway dead replay --id {}, or delete", message.id))
    }

    fn on_priority(&self, message: &Message, standing: Standing) -> Words {
        if let Standing::Delayed(due) = standing {
            return scheduled(due);
        }
        if let Some(nobody) = self.nobody() {
            return nobody;
        }
        if self.engine.health.has("parking") {
            return (
                "nothing is taken in: messages cannot be parked now".to_owned(),
                "its transport taking messages again; busway queues and /readyz say why it does not"
                    .to_owned(),
            );
        }
        if self.engine.credit.is_spent() {
            let (used, _) = self.engine.credit.used();
            return (
                format!("{used} messages are in hand, as many as may be (flow.credit)"),
                "messages in hand coming to their outcome".to_owned(),
            );
        }
        match message.priority {
            busway_core::message::DEFAULT_PRIORITY => {
                ("it is about to be taken".to_owned(), "its turn".to_owned())
            }
            priority => (
                format!("it is about to be taken, after all of a priority above {priority}"),
                "its turn".to_owned(),
            ),
        }
    }

    fn on_delayed(&self, message: &Message, standing: Standing) -> Words {
        let account = message.account_or_dash();
        let board = self.engine.desks.board.load();
        let target = match &message.destination {
            None => None,
            Some(name) => match board.target(name) {
                Some(target) => Some(target),
                None => {
                    return (
                        format!("no subscriber: endpoint {name} does not exist in this configuration"),
                        format!("configuring the endpoint {name} again"),
                    );
                }
            },
        };
        match (standing, target) {
            (Standing::Delayed(due), Some(target)) => return delayed(message, target, due),
            (Standing::Delayed(due), None) => return scheduled(due),
            (Standing::Behind, target) => return behind(message, target.map(|target| &**target)),
            _ => {}
        }
        if let Some(nobody) = self.nobody() {
            return nobody;
        }
        if self.engine.desks.turns.paused(account) {
            return (format!("paused: account {account}"), format!("busway accounts resume {account}"));
        }
        if let Some(shut) = target.and_then(|target| shut(target)) {
            return shut;
        }
        self.of_reason(message, target.map(|target| &**target))
    }

    /// What is ready and could be read back: why it was parked is why it waits for its turn.
    fn of_reason(&self, message: &Message, target: Option<&Target>) -> Words {
        let account = message.account_or_dash();
        let turn = "its turn among what waits".to_owned();
        match (&message.reason, target) {
            (Some(Reason::Share), _) => {
                let (share, limit) = {
                    let shares = self.engine.desks.lock_shares();
                    (shares.share(account), shares.limit())
                };
                let why = format!(
                    "share: account {account} was over its share; it has {:.0} % of the window now, {:.0} % is its limit",
                    share * 100.0,
                    limit * 100.0
                );
                (why, "others waiting no more, or its turn".to_owned())
            }
            (Some(Reason::Saturated), Some(target)) => {
                let (calls, limit) = target.gate.calls();
                (
                    format!("saturated: {} had no room; {calls} of {limit} calls are under way", target.name),
                    turn,
                )
            }
            (Some(Reason::Breaker), Some(target)) => {
                (format!("breaker: {} was shut when it came, and is open again", target.name), turn)
            }
            (Some(Reason::Order), Some(target)) => {
                (format!("order: it follows an earlier message of {}", key_of(message, target)), turn)
            }
            (Some(Reason::Error(class)), Some(target)) => (
                format!(
                    "retry {} of {} after {class} is due",
                    message.attempt.saturating_add(1),
                    target.settings.load().spec.retry.attempts
                ),
                turn,
            ),
            _ => ("it is about to be read back".to_owned(), turn),
        }
    }

    /// Where this process does not deliver.
    fn nobody(&self) -> Option<Words> {
        if self.engine.drains() {
            return Some(("the bus is stopping".to_owned(), "its next start".to_owned()));
        }
        (!self.delivers())
            .then(|| ("no bus is running that would deliver it".to_owned(), "busway run".to_owned()))
    }
}

fn in_flight(message: &Message, held: Option<Millis>) -> Words {
    let at = message.destination.as_ref().map_or_else(String::new, |name| format!(" to {name}"));
    let why = match held {
        Some(since) => {
            let time = Duration::from_millis(clock::now_ms().saturating_sub(since));
            format!("in flight{at} for {:.1} s", time.as_secs_f64())
        }
        None => format!("in flight{at}"),
    };
    (why, "the outcome of its delivery, or the end of its lease".to_owned())
}

fn delayed(message: &Message, target: &Target, due: Millis) -> Words {
    let at = clock::format_rfc3339(due);
    match &message.reason {
        Some(Reason::Error(class)) => {
            let next = message.attempt.saturating_add(1);
            let all = target.settings.load().spec.retry.attempts;
            (
                format!("retry {next} of {all} to {} after {class}, due at {at}", target.name),
                format!("the time: {at}"),
            )
        }
        _ => scheduled(due),
    }
}

fn scheduled(due: Millis) -> Words {
    let at = clock::format_rfc3339(due);
    (format!("scheduled: not before {at}"), format!("the time: {at}"))
}

fn behind(message: &Message, target: Option<&Target>) -> Words {
    let key = target.map_or_else(|| "its group".to_owned(), |target| key_of(message, target));
    let why = format!("behind: an earlier message of {key}");
    (why, "that one being delivered, or dead".to_owned())
}

/// Why nothing goes to an endpoint now.
fn shut(target: &Target) -> Option<Words> {
    let name = &target.name;
    Some(match target.gate.stands() {
        Stands::Open => return None,
        Stands::Paused => (format!("paused: endpoint {name}"), format!("busway endpoints resume {name}")),
        Stands::Quiet(until) => {
            let at = clock::format_rfc3339(until);
            (format!("endpoint {name} asked to be left alone until {at}"), format!("the time: {at}"))
        }
        Stands::Broken(until, failures) => {
            let at = clock::format_rfc3339(until);
            let failures = counted(failures, "failure", "failures");
            (
                format!("breaker of {name} is open until {at} after {failures}"),
                format!("a probe at {at} that succeeds"),
            )
        }
        Stands::HalfOpen => (
            format!("breaker of {name} is half-open: one message goes through and decides"),
            "a probe that succeeds".to_owned(),
        ),
    })
}

fn key_of(message: &Message, target: &Target) -> String {
    match target.lanes.by() {
        Order::PartitionKey => format!("key {}", message.partitionkey.as_deref().unwrap_or("-")),
        Order::Account => format!("account {}", message.account_or_dash()),
        Order::None => "its group".to_owned(),
    }
}

fn counted(count: u32, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}
