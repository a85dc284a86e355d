//! The table of verbs that cross the socket, with their parameters.

use busway_core::admin::OnceRequest;
use serde::{Deserialize, Serialize};

use super::wire::{WireFilter, WireMessage, WireRequest};

/// One verb with its parameters.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "verb", content = "params", rename_all = "kebab-case")]
pub(super) enum Call {
    /// Answers at once; tells that the holder is alive.
    Ping,
    Publish {
        messages: Vec<WireMessage>,
        deadline_ms: u64,
    },
    Queues,
    Peek {
        queue: String,
        max: usize,
        why: bool,
    },
    Trace {
        id: String,
    },
    DeadList {
        filter: WireFilter,
        max: usize,
    },
    DeadShow {
        id: String,
    },
    DeadReplay(WireRequest),
    DeadDelete(WireRequest),
    Endpoints,
    EndpointPause {
        name: String,
        pause: bool,
    },
    EndpointTest {
        name: String,
    },
    Accounts,
    AccountPause {
        name: String,
        pause: bool,
    },
    AccountWeight {
        name: String,
        weight: u32,
    },
    Readiness,
    Snapshots,
    RunOnce(OnceRequest),
}

impl Call {
    /// Whether it may rightly take longer than a time-out: the holder is watched instead.
    pub(super) fn is_long(&self) -> bool {
        matches!(
            self,
            Self::DeadReplay(_) | Self::DeadDelete(_) | Self::EndpointTest { .. } | Self::RunOnce(_)
        )
    }

    /// Its name, as an error's operation.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Publish { .. } => "publish",
            Self::Queues => "queues",
            Self::Peek { .. } => "peek",
            Self::Trace { .. } => "trace",
            Self::DeadList { .. } => "dead list",
            Self::DeadShow { .. } => "dead show",
            Self::DeadReplay(_) => "dead replay",
            Self::DeadDelete(_) => "dead delete",
            Self::Endpoints => "endpoints list",
            Self::EndpointPause { .. } => "endpoints pause",
            Self::EndpointTest { .. } => "endpoints test",
            Self::Accounts => "accounts list",
            Self::AccountPause { .. } => "accounts pause",
            Self::AccountWeight { .. } => "accounts weight",
            Self::Readiness => "readiness",
            Self::Snapshots => "snapshots",
            Self::RunOnce(_) => "run --once",
        }
    }
}
