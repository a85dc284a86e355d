//! The one trait every broker is reached through. Everything goes in batches; every batch has a
//! result for each of its entries, in order.
//!
//! # Contract of an adapter
//! - Success of a publish is told only after the broker (or the disk) has confirmed.
//! - What is received is leased: nobody else gets it until it is settled, its lease ends, or its
//!   receipt is dropped.
//! - The queues declared here are set up so that the broker removes nothing by itself.
//! - A method works or returns an error; nothing is silently left out.
//! - Every call ends by its deadline; a closed transport answers `Closed`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::capability::Capabilities;
use crate::clock::Millis;
use crate::delivery::{Leased, Outcome, Receipt};
use crate::error::Result;
use crate::message::Message;
use crate::pattern;
use crate::queue::Queue;
use crate::reason::Reason;

/// A connection to one broker, or to the embedded store. Object safe; shared by `Arc`.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// The name it has in the configuration, such as `local`.
    fn name(&self) -> &str;

    /// Its kind, such as `embedded`.
    fn kind(&self) -> &'static str;

    /// What it can do.
    fn capabilities(&self) -> &Capabilities;

    /// What this queue is called on the broker.
    fn physical(&self, queue: &Queue) -> String;

    /// Creates these queues, or verifies that they exist as they must be. Repeating it is harmless.
    ///
    /// # Errors
    /// `Conflict` where a queue exists with other settings; `NotFound` in verify mode, with what an
    /// administrator must create.
    async fn declare(&self, queues: &[Queue], mode: Declare) -> Result<()>;

    /// A way to publish. Senders share the transport's publishing connection.
    async fn sender(&self) -> Result<Arc<dyn Sender>>;

    /// A reader of one queue; several may read the same queue and compete.
    ///
    /// # Errors
    /// `NotFound` where the queue was never declared; `Unsupported` for a selector that the
    /// transport does not have.
    async fn receiver(&self, queue: &Queue, options: ReceiverOptions) -> Result<Arc<dyn Receiver>>;

    /// Depth figures of a queue, or of the part of it that the selector names.
    async fn inspect(&self, queue: &Queue, selector: &Selector) -> Result<Depth>;

    /// Depth by destination and account, largest first, at most `max` rows; empty where the
    /// transport cannot tell.
    async fn breakdown(&self, queue: &Queue, max: usize) -> Result<Vec<Backlog>>;

    /// Looks at messages without taking them, oldest first, skipping `skip`.
    async fn peek(&self, queue: &Queue, selector: &Selector, skip: usize, max: usize) -> Result<Vec<Peeked>>;

    /// Removes every message of the queue that is not in flight; returns how many.
    async fn purge(&self, queue: &Queue) -> Result<u64>;

    /// Answers once the transport has come to what it is given now: whoever watches over the process
    /// asks, and takes no answer for a transport that hangs. Nothing is stored. By default it answers
    /// at once.
    ///
    /// # Errors
    /// Why the transport can do no work any more.
    async fn answers(&self) -> Result<()> {
        Ok(())
    }

    /// Stops everything in order; messages in hand return to their queues. A second close answers
    /// `Closed`.
    async fn close(&self) -> Result<()>;
}

/// Publishes messages.
#[async_trait]
pub trait Sender: Send + Sync + 'static {
    /// Publishes a batch, to several queues where need be, and answers for each entry in order:
    /// `Ok` once it is durable. A batch over a size limit is refused whole, before anything is
    /// sent. Longer batches than [`Capabilities::publish_batch`] are split by the adapter.
    ///
    /// Cancelling it leaves the outcome of every entry unknown.
    async fn publish(&self, batch: Vec<Publication>) -> Vec<Result<()>>;
}

