//! More than there is room for.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{Course, LIMIT};
use crate::disk;
use crate::harness::{Bed, Request, until};

const EACH: usize = 4_000;
const REQUESTS: usize = 25;
/// What a daemon may hold more after a hundred thousand accounts and types than before.
const MEMORY: u64 = 150 << 20;
/// The most of an answer that lists them.
const MOST_SHOWN: usize = 4 << 20;

#[test]
fn a_hundred_thousand_accounts_and_types_stay_bounded() {
    let mut course = Course::new();
    let before = course.daemon.usage().resident;
    for request in 0..REQUESTS {
        let line = |number| {
            format!(
                "{{\"type\":\"item.t{number}\",\"account\":\"account-{number}\",\"id\":\"{number}\",\"data\":1}}\n"
            )
        };
        let lines: String = (request * EACH..(request + 1) * EACH).map(line).collect();
        course.daemon.publish(&lines);
        course.good();
    }
    course.daemon.drain(LIMIT);
    let grown = course.daemon.usage().resident.saturating_sub(before);
    let shown = ["/v1/accounts", "/v1/queues", "/v1/snapshots", "/metrics"]
        .map(|path| (path, course.daemon.send(&Request::get(path)).body.len()));
    println!("{grown} bytes more; {shown:?}");
    assert!(grown < MEMORY, "{grown} bytes more are held");
    for (path, length) in shown {
        assert!(length < MOST_SHOWN, "{path} shows {length} bytes");
    }
    let all: Vec<String> = (0..EACH * REQUESTS).map(|number| number.to_string()).collect();
    course.end(&all.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn a_bus_without_room_for_bodies_says_when_to_come_again() {
    let mut course = Course::with("", &["--set", "http.max_held=1MiB"]);
    let mut holder = TcpStream::connect(course.daemon.address()).unwrap();
    holder.set_read_timeout(Some(LIMIT)).unwrap();
    let head = "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nce-type: item.held\r\nce-id: held\r\n\
                content-type: text/plain\r\ncontent-length: 900001\r\n\r\n";
    holder.write_all(head.as_bytes()).unwrap();
    holder.write_all(&vec![b'x'; 900_000]).unwrap();
    let large =
        Request::post("text/plain", vec![b'x'; 500_000]).header("ce-type", "item.x").header("ce-id", "large");
    until(LIMIT, "the body is held", || {
        let metrics = course.daemon.send(&Request::get("/metrics")).body;
        metrics.lines().any(|line| line == "busway_http_held_bytes 900000")
    });
    let told = course.daemon.send(&large);
    println!("{} retry-after {:?} {}", told.status, told.header("retry-after"), told.body);
    let seconds = told.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
    assert!(told.status == 429 && seconds.is_some(), "{told:?}");
    course.good();
    holder.write_all(b"x").unwrap();
    let mut first = [0; 12];
    holder.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 202");
    assert_eq!(course.daemon.send(&large).status, 202);
    course.end(&["held", "large"]);
}

/// The disk is full: who publishes is told that the bus is full, and when to come again.
#[test]
fn a_bus_without_room_on_its_disk_says_when_to_come_again() {
    let bed = Bed::new(super::CONFIG);
    let daemon = disk::start(&bed);
    let mut course = Course { bed, daemon, good: Vec::new() };
    course.good();
    course.daemon.drain(LIMIT);
    disk::limit_files(&course.daemon, Some(0));
    let event = Request::post("text/plain", "x").header("ce-type", "item.x").header("ce-id", "full");
    let reply = course.daemon.send(&event);
    println!("{} retry-after {:?} {}", reply.status, reply.header("retry-after"), reply.body);
    assert_eq!((reply.status, reply.header("retry-after").is_some()), (429, true), "{reply:?}");
    assert_eq!(
        (&reply.results()[0]["outcome"], &reply.results()[0]["id"]),
        (&"failed".into(), &"full".into())
    );
    let verb = course.bed.verb(&["publish", "--type", "item.x", "--id", "full-too", "--data", "1"]);
    println!("{} {}", verb.code, verb.errors);
    verb.fails(1, &["failed", "no room"]);
    disk::limit_files(&course.daemon, None);
    until(LIMIT, "it takes messages again", || {
        course.daemon.send(&Request::lines("{\"id\":\"again\",\"type\":\"item.x\",\"data\":1}")).status == 202
    });
    course.end(&["again"]);
}
