//! What a bus and its endpoints have counted since the process started.

use std::sync::atomic::{AtomicU64, Ordering};

use busway_core::Reason;
use metrics::{Counter, Key, Label, Level, Metadata};
use serde_json::{Value, json};

/// A counter that is read here and exported where there is a recorder.
pub(crate) struct Figure {
    value: AtomicU64,
    exported: Counter,
}

impl Figure {
    /// A counter of the recorder that the program has installed, if any.
    fn new(name: &'static str, labels: &[(&'static str, &str)]) -> Self {
        let labels: Vec<Label> = labels.iter().map(|(k, v)| Label::new(*k, (*v).to_owned())).collect();
        let metadata = Metadata::new("busway", Level::INFO, Some(module_path!()));
        let key = Key::from_parts(name, labels);
        let exported = metrics::with_recorder(|recorder| recorder.register_counter(&key, &metadata));
        Self { value: AtomicU64::new(0), exported }
    }

    pub(crate) fn add(&self, count: u64) {
        self.value.fetch_add(count, Ordering::Relaxed);
        self.exported.increment(count);
    }

    pub(crate) fn get(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }
}

/// The figures of one endpoint.
pub(crate) struct Figures {
    pub(crate) delivered: Figure,
    pub(crate) failed: Figure,
    pub(crate) retried: Figure,
    pub(crate) dead: Figure,
    pub(crate) shared: Figure,
    pub(crate) saturated: Figure,
    pub(crate) broken: Figure,
    pub(crate) ordered: Figure,
}

impl Figures {
    pub(crate) fn new(bus: &str, endpoint: &str) -> Self {
        let figure = |name| Figure::new(name, &[("bus", bus), ("endpoint", endpoint)]);
        let diverted = |reason| {
            Figure::new("busway_diverted_total", &[("bus", bus), ("endpoint", endpoint), ("reason", reason)])
        };
        Self {
            delivered: figure("busway_delivered_total"),
            failed: figure("busway_failed_total"),
            retried: figure("busway_retried_total"),
            dead: figure("busway_dead_total"),
            shared: diverted("share"),
            saturated: diverted("saturated"),
            broken: diverted("breaker"),
            ordered: diverted("order"),
        }
    }

    /// Counts a diversion.
    pub(crate) fn diverted(&self, reason: &Reason) {
        match reason {
            Reason::Share => self.shared.add(1),
            Reason::Saturated => self.saturated.add(1),
            Reason::Breaker => self.broken.add(1),
            Reason::Order => self.ordered.add(1),
            _ => self.retried.add(1),
        }
    }

    /// All diversions.
    pub(crate) fn diversions(&self) -> u64 {
        self.shared.get() + self.saturated.get() + self.broken.get() + self.ordered.get()
    }

    pub(crate) fn snapshot(&self) -> Value {
        json!({
            "delivered": self.delivered.get(), "failed": self.failed.get(),
            "retried": self.retried.get(), "dead": self.dead.get(),
            "diverted": {
                "share": self.shared.get(), "saturated": self.saturated.get(),
                "breaker": self.broken.get(), "order": self.ordered.get(),
            },
        })
    }
}

/// The figures of the bus as a whole.
pub(crate) struct Totals {
    /// Messages made durable on `priority` by this process.
    pub(crate) published: Figure,
    /// Messages received from `priority`.
    pub(crate) received: Figure,
    /// Messages received from `delayed`.
    pub(crate) read_back: Figure,
    /// Those among them that were parked before this process started.
    pub(crate) found: Figure,
    /// Copies made durable on `delayed`.
    pub(crate) parked: Figure,
    /// Copies made durable on `dead`.
    pub(crate) dead: Figure,
    /// Messages diverted for share before they had a destination.
    pub(crate) shared: Figure,
    /// Messages settled.
    pub(crate) settled: Figure,
}

impl Totals {
    pub(crate) fn new(bus: &str) -> Self {
        let figure = |name| Figure::new(name, &[("bus", bus)]);
        Self {
            published: figure("busway_published_total"),
            received: figure("busway_received_total"),
            read_back: figure("busway_read_back_total"),
            found: figure("busway_found_parked_total"),
            parked: figure("busway_parked_total"),
            dead: figure("busway_dead_letters_total"),
            shared: figure("busway_share_diverted_total"),
            settled: figure("busway_settled_total"),
        }
    }

    pub(crate) fn snapshot(&self) -> Value {
        json!({
            "published": self.published.get(), "received": self.received.get(),
            "read_back": self.read_back.get(), "parked": self.parked.get(), "dead": self.dead.get(),
            "share_diverted": self.shared.get(), "settled": self.settled.get(),
        })
    }
}