/// Reads one queue.
#[async_trait]
pub trait Receiver: Send + Sync + 'static {
    /// Up to `want.max` messages: at once when there are any, else as soon as there is one, else
    /// none when `want.until` has come.
    ///
    /// Cancelling it loses nothing: what was leased for it returns.
    async fn receive(&self, want: Want) -> Result<Vec<Leased>>;

    /// Whether a receive now would likely find something; waits until it would or `until` has
    /// come. A transport that cannot know answers `true`.
    async fn ready(&self, until: Instant) -> Result<bool>;

    /// Settles a batch; a result for each receipt, in order. `Ok` means the outcome is durable.
    /// After an error the message comes again.
    ///
    /// Cancelling it leaves outcomes unknown; whatever did not take effect comes again.
    async fn settle(&self, batch: Vec<(Receipt, Outcome)>) -> Vec<Result<()>>;

    /// Makes the leases of these tokens end no sooner than `by` from now; a result for each token
    /// in order, `LeaseLost` where the message is no longer held.
    async fn extend(&self, tokens: &[u64], by: Duration) -> Vec<Result<()>>;

    /// Whose turn it is among accounts; replaces what was set before.
    ///
    /// # Errors
    /// `Unsupported` where [`Capabilities::selectors`] is refused.
    fn set_turns(&self, turns: Turns) -> Result<()>;

    /// Ends the subscription; unsettled messages stay leased until they are settled, dropped or
    /// their lease ends. A second close, or a receive after it, answers `Closed`.
    async fn close(&self) -> Result<()>;
}

/// Whether missing queues are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declare {
    /// Make what is missing.
    Create,
    /// Make nothing; say what is missing or differs.
    Verify,
}

/// One message on its way to one queue.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Where to.
    pub queue: Queue,
    /// What. `deliver_at` delays it, `destination` and `account` index it.
    pub message: Message,
    /// Its group, where its order matters.
    pub group: Option<Group>,
}

impl Publication {
    /// A message to a queue, without a group.
    #[must_use]
    pub fn new(queue: Queue, message: Message) -> Self {
        Self { queue, message, group: None }
    }
}

/// A line of messages of one destination of which one at a time is handed out: the next only after
/// the one before it was acknowledged or is dead. Its head waiting for its due time makes the rest
/// wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// Names the group within its queue and destination, usually a hash of the key; two keys with
    /// one hash wait for each other, nothing worse.
    pub key: u64,
    /// Its place in the group, lower first: the position it had on the queue it came from. `None`
    /// puts it last.
    pub position: Option<u64>,
}

/// Which part of a queue is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selector {
    /// All of it.
    #[default]
    All,
    /// What is for this destination alone.
    Destination(Arc<str>),
    /// What has no destination yet.
    NoDestination,
    /// What all given properties match.
    Matching(Filter),
}

/// Properties to find messages by; those left out match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The message's id.
    pub id: Option<String>,
    /// A pattern of its type: words separated by `.`, `*` for one word, `#` for any number.
    pub r#type: Option<String>,
    /// Its account; `-` for those without.
    pub account: Option<String>,
    /// Its destination.
    pub destination: Option<String>,
    /// Its `bwreason`, or what that begins with up to a `:`, such as `error`.
    pub reason: Option<String>,
    /// Parked, or dead, at this moment or later.
    pub since: Option<Millis>,
    /// Parked, or dead, before this moment; one of which that is not known is meant too.
    pub until: Option<Millis>,
}

impl Filter {
    /// Whether the message has all given properties.
    #[must_use]
    pub fn matches(&self, message: &Message) -> bool {
        self.id.as_ref().is_none_or(|id| *id == message.id)
            && self.r#type.as_ref().is_none_or(|t| pattern::matches(t, &message.r#type))
            && self.account.as_ref().is_none_or(|a| a == message.account_or_dash())
            && self.destination.as_ref().is_none_or(|d| Some(d) == message.destination.as_ref())
            && self.reason.as_ref().is_none_or(|wanted| {
                message.reason.as_ref().is_some_and(|reason| {
                    let reason = reason.to_string();
                    reason
                        .strip_prefix(&**wanted)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
                })
            })
            && self.since.is_none_or(|since| message.parked.is_some_and(|at| at >= since))
            && self.until.is_none_or(|until| message.parked.is_none_or(|at| at < until))
    }

    /// Whether no property is given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether account and destination alone decide, so that no message has to be looked at.
    #[must_use]
    pub fn is_of_lanes(&self) -> bool {
        let lanes =
            Self { account: self.account.clone(), destination: self.destination.clone(), ..Self::default() };
        *self == lanes
    }
}

/// How a queue is read.
#[derive(Clone, Debug, Default)]
pub struct ReceiverOptions {
    /// Which part of the queue.
    pub selector: Selector,
    /// The lease of what is received; the transport's default where `None`.
    pub lease: Option<Duration>,
    /// The most messages leased by this receiver at once; receive waits while they are out.
    pub prefetch: Option<usize>,
}

