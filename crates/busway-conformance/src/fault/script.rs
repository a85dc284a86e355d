//! What goes wrong, and when. A script is shared by the test and the transports that follow it,
//! and can be changed at any time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use busway_core::error::{Error, ErrorClass, ErrorKind, Result};
use busway_core::{AbandonSink, Leased, Message, Queue, Receipt};
use tokio::sync::watch;

use super::rule::{Fault, Operation, Rule, Written};
use crate::sync::lock;

/// How often something was done to the calls or entries of an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Injected {
    /// Entries that failed without an effect.
    pub failed: u64,
    /// Entries that took effect and were answered with an unknown outcome.
    pub answers_lost: u64,
    /// Messages made to come twice.
    pub duplicated: u64,
    /// Calls that were made to wait.
    pub slowed: u64,
    /// Calls refused or ended by the cut.
    pub cut: u64,
}

/// What goes wrong; clones are the same script. A new one does nothing.
#[derive(Clone)]
pub struct Script(pub(super) Arc<Shared>);

pub(super) struct Shared {
    rules: Mutex<Vec<Written>>,
    cut: watch::Sender<bool>,
    injected: Mutex<HashMap<Operation, Injected>>,
    in_hand: Mutex<HashMap<u64, InHand>>,
    tokens: AtomicU64,
}

/// A message handed out through the wrapper: its own receipt stands for the inner one.
pub(super) struct InHand {
    pub(super) receipt: Receipt,
    pub(super) message: Message,
}

impl Script {
    /// A script by which nothing goes wrong.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            rules: Mutex::default(),
            cut: watch::Sender::new(false),
            injected: Mutex::default(),
            in_hand: Mutex::default(),
            tokens: AtomicU64::new(1),
        }))
    }

    /// Begins a rule: first what it meets (everything unless narrowed), last what is done to it.
    pub fn on(&self, operation: Operation) -> Rule<'_> {
        let fault = Fault::LoseAnswer;
        let written = Written { operation, queue: None, chosen: None, left: None, every: 1, met: 0, fault };
        Rule { script: self, written }
    }

    /// Takes back all rules and lets all held calls go; a cut stays.
    pub fn clear(&self) {
        let rules = std::mem::take(&mut *lock(&self.0.rules));
        for rule in rules {
            if let Fault::Hold(gate) = rule.fault {
                gate.release();
            }
        }
    }

    /// From now on every call is answered with `Unavailable` (class reconnect) and does nothing,
    /// and calls that wait end so. What is in hand stays leased.
    pub fn cut(&self) {
        self.0.cut.send_replace(true);
    }

    /// Ends the cut; senders and receivers opened before it go on.
    pub fn heal(&self) {
        self.0.cut.send_replace(false);
    }

    /// Whether the connection is cut now.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        *self.0.cut.borrow()
    }

    /// Ends the leases of all that is in hand, as a broker does whose connection is gone: it comes
    /// again, and its receipts answer `LeaseLost`. Answers how many there were.
    pub fn lose_leases(&self) -> usize {
        let lost = std::mem::take(&mut *lock(&self.0.in_hand));
        lost.len()
    }

    /// How many messages are in hand.
    #[must_use]
    pub fn in_hand(&self) -> usize {
        lock(&self.0.in_hand).len()
    }

    /// What was done to this operation so far.
    #[must_use]
    pub fn injected(&self, operation: Operation) -> Injected {
        lock(&self.0.injected).get(&operation).copied().unwrap_or_default()
    }
}

impl Default for Script {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    pub(super) fn add(&self, rule: Written) {
        let mut rules = lock(&self.rules);
        rules.retain(|rule| !rule.is_spent());
        rules.push(rule);
    }

    /// What is done to this message; the first rule that meets it decides. Rules that could do
    /// nothing to it are not asked.
    pub(super) fn fault(
        &self,
        operation: Operation,
        queue: &Queue,
        message: &Message,
        could: impl Fn(&Fault) -> bool,
    ) -> Option<Fault> {
        let mut rules = lock(&self.rules);
        let of_messages = rules.iter_mut().filter(|rule| !rule.fault.is_of_calls() && could(&rule.fault));
        let mut met = of_messages
            .filter_map(|rule| rule.meets(operation, &[(queue, Some(message))]).then(|| rule.fault.clone()));
        let fault = met.next();
        drop(rules);
        fault.inspect(|fault| self.count(operation, fault))
    }

