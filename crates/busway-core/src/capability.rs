//! What a transport can do, and how.

use std::time::Duration;

/// How a transport does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// The broker itself does it.
    Native,
    /// The adapter does it, durably.
    Emulated,
    /// It is not done; a configuration that needs it is refused at load.
    Refused,
}

impl Support {
    /// Whether it can be relied on.
    #[must_use]
    pub fn available(self) -> bool {
        self != Self::Refused
    }
}

/// How true the figures of [`Transport::inspect`](crate::Transport::inspect) are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DepthPrecision {
    /// Exact at the moment of the call.
    Exact,
    /// Right once producers have stopped for this long.
    Within(Duration),
    /// The broker has none.
    None,
}

/// Which header (attribute) values a transport carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderRule {
    /// Any text, control characters included, comes back as it was.
    Any,
    /// Control characters other than tab are refused with `InvalidHeader`.
    NoControl,
}

/// What a transport can do. A feature that is missing is an error when the configuration loads,
/// never a silent no-op.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Messages of one queue come in the order in which they were confirmed.
    pub order: Support,
    /// Messages published with a group come one at a time within it, in order of position.
    pub groups: Support,
    /// `bwdeliverat` is honoured.
    pub delay: Support,
    /// The longest delay the broker itself holds; `None` without a cap.
    pub delay_cap: Option<Duration>,
    /// `bwpriority` is acted on.
    pub priority: Support,
    /// A receiver can ask for part of a queue ([`Selector`](crate::transport::Selector)), and
    /// takes accounts in turn.
    pub selectors: Support,
    /// Several queues can be published to in one atomic batch.
    pub transactions: Support,
    /// How long a received message is leased before it returns; `None` while the connection lives.
    pub lease: Option<Duration>,
    /// The longest time a message can be kept leased by extending it.
    pub lease_cap: Option<Duration>,
    /// The broker's own delivery count survives the death of this process.
    pub delivery_count: Support,
    /// The most messages one publish may carry.
    pub publish_batch: usize,
    /// The most messages one receive may ask for.
    pub receive_batch: usize,
    /// The most receipts one settle may carry.
    pub settle_batch: usize,
    /// The largest message, payload and attributes together, in bytes; the broker's limit less
    /// the 8 KiB kept for busway's own attributes.
    pub max_message_bytes: usize,
    /// Which attribute values are carried.
    pub headers: HeaderRule,
    /// How true the depth figures are.
    pub depth: DepthPrecision,
}
