//! What no capability tells about the transport under test, and how patient the suite is.

use std::time::Duration;

use busway_core::Capabilities;
use busway_core::capability::DepthPrecision;

/// What cannot be read from the capabilities.
///
/// ```
/// use std::time::Duration;
/// use busway_conformance::Features;
///
/// let features = Features { scale: 0.1, lease: Duration::from_secs(2), ..Features::default() };
/// assert_eq!(features.count(5_000), 500);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// Whether a namespace opened again finds what was in it.
    pub can_restart: bool,
    /// Whether the broker may hand out a message twice by itself (SQS standard). Losses are
    /// never allowed for.
    pub may_repeat: bool,
    /// Factor on the numbers of messages of the large cases.
    pub scale: f64,
    /// The lease that cases about leases ask for.
    pub lease: Duration,
    /// The delay that cases about delays ask for; no less than the transport's step.
    pub delay: Duration,
    /// How long something that must come may take.
    pub patience: Duration,
    /// How long nothing must come until it is believed that nothing comes.
    pub quiet: Duration,
    /// How much later than its deadline a call may return, and how far clocks may differ.
    pub slack: Duration,
    /// How long one case may take in all.
    pub deadline: Duration,
    /// How many cases run beside each other.
    pub width: usize,
    /// The largest payload that is tried where the transport's limit is above it.
    pub largest_body: usize,
}

impl Default for Features {
    /// For a transport on this machine.
    fn default() -> Self {
        Self {
            can_restart: true,
            may_repeat: false,
            scale: 1.0,
            lease: Duration::from_millis(1_500),
            delay: Duration::from_millis(800),
            patience: Duration::from_secs(15),
            quiet: Duration::from_millis(300),
            slack: Duration::from_secs(10),
            deadline: Duration::from_secs(90),
            width: 6,
            largest_body: 64 << 20,
        }
    }
}

impl Features {
    /// The default, made more patient where these capabilities ask for it.
    #[must_use]
    pub fn of(capabilities: &Capabilities) -> Self {
        let mut features = Self::default();
        if let DepthPrecision::Within(staleness) = capabilities.depth {
            features.deadline += staleness * 3;
        }
        features
    }

    /// A number of messages, scaled; never below 10.
    #[must_use]
    pub fn count(&self, messages: usize) -> usize {
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let scaled = (messages as f64 * self.scale).round() as usize;
        scaled.max(10)
    }
}