    /// Makes the call wait as the rules say; ends early with an error where the connection is cut.
    pub(super) async fn enter(
        &self,
        operation: Operation,
        seen: &[(&Queue, Option<&Message>)],
    ) -> Result<()> {
        self.check(operation)?;
        let waits: Vec<Fault> = {
            let mut rules = lock(&self.rules);
            let of_calls = rules.iter_mut().filter(|rule| rule.fault.is_of_calls());
            of_calls
                .filter(|rule| !rule.fault.is_over())
                .filter_map(|rule| rule.meets(operation, seen).then(|| rule.fault.clone()))
                .collect()
        };
        for wait in waits {
            self.count(operation, &wait);
            self.unless_cut(operation, wait.pass()).await?;
        }
        Ok(())
    }

    /// Does the call unless the connection is cut before it ends.
    pub(super) async fn unless_cut<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = T>,
    ) -> Result<T> {
        let mut watched = self.cut.subscribe();
        tokio::select! {
            biased;
            _ = watched.wait_for(|cut| *cut) => self.check(operation).and(Err(unavailable(operation.verb()))),
            answer = call => Ok(answer),
        }
    }

    pub(super) fn check(&self, operation: Operation) -> Result<()> {
        if *self.cut.borrow() {
            self.change(operation, |injected| injected.cut += 1);
            return Err(unavailable(operation.verb()));
        }
        Ok(())
    }

    /// For the calls that no rule is about.
    pub(super) fn check_other(&self, operation: &'static str) -> Result<()> {
        if *self.cut.borrow() { Err(unavailable(operation)) } else { Ok(()) }
    }

    /// Hands a message out under a receipt of the wrapper's own.
    pub(super) fn hand_out(&self, leased: Leased, sink: &Arc<dyn AbandonSink>) -> Leased {
        let token = self.tokens.fetch_add(1, Ordering::Relaxed);
        let Leased { message, receipt, deliveries, position, enqueued } = leased;
        lock(&self.in_hand).insert(token, InHand { receipt, message: message.clone() });
        let receipt = Receipt::new(token, Arc::clone(sink));
        Leased { message, receipt, deliveries, position, enqueued }
    }

    /// What is in hand under this token; it no longer is.
    pub(super) fn take_back(&self, token: u64) -> Option<InHand> {
        lock(&self.in_hand).remove(&token)
    }

    /// The inner token of what is in hand under this one.
    pub(super) fn inner_token(&self, token: u64) -> Option<u64> {
        lock(&self.in_hand).get(&token).map(|in_hand| in_hand.receipt.token())
    }

    fn count(&self, operation: Operation, fault: &Fault) {
        self.change(operation, |injected| match fault {
            Fault::Fail(_) => injected.failed += 1,
            Fault::LoseAnswer => injected.answers_lost += 1,
            Fault::Duplicate => injected.duplicated += 1,
            Fault::Delay(_) | Fault::Hold(_) => injected.slowed += 1,
        });
    }

    fn change(&self, operation: Operation, change: impl FnOnce(&mut Injected)) {
        change(lock(&self.injected).entry(operation).or_default());
    }
}

/// A receipt of the wrapper that is dropped drops the inner one, which tells the inner transport.
impl AbandonSink for Shared {
    fn abandoned(&self, token: u64) {
        drop(self.take_back(token));
    }
}

fn unavailable(operation: &'static str) -> Error {
    Error::new(operation, ErrorKind::Unavailable, "the connection is cut by the script")
}

pub(super) fn failed(operation: &'static str, kind: ErrorKind, queue: &Queue) -> Error {
    Error::new(operation, kind, "it fails by the script").at(queue)
}

pub(super) fn unanswered(operation: &'static str, queue: &Queue) -> Error {
    let error = Error::new(operation, ErrorKind::Timeout, "the answer is lost by the script");
    error.at(queue).class_of(ErrorClass::Unknown)
}
