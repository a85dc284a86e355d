//! `[endpoints.NAME]`: where messages are delivered to, and how.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use busway_core::Secret;
use serde_json::Value;

use super::declare::{choices, settings};
use super::schema::kinds;
use super::setting::{Kind, Reader, Section, Setting, Written};
use super::transports::read_kind;
use super::tree::Node;
use super::values::Rate;

/// The kinds of endpoints that this program has.
pub(super) const KINDS: [&str; 4] = ["http", "file", "queue", "exec"];

choices! {
    /// What counts as a successful request.
    pub enum Mode {
        /// An answer of 2xx.
        Wait = "wait",
        /// The peer has received the request; it logs its own result.
        Forget = "forget",
    }
}

choices! {
    /// What order is kept by.
    pub enum Order {
        /// None is kept.
        None = "none",
        /// Messages with one `partitionkey` come one after the other.
        PartitionKey = "partitionkey",
        /// Messages of one account come one after the other.
        Account = "account",
    }
}

settings! {
    /// How many deliveries run at once; the bus learns the number between the two.
    pub struct Concurrency expects "a table such as { min = 1, max = 16 }" {
        /// Never fewer.
        min: usize = 1,
        /// Never more; left out, a quarter of `flow.workers`.
        max: Option<usize> = None,
    }
}

settings! {
    /// When a failed delivery is tried again: after `first`, then twice as long each time.
    pub struct Retry expects "a table such as { attempts = 10, first = \"1s\", max = \"1h\" }" {
        /// Tries in all, the first included; then the message is dead.
        attempts: u32 = 10,
        /// The first wait.
        first: Duration = Duration::from_secs(1),
        /// The longest wait.
        max: Duration = Duration::from_secs(3_600),
    }
}

settings! {
    /// What every endpoint has.
    pub struct Policy expects "a table" {
        /// How long one delivery may take.
        timeout: Duration = Duration::from_secs(15),
        /// Deliveries at once.
        concurrency: Concurrency = Concurrency::default(),
        /// No more deliveries than this.
        rate: Option<Rate> = None,
        /// When a failed delivery is tried again.
        retry: Retry = Retry::default(),
        /// `none`, or in order by `partitionkey` or `account`.
        order: Order = Order::None,
    }
}

settings! {
    /// A POST with the message in binary mode.
    pub struct HttpTarget expects "a table" {
        /// Where to: `http://` or `https://`, without a user part.
        url: String,
        /// `wait`: an answer of 2xx is success; `forget`: received by the peer is success.
        mode: Mode = Mode::Wait,
        /// Sent as a bearer token: `{ env = "NAME" }` or `{ file = "PATH" }`.
        token: Option<Secret> = None,
        /// Further headers; their values are treated as secrets.
        headers: BTreeMap<String, Secret> = BTreeMap::new(),
    }
}

settings! {
    /// A file of JSON lines, one a delivery, synced to the disk batch by batch.
    pub struct FileTarget expects "a table" {
        /// The file; it is appended to.
        path: PathBuf,
    }
}

settings! {
    /// A further queue.
    pub struct QueueTarget expects "a table" {
        /// The queue's name.
        queue: String,
        /// Its transport; left out, the bus's.
        transport: Option<String> = None,
    }
}

settings! {
    /// A program, run once a delivery, with the message on its standard input.
    pub struct ExecTarget expects "a table" {
        /// The program and its arguments; no shell reads them.
        command: Vec<String>,
        /// Further environment variables; their values are treated as secrets.
        env: BTreeMap<String, Secret> = BTreeMap::new(),
    }
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Where to.
    pub target: Target,
    /// How.
    pub policy: Policy,
}

/// Where an endpoint's messages go.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Target {
    /// A POST.
    Http(HttpTarget),
    /// A file of JSON lines.
    File(FileTarget),
    /// A further queue.
    Queue(QueueTarget),
    /// A program.
    Exec(ExecTarget),
}

impl Target {
    /// The word for its kind.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::File(_) => "file",
            Self::Queue(_) => "queue",
            Self::Exec(_) => "exec",
        }
    }

    fn write_fields(&self) -> Vec<(String, Written)> {
        match self {
            Self::Http(target) => target.write_fields(),
            Self::File(target) => target.write_fields(),
            Self::Queue(target) => target.write_fields(),
            Self::Exec(target) => target.write_fields(),
        }
    }
}

impl Endpoint {
    /// An endpoint with the default policy.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self { target, policy: Policy::default() }
    }

    /// The declarations of each kind's own settings.
    pub(super) fn documented() -> Vec<Kind> {
        vec![
            Kind::of::<HttpTarget>("http"),
            Kind::of::<FileTarget>("file"),
            Kind::of::<QueueTarget>("queue"),
            Kind::of::<ExecTarget>("exec"),
        ]
    }
}

impl Setting for Endpoint {
    const EXPECTS: &'static str = "a table";

    fn read(node: &Node, path: &str, reader: &mut Reader<'_>) -> Option<Self> {
        let table = reader.table(node, path, Self::EXPECTS)?;
        let kind = read_kind(node, path, reader, &KINDS)?;
        let own = Self::documented().into_iter().find(|known| known.name == kind)?.fields;
        let common = Policy::declared();
        let names = own.iter().chain(&common).map(|field| field.name);
        let known: Vec<&str> = std::iter::once("kind").chain(names).collect();
        reader.unknown_keys(table, path, &known);
        let target = match kind {
            "http" => Target::Http(HttpTarget::read_fields(table, path, reader)),
            "file" => Target::File(FileTarget::read_fields(table, path, reader)),
            "queue" => Target::Queue(QueueTarget::read_fields(table, path, reader)),
            _ => Target::Exec(ExecTarget::read_fields(table, path, reader)),
        };
        Some(Self { target, policy: Policy::read_fields(table, path, reader) })
    }

    fn schema() -> Value {
        let each = Self::documented().into_iter().map(|kind| kind.with(Policy::declared()));
        kinds(&each.collect::<Vec<_>>())
    }

    fn write(&self) -> Written {
        let mut fields = vec![("kind".to_owned(), Written::Leaf(self.target.kind_name().into()))];
        fields.extend(self.target.write_fields());
        fields.extend(self.policy.write_fields());
        Written::Table(fields)
    }
}
