//! What messages are routed by: routes and endpoints, replaced as a whole, so that each message is
//! routed by exactly one version of them.

use std::sync::Arc;

use crate::routes::Routes;
use crate::target::Target;

/// One version of routes and endpoints.
pub(crate) struct Board {
    pub(crate) routes: Routes,
    /// In the order of their numbers. A later version has all of an earlier one, under the same
    /// numbers: what is in hand or parked for an endpoint has its way out for as long as the bus runs.
    pub(crate) targets: Vec<Arc<Target>>,
}

impl Board {
    /// The endpoint of this name.
    pub(crate) fn target(&self, name: &str) -> Option<&Arc<Target>> {
        self.targets.iter().find(|target| *target.name == *name)
    }
}
