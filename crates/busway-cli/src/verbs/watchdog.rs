//! The service manager's watchdog: told that the daemon lives only while the bus answers.

use std::future::Future;
use std::time::Duration;

use busway::core::Result;
use busway::holder::Pulse;
use sd_notify::NotifyState;
use tokio::task::JoinHandle;

use super::notify;

/// Sends the pings that `WATCHDOG_USEC` asks of this process; ends when it is dropped.
pub(super) struct Watchdog(JoinHandle<()>);

impl Watchdog {
    /// Begins, where the service manager has asked for it.
    pub(super) fn start(pulse: Pulse) -> Option<Self> {
        let every = sd_notify::watchdog_enabled().filter(|every| !every.is_zero())? / 2;
        let watch = async move {
            while_answering(every, || pulse.answers(), || notify::tell(&[NotifyState::Watchdog])).await;
        };
        Some(Self(tokio::spawn(watch)))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Pings twice in the watchdog's time, each time only after the bus has answered. One that hangs gets
/// no ping, and neither does one that says that it can do no work.
async fn while_answering<F: Future<Output = Result<()>>>(
    every: Duration,
    answers: impl Fn() -> F,
    ping: impl Fn(),
) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match answers().await {
            Ok(()) => ping(),
            Err(error) => tracing::error!(%error, "no sign of life is given to the watchdog"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use busway::core::{Error, ErrorKind};

    use super::*;

    #[tokio::test]
    async fn a_bus_that_fails_or_hangs_gets_no_ping() {
        let (asked, pings) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let answers = || {
            let nth = asked.fetch_add(1, Ordering::SeqCst);
            async move {
                match nth {
                    0..4 => Ok(()),
                    4 => Err(Error::new("x", ErrorKind::Io, "y")),
                    5 => Ok(()),
                    _ => std::future::pending().await,
                }
            }
        };
        let ping = || {
            pings.fetch_add(1, Ordering::SeqCst);
        };
        let hangs = async {
            while asked.load(Ordering::SeqCst) < 7 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            () = while_answering(Duration::from_millis(2), answers, ping) => {}
            hangs = tokio::time::timeout(Duration::from_secs(60), hangs) => assert!(hangs.is_ok()),
        }
        assert_eq!((asked.load(Ordering::SeqCst), pings.load(Ordering::SeqCst)), (7, 5));
    }
}
