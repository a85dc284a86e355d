//! How other processes of this machine reach the one that holds a store: requests over
//! `<path>/busway.sock`, a Unix socket that only the holder's user may open (mode 0600).
//!
//! A request is `{"verb": …, "params": …}`, an answer `{"ok": …}` or
//! `{"error": {"operation", "kind", "class", "text"}}`, each a JSON document after its length as
//! four bytes, most significant first. A connection carries any number of them, one at a time. What
//! the verbs mean is the business of whoever serves them.
//!
//! The store's path may be longer than a socket's name can be: such a socket is reached through
//! the open directory (`/proc/self/fd`).

mod client;
pub(crate) mod frame;
mod server;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use busway_core::{Error, ErrorClass, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use client::{Client, Connection};
pub use server::{SocketLimits, SocketServer, serve, serve_with};

/// What answers requests.
#[async_trait]
pub trait Verbs: Send + Sync + 'static {
    /// Answers one request.
    ///
    /// It runs to its end even if the client goes away meanwhile.
    ///
    /// # Errors
    /// Those of the verb; the client gets them with their kind and class.
    async fn call(&self, verb: &str, params: Box<RawValue>) -> Result<Box<RawValue>>;

    /// What answers a client that has just connected, where that is something of its own: it is
    /// dropped when the connection ends.
    fn connected(&self) -> Option<Arc<dyn Verbs>> {
        None
    }
}

const _: Option<&dyn Verbs> = None;

/// The socket's name within the store's directory.
const NAME: &str = "busway.sock";

/// The longest path that an address has room for.
const LONGEST: usize = 107;

/// A name of the socket that is short enough, with what keeps it valid.
struct Address {
    path: PathBuf,
    _directory: Option<File>,
}

impl Address {
    fn of(store: &Path) -> io::Result<Self> {
        let path = store.join(NAME);
        if path.as_os_str().len() <= LONGEST {
            return Ok(Self { path, _directory: None });
        }
        let directory = File::open(store)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", directory.as_raw_fd()));
        Ok(Self { path, _directory: Some(directory) })
    }
}

#[derive(Serialize, Deserialize)]
struct Request<'a> {
    verb: std::borrow::Cow<'a, str>,
    params: Box<RawValue>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Ok(Box<RawValue>),
    Error(Failure),
}

/// An error on its way to another process.
#[derive(Debug, Serialize, Deserialize)]
struct Failure {
    operation: String,
    kind: String,
    class: String,
    text: String,
}

impl Failure {
    fn of(error: &Error) -> Self {
        let class = error.class().as_str();
        let text = error.to_string();
        let text = text.strip_suffix(&format!(" ({class})")).unwrap_or(&text);
        Self {
            operation: error.operation().to_owned(),
            kind: format!("{:?}", error.kind()),
            class: class.to_owned(),
            text: text.to_owned(),
        }
    }

    fn into_error(self) -> Error {
        let named = |kind: &&ErrorKind| format!("{kind:?}") == self.kind;
        let kind = ErrorKind::ALL.iter().find(named).copied().unwrap_or(ErrorKind::Internal);
        let class = ErrorClass::ALL.iter().find(|class| class.as_str() == self.class).copied();
        let text = self.text.strip_prefix(&self.operation).unwrap_or(&self.text);
        let text = text.trim_start_matches([':', ' ']);
        let operation = OPERATIONS.iter().find(|known| **known == self.operation);
        let error = match operation {
            Some(operation) => Error::new(operation, kind, text),
            None => Error::new("call", kind, &*self.text),
        };
        error.class_of(class.unwrap_or(kind.class()))
    }
}

/// Operations whose names come back as they were; others read `call`.
const OPERATIONS: [&str; 12] = [
    "publish", "receive", "settle", "declare", "inspect", "peek", "purge", "open", "close", "call", "extend",
    "decode",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_kind_class_and_words() {
        for operation in ["publish", "something else"] {
            let operation: &'static str = operation;
            let error =
                Error::new(operation, ErrorKind::Full, "no room").at("local/priority").advise("free some");
            let back = Failure::of(&error).into_error();
            assert_eq!((back.kind(), back.class()), (error.kind(), error.class()));
            assert!(back.to_string().ends_with("local/priority: no room; free some (retry)"), "{back}");
        }
    }

    #[test]
    fn every_kind_comes_back() {
        for kind in ErrorKind::ALL {
            assert_eq!(Failure::of(&Error::new("peek", kind, "x")).into_error().kind(), kind);
        }
    }
}
