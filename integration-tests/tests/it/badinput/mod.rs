//! Bad input, given to the program itself: what is told, and that good messages before and after it are
//! delivered. docs/bad-input.md has the table.

mod clock;
mod configuration;
mod flood;
mod headers;
mod jsonl;
mod messages;
mod peers;
mod slow;
mod tmpfs;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::harness::{Bed, Daemon, Request, ids};

/// How long a condition may take to come.
const LIMIT: Duration = Duration::from_secs(60);

/// A file that takes what is of a type `item.…`; nothing else has a route.
const CONFIG: &str = r#"
[endpoints.audit]
kind = "file"
path = "var/audit.jsonl"
[[routes]]
type = ["item.#"]
to = ["audit"]
"#;

/// A bus with good messages around the bad input.
struct Course {
    bed: Bed,
    daemon: Daemon,
    good: Vec<String>,
}

impl Course {
    fn new() -> Self {
        Self::with("", &[])
    }

    /// With a further configuration and arguments.
    fn with(rest: &str, arguments: &[&str]) -> Self {
        let bed = Bed::new(&format!("{CONFIG}{rest}"));
        let daemon = bed.start_with(arguments);
        let mut course = Self { bed, daemon, good: Vec::new() };
        course.good();
        course
    }

    /// Publishes a good message, which must be stored.
    #[track_caller]
    fn good(&mut self) {
        let id = format!("good-{}", self.good.len());
        self.daemon.publish(&format!(r#"{{"id":"{id}","type":"item.good","data":1}}"#));
        self.good.push(id);
    }

    /// Gives something bad, and a good message right after it.
    #[track_caller]
    fn refused(&mut self, request: &Request, status: u16, words: &[&str]) {
        let reply = self.daemon.send(request);
        assert_eq!(reply.status, status, "{request:?}: {reply:?}");
        for word in words {
            assert!(reply.body.contains(word), "{word:?} is not said: {reply:?}");
        }
        println!("{status} {}", reply.body.chars().take(200).collect::<String>());
        self.good();
    }

    /// Sends bytes as they are, ends its side, and gives all that was answered.
    #[track_caller]
    fn raw(&mut self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.daemon.address()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        // It may answer and close before it has read all.
        stream.write_all(bytes).ok();
        stream.shutdown(Shutdown::Write).ok();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        self.good();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Asserts that all good messages, and these others, are delivered, each once, and that the bus stops in
    /// order; gives back its bed.
    #[track_caller]
    fn end(mut self, others: &[&str]) -> Bed {
        self.good();
        self.daemon.drain(LIMIT);
        let log = self.daemon.log();
        assert!(!log.contains("panicked"), "{log}");
        assert_eq!(self.daemon.stop(), 0, "{log}");
        let mut wanted = self.good;
        wanted.extend(others.iter().map(ToString::to_string));
        wanted.sort();
        let mut there = ids(&self.bed.path("var/audit.jsonl"));
        there.sort();
        there.dedup();
        assert_eq!(there, wanted, "{log}");
        self.bed
    }
}
