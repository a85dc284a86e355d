//! How one endpoint is treated: replaced as a whole when it changes. A call ends by the settings it
//! began with; what the endpoint has shown (gate, breaker, lanes, figures) is kept apart from them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use busway_core::Endpoint;

use crate::options::EndpointSpec;
use crate::pace::Pace;

/// One version of an endpoint's settings.
pub(crate) struct Settings {
    pub(crate) spec: EndpointSpec,
    pub(crate) pace: Option<Arc<Pace>>,
    held: Arc<Held>,
}

impl Settings {
    pub(crate) fn new(spec: EndpointSpec, io: &tokio::runtime::Handle) -> Arc<Self> {
        let pace = spec.rate.map(|rate| Arc::new(Pace::new(rate)));
        let held = Held::new(&spec, io);
        Arc::new(Self { spec, pace, held })
    }

    /// Those that follow these. The endpoint of these is closed when the last call that uses it has
    /// ended, unless it goes on under the new ones.
    pub(crate) fn followed_by(&self, spec: EndpointSpec) -> Arc<Self> {
        let pace = match (&self.pace, spec.rate) {
            (Some(pace), Some(rate)) if self.spec.rate == Some(rate) => Some(Arc::clone(pace)),
            (Some(pace), Some(rate)) => Some(Arc::new(pace.at(rate))),
            (_, rate) => rate.map(|rate| Arc::new(Pace::new(rate))),
        };
        let held = if Arc::ptr_eq(&self.spec.endpoint, &spec.endpoint) {
            Arc::clone(&self.held)
        } else {
            self.held.replaced.store(true, Ordering::Release);
            Held::new(&spec, &self.held.io)
        };
        Arc::new(Self { spec, pace, held })
    }
}

/// Closes an endpoint that was replaced when nobody uses it any more.
struct Held {
    endpoint: Arc<dyn Endpoint>,
    replaced: AtomicBool,
    io: tokio::runtime::Handle,
}

impl Held {
    fn new(spec: &EndpointSpec, io: &tokio::runtime::Handle) -> Arc<Self> {
        Arc::new(Self {
            endpoint: Arc::clone(&spec.endpoint),
            replaced: AtomicBool::new(false),
            io: io.clone(),
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.replaced.load(Ordering::Acquire) {
            let endpoint = Arc::clone(&self.endpoint);
            self.io.spawn(async move { endpoint.close().await });
        }
    }
}
