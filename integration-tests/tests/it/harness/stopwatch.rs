//! How long messages take from their publish to their arrival at an HTTP endpoint.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Daemon, Peer, Request, percentile, until};

/// How long the last may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Of so many windows the best counts: what the bus does shows in all, a stall of the machine in one.
const WINDOWS: usize = 3;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A peer that takes everything at once.
pub(crate) struct Stopwatch(Peer);

impl Stopwatch {
    pub(crate) fn new() -> Self {
        Self(Peer::answering(|_| Some(200)))
    }

    /// Where messages of the type `probe` must be routed.
    pub(crate) fn url(&self) -> String {
        self.0.url()
    }

    /// The p99 of the best of some windows.
    #[track_caller]
    pub(crate) fn quietest_p99(&self, daemon: &Daemon, count: usize, every: Duration) -> Duration {
        let window = |_| percentile(&self.measure(daemon, count, every), 0.99);
        (0..WINDOWS).map(window).min().unwrap()
    }

    /// Publishes so many messages of the type `probe`, one each time, and gives how long each took.
    #[track_caller]
    pub(crate) fn measure(&self, daemon: &Daemon, count: usize, every: Duration) -> Vec<Duration> {
        let mut client = daemon.client();
        let mut sent = HashMap::new();
        let begun = Instant::now();
        for number in 0..count {
            let due = begun + every * u32::try_from(number).unwrap();
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let id = format!("probe-{}", NEXT.fetch_add(1, Ordering::Relaxed));
            let line = format!(r#"{{"id":"{id}","type":"probe","account":"probe","data":{number}}}"#);
            sent.insert(id, Instant::now());
            let reply = client.send(&Request::lines(line)).unwrap();
            assert_eq!(reply.status, 202, "{reply:?}");
        }
        let mut took = HashMap::new();
        until(LIMIT, "all probes arrive", || {
            for arrived in self.0.arrived() {
                if let Some(sent) = sent.get(&arrived.id()) {
                    took.entry(arrived.id()).or_insert(arrived.at - *sent);
                }
            }
            took.len() == count
        });
        took.into_values().collect()
    }
}
