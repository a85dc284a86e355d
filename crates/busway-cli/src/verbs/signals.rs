//! The signals that a daemon heeds.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{Failure, Outcome};

/// How a daemon was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// By SIGTERM, as a service manager does.
    Terminate,
    /// By SIGINT, as a user at a terminal does.
    Interrupt,
}

impl Stop {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }

    /// What a program that has stopped in order comes to.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Terminate => Ok(()),
            Self::Interrupt => Err(Failure::Interrupted),
        }
    }
}

/// What a daemon is told by a signal.
pub(super) enum Told {
    Stop(Stop),
    Reload,
}

/// The signals, from now on until it is dropped.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn new() -> Outcome<Self> {
        let listen = |kind| signal(kind).map_err(|error| Failure::Failed(format!("signals: {error}")));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one. Cancelling it loses none.
    pub(super) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop(Stop::Terminate),
            _ = self.interrupt.recv() => Told::Stop(Stop::Interrupt),
            _ = self.hangup.recv() => Told::Reload,
        }
    }

    /// Waits until a stop is asked for; what else was asked for stays asked for. Cancelling it loses
    /// nothing.
    pub(super) async fn stop(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => Stop::Terminate,
            _ = self.interrupt.recv() => Stop::Interrupt,
        }
    }
}
