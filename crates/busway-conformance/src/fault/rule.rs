//! One rule of a script: what it meets, and what it does to that.

use std::time::Duration;

use busway_core::error::ErrorKind;
use busway_core::{Message, Queue};

use super::{Gate, Script};

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// [`Sender::publish`](busway_core::Sender::publish).
    Publish,
    /// [`Receiver::receive`](busway_core::Receiver::receive).
    Receive,
    /// [`Receiver::settle`](busway_core::Receiver::settle).
    Settle,
}

/// A rule being written. It is in force once its last part says what is done.
#[must_use = "a rule does nothing until it says what is done"]
pub struct Rule<'a> {
    pub(super) script: &'a Script,
    pub(super) written: Written,
}

impl Rule<'_> {
    /// Meets only the next `count`: calls for [`delay`](Self::delay) and [`hold`](Self::hold),
    /// single messages for all else.
    pub fn next(mut self, count: u64) -> Self {
        self.written.left = Some(count);
        self
    }

    /// Meets only every `nth`, the nth first; with [`next`](Self::next) that many of them.
    pub fn every(mut self, nth: u64) -> Self {
        self.written.every = nth.max(1);
        self
    }

    /// Meets only this queue; a call to several queues is met where one of them is this.
    pub fn queue(mut self, queue: Queue) -> Self {
        self.written.queue = Some(queue);
        self
    }

    /// Meets only these messages. Calls that have no message yet, such as a receive being
    /// delayed, are not met.
    pub fn matching(mut self, chosen: impl Fn(&Message) -> bool + Send + Sync + 'static) -> Self {
        self.written.chosen = Some(Box::new(chosen));
        self
    }

    /// It fails with an error of this kind and has no effect: nothing is stored, nothing is
    /// settled, what was received returns.
    pub fn fail(self, kind: ErrorKind) {
        self.write(Fault::Fail(kind));
    }

    /// It takes effect and is answered with a `Timeout` of class unknown. What was received
    /// returns.
    pub fn lose_answer(self) {
        self.write(Fault::LoseAnswer);
    }

    /// The message comes twice: stored twice by a publish; stored once more while a receive hands
    /// it out; given back by an acknowledgement that is answered with success.
    pub fn duplicate(self) {
        self.write(Fault::Duplicate);
    }

    /// The call waits this long before it does anything; a receive no longer than its deadline.
    pub fn delay(self, span: Duration) {
        self.write(Fault::Delay(span));
    }

    /// The call waits before it does anything until the gate is released; a receive no longer
    /// than its deadline.
    pub fn hold(self) -> Gate {
        let gate = Gate::new();
        self.write(Fault::Hold(gate.clone()));
        gate
    }

    fn write(mut self, fault: Fault) {
        self.written.fault = fault;
        self.script.0.add(self.written);
    }
}

type Chosen = Box<dyn Fn(&Message) -> bool + Send + Sync>;

pub(super) struct Written {
    pub(super) operation: Operation,
    pub(super) queue: Option<Queue>,
    pub(super) chosen: Option<Chosen>,
    pub(super) left: Option<u64>,
    pub(super) every: u64,
    pub(super) met: u64,
    pub(super) fault: Fault,
}

#[derive(Clone, Debug)]
pub(super) enum Fault {
    Fail(ErrorKind),
    LoseAnswer,
    Duplicate,
    Delay(Duration),
    Hold(Gate),
}

impl Written {
    pub(super) fn is_spent(&self) -> bool {
        self.left == Some(0)
    }

    /// Whether the rule meets this one; counts it.
    pub(super) fn meets(&mut self, operation: Operation, seen: &[(&Queue, Option<&Message>)]) -> bool {
        let chosen = |message: Option<&Message>| match (&self.chosen, message) {
            (Some(chosen), Some(message)) => chosen(message),
            (Some(_), None) => false,
            (None, _) => true,
        };
        let of_queue = |queue: &Queue| self.queue.as_ref().is_none_or(|own| own == queue);
        let meant = seen.iter().any(|(queue, message)| of_queue(queue) && chosen(*message));
        if self.operation != operation || !meant || self.left == Some(0) {
            return false;
        }
        self.met += 1;
        if !self.met.is_multiple_of(self.every) {
            return false;
        }
        self.left = self.left.map(|left| left - 1);
        true
    }
}

impl Operation {
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Receive => "receive",
            Self::Settle => "settle",
        }
    }
}

impl Fault {
    pub(super) fn is_of_calls(&self) -> bool {
        matches!(self, Self::Delay(_) | Self::Hold(_))
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Hold(gate) if gate.is_released())
    }

    pub(super) async fn pass(&self) {
        match self {
            Self::Delay(span) => tokio::time::sleep(*span).await,
            Self::Hold(gate) => gate.pass().await,
            Self::Fail(_) | Self::LoseAnswer | Self::Duplicate => {}
        }
    }
}
