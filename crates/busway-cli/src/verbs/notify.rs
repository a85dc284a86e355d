//! Tells systemd how the daemon stands.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;

/// How often a longer stop is asked for, and for how long each time.
const EVERY: Duration = Duration::from_secs(5);
const EXTENSION_MICROS: u32 = 15_000_000;
/// What a stop takes at most beside its grace.
const CLOSING: Duration = Duration::from_secs(60);

/// Tells the service manager, where there is one.
pub(super) fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told how the daemon stands");
    }
}

/// The daemon does its work.
pub(super) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("delivering")]);
}

/// It reads its configuration anew; [`ready`] ends this.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now, NotifyState::Status("reading its configuration")]),
        Err(error) => tracing::warn!(%error, "the service manager cannot be told of a reload"),
    }
}

/// It stops: asks for the time that this may take, for as long as it does.
pub(super) async fn stopping(grace: Duration) {
    tell(&[NotifyState::Stopping, NotifyState::Status("finishing what is in hand")]);
    let until = Instant::now() + grace + CLOSING;
    while Instant::now() < until {
        tell(&[NotifyState::ExtendTimeoutUsec(EXTENSION_MICROS)]);
        tokio::time::sleep(EVERY).await;
    }
}