/// How much a receive asks for, and for how long.
#[derive(Clone, Debug)]
pub struct Want {
    /// The most messages.
    pub max: usize,
    /// Stop adding messages once their weight has reached this many bytes; one message is handed
    /// out whatever its weight.
    pub max_bytes: usize,
    /// When to give up; a moment that has passed asks for what is there at once.
    pub until: Instant,
}

impl Want {
    /// Up to `max` messages of any size within `timeout`.
    #[must_use]
    pub fn new(max: usize, timeout: Duration) -> Self {
        Self { max, max_bytes: usize::MAX, until: Instant::now() + timeout }
    }
}

/// Whose turn it is: which accounts are held back, and how many messages in a row the others get.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turns {
    /// Accounts of which nothing is handed out.
    pub paused: HashSet<String>,
    /// Messages a turn, where not one.
    pub weights: HashMap<String, u32>,
}

/// Depth figures; `None` where the broker has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages that can be received now.
    pub ready: Option<u64>,
    /// Messages received and not settled.
    pub in_flight: Option<u64>,
    /// Messages whose time has not come, and those behind them in their group.
    pub delayed: Option<u64>,
    /// When the oldest message not settled was first accepted.
    pub oldest: Option<Millis>,
    /// The earliest due time among the delayed.
    pub next_due: Option<Millis>,
    /// The lowest position among those ready.
    pub lowest_ready: Option<u64>,
    /// Bytes of payload and attributes stored.
    pub bytes: Option<u64>,
    /// How long ago the figures were true at worst; zero when exact.
    pub staleness: Duration,
}

/// How much waits for a destination and account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// The destination; `None` where the message has none yet.
    pub destination: Option<String>,
    /// The account, `-` for none.
    pub account: String,
    /// Messages, ready, delayed and in flight together.
    pub messages: u64,
    /// When the oldest of them was first accepted.
    pub oldest: Option<Millis>,
}

/// A message seen without being taken.
#[derive(Clone, Debug)]
pub struct Peeked {
    /// The message.
    pub message: Message,
    /// Where it stands.
    pub standing: Standing,
    /// Its place in the queue's order.
    pub position: Option<u64>,
}

/// Why a message in a queue is or is not handed out now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It can be received now.
    Ready,
    /// It waits until this moment.
    Delayed(Millis),
    /// It is received and not settled.
    InFlight,
    /// It waits behind an earlier message of its group.
    Behind,
}

/// What a retried or parked copy is called on: shared by adapters that rewrite messages.
///
/// Sets `bwreason`, raises `bwattempt` where an attempt was made, and sets `bwdeliverat`.
pub fn mark_waiting(message: &mut Message, reason: Reason, attempted: bool, due: Millis) {
    message.reason = Some(reason);
    message.deliver_at = Some(due);
    if attempted {
        message.attempt = message.attempt.saturating_add(1);
    }
}

/// Sets what a dead letter carries: reason, attempts, and where it came from.
pub fn mark_dead(message: &mut Message, reason: Reason, attempts: u32, origin: &str, now: Millis) {
    message.reason = Some(reason);
    message.attempt = attempts;
    message.parked = Some(now);
    message.deliver_at = None;
    if message.origin.is_none() {
        message.origin = Some(origin.to_owned());
    }
}

/// Fails to compile where one of the boundary traits can no longer be a trait object.
const _: Option<(&dyn Transport, &dyn Sender, &dyn Receiver)> = None;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_takes_what_has_all_that_it_names() {
        let mut message = Message::new("item.price.updated", "").id("7").account("acme");
        message.reason = Some(Reason::error("status-503"));
        message.parked = Some(100);
        let text = |text: &str| Some(text.to_owned());
        for (filter, matches) in [
            (Filter { r#type: text("item.#"), ..Filter::default() }, true),
            (Filter { r#type: text("item.*"), ..Filter::default() }, false),
            (Filter { reason: text("error"), account: text("acme"), ..Filter::default() }, true),
            (Filter { reason: text("error:status-503"), ..Filter::default() }, true),
            (Filter { reason: text("error:status"), ..Filter::default() }, false),
            (Filter { since: Some(100), until: Some(101), ..Filter::default() }, true),
            (Filter { since: Some(101), ..Filter::default() }, false),
            (Filter { until: Some(100), ..Filter::default() }, false),
            (Filter { reason: text("error"), account: text("-"), ..Filter::default() }, false),
        ] {
            assert_eq!(filter.matches(&message), matches, "{filter:?}");
        }
    }
}
