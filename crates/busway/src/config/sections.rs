//! `[bus]`, `[http]`, `[flow]`, `[journal]` and `[[routes]]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use busway_core::Secret;

use super::declare::settings;
use super::values::ByteSize;

settings! {
    /// The bus's name, and where its queues and its state live.
    pub struct Bus expects "a table" {
        /// Its name; the names of its queues on a broker begin with it.
        name: String = "busway".to_owned(),
        /// Where queues live unless they say otherwise: a name out of `[transports]`.
        transport: String = "local".to_owned(),
        /// What several processes agree on (pauses, weights, subscriptions): `sqlite:PATH`. Left
        /// out, it is `sqlite:var/NAME/state.db`, NAME being the bus's.
        state: String = String::new(),
    }
}

settings! {
    /// The HTTP interface; without this section there is none.
    pub struct Http expects "a table" {
        /// Address and port; any address but a loopback one needs a token.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8620)),
        /// Sent by clients as a bearer token: `{ env = "NAME" }` or `{ file = "PATH" }`.
        token: Option<Secret> = None,
        /// Further names that requests may come by where there is no token, such as that of a proxy
        /// on this host.
        hosts: Vec<String> = Vec::new(),
        /// The largest request body, and the longest of JSON lines; at least 200KiB, and 136KiB less
        /// than `max_message` of the transport.
        max_body: ByteSize = ByteSize::mib(1),
        /// The largest body of JSON lines, which is never held as a whole.
        max_stream: ByteSize = ByteSize::mib(64),
        /// The most lines of a body of JSON lines.
        max_lines: usize = 100_000,
        /// The most events of a JSON batch.
        max_batch: usize = 10_000,
        /// The most memory for bodies and results of all requests together.
        max_held: ByteSize = ByteSize::mib(256),
        /// The most connections at once.
        max_connections: usize = 1024,
        /// Every request is answered within this time.
        deadline: Duration = Duration::from_secs(30),
        /// How long a connection may lie idle between requests.
        keep_alive: Duration = Duration::from_secs(30),
    }
}

settings! {
    /// How much is done at once, and how accounts share it.
    pub struct Flow expects "a table" {
        /// Deliveries at once, over all endpoints.
        workers: usize = 64,
        /// The part of recent volume one account may have while others wait (never below 2 divided
        /// by the number of active accounts).
        max_share: f64 = 0.25,
        /// What counts as recent.
        window: Duration = Duration::from_secs(10),
        /// How long a stop waits for deliveries in hand.
        shutdown_grace: Duration = Duration::from_secs(30),
        /// Messages in the process at once.
        credit: usize = 1024,
        /// Bytes of messages in the process at once.
        credit_bytes: ByteSize = ByteSize::mib(64),
    }
}

settings! {
    /// What became of each message, for `busway trace`; never a body.
    pub struct Journal expects "a table" {
        /// How long it is kept; `0s` keeps none.
        keep: Duration = Duration::from_secs(7 * 86_400),
        /// The most of it on disk, at least 1MiB; the oldest goes first.
        max_size: ByteSize = ByteSize::mib(512),
        /// Its directory. Left out, it is `journal` beside the file of the state store.
        path: PathBuf = PathBuf::new(),
    }
}

settings! {
    /// Which messages go to which endpoints. A message goes once to each endpoint that any route
    /// names for it.
    pub struct Route expects "a table" {
        /// Patterns of the type, of which one must match: words separated by `.`, where `*` stands
        /// for one word and `#` for any number of words, none included.
        r#type: Vec<String>,
        /// Patterns of the account, of the same form; left out, every account matches.
        account: Option<Vec<String>> = None,
        /// The endpoints.
        to: Vec<String>,
    }
}
