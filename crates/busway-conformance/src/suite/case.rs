//! A case: a name, what it needs, and the function that tries it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use busway_core::Capabilities;
use busway_core::capability::DepthPrecision;

use super::{Bed, Features};

/// What a case needs beyond what every transport must do. Where it is missing the case is
/// skipped, and only then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Need {
    /// [`Capabilities::order`].
    Order,
    /// [`Capabilities::groups`].
    Groups,
    /// [`Capabilities::delay`].
    Delay,
    /// [`Capabilities::priority`].
    Priority,
    /// [`Capabilities::selectors`].
    Selectors,
    /// [`Capabilities::lease`].
    Lease,
    /// [`Capabilities::delivery_count`].
    DeliveryCount,
    /// [`Capabilities::depth`].
    Depth,
    /// [`Features::can_restart`].
    Restart,
}

impl Need {
    /// Why it is missing; `None` where it is there.
    #[must_use]
    pub fn missing(self, capabilities: &Capabilities, features: &Features) -> Option<&'static str> {
        let (there, why) = match self {
            Self::Order => (capabilities.order.available(), "order is refused"),
            Self::Groups => (capabilities.groups.available(), "groups are refused"),
            Self::Delay => (capabilities.delay.available(), "delay is refused"),
            Self::Priority => (capabilities.priority.available(), "priority is refused"),
            Self::Selectors => (capabilities.selectors.available(), "selectors are refused"),
            Self::Lease => (capabilities.lease.is_some(), "leases have no end while the connection lives"),
            Self::DeliveryCount => (capabilities.delivery_count.available(), "delivery counts are refused"),
            Self::Depth => (capabilities.depth != DepthPrecision::None, "there are no depth figures"),
            Self::Restart => (features.can_restart, "it cannot be restarted"),
        };
        (!there).then_some(why)
    }
}

/// One case of the suite.
#[derive(Clone, Copy)]
pub struct Case {
    /// What it is about, such as `settle`; the same for all of a section.
    pub section: &'static str,
    /// Its name within the section, such as `released-comes-back`.
    pub name: &'static str,
    /// What must hold, in a sentence.
    pub about: &'static str,
    /// What it needs beyond what every transport must do.
    pub needs: &'static [Need],
    pub(crate) run: fn(Bed) -> CaseFuture,
}

impl Case {
    /// Section and name: `settle/released-comes-back`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.section, self.name)
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("name", &self.full_name())
            .field("needs", &self.needs)
            .finish_non_exhaustive()
    }
}

/// What a case comes to.
pub(crate) type Outcomes<T = ()> = Result<T, Failure>;

/// A case under way.
pub(crate) type CaseFuture = Pin<Box<dyn Future<Output = Outcomes> + Send>>;

/// Why a case failed: what was expected and what came instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// A failure with this text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Puts what was being done before the text.
    #[must_use]
    pub fn during(self, what: impl fmt::Display) -> Self {
        Self(format!("{what}: {}", self.0))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<busway_core::Error> for Failure {
    fn from(error: busway_core::Error) -> Self {
        Self(format!("unexpected error: {error}"))
    }
}

/// Ends the case with a failure of this text.
macro_rules! fail {
    ($($text:tt)+) => {
        return Err($crate::suite::Failure::new(format!($($text)+)))
    };
}

/// Ends the case with a failure of this text unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            $crate::suite::fail!($($text)+);
        }
    };
}

pub(crate) use {ensure, fail};
