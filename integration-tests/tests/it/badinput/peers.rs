//! Endpoints that answer as none should.

use std::io;
use std::thread;
use std::time::Duration;

use super::{Course, LIMIT};
use crate::harness::{Peer, until};

/// The time-out of a delivery.
const TIMEOUT: Duration = Duration::from_secs(1);
/// What the daemon may hold more than before, whatever is sent to it.
const MEMORY: u64 = 64 << 20;

/// What a peer does once it has a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Silent,
    Late,
    ClosesInHead,
    ClosesInBody,
    EndlessBody,
    EndlessHeaders,
    EndlessInterim,
    NoHttp,
}

impl Manner {
    /// Answers one request so.
    fn answer(
        self,
        write: &mut dyn FnMut(&str) -> io::Result<()>,
        stand: &dyn Fn(Duration),
    ) -> io::Result<()> {
        match self {
            Self::Silent => stand(LIMIT),
            Self::Late => {
                stand(TIMEOUT * 2);
                write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
            }
            Self::ClosesInHead => write("HTTP/1.1 200 O")?,
            Self::ClosesInBody => write("HTTP/1.1 500 No\r\ncontent-length: 1000\r\n\r\nonly so much")?,
            Self::EndlessBody => {
                write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
                endless(write, &format!("4000\r\n{}\r\n", "x".repeat(0x4000)))?;
            }
            Self::EndlessHeaders => {
                write("HTTP/1.1 200 OK\r\n")?;
                endless(write, &"x-more: and more\r\n".repeat(500))?;
            }
            Self::EndlessInterim => endless(write, &"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n".repeat(200))?,
            Self::NoHttp => write("SSH-2.0-OpenSSH_9.2\r\n\r\n")?,
        }
        Ok(())
    }
}

/// Writes until the other side has had enough.
fn endless(write: &mut dyn FnMut(&str) -> io::Result<()>, part: &str) -> io::Result<()> {
    loop {
        write(part)?;
    }
}

fn peer(manner: Manner) -> Peer {
    Peer::scripted(move |conversation, record| {
        while let Some(arrived) = conversation.read() {
            record(arrived);
            let mut write = |text: &str| conversation.write(text);
            let done = manner.answer(&mut write, &|time| thread::sleep(time));
            if done.is_err() || manner != Manner::Late {
                return;
            }
        }
    })
}

fn course(peer: &Peer, mode: &str) -> Course {
    let rest = format!(
        "[endpoints.it]\nkind = \"http\"\nurl = \"{}\"\nmode = \"{mode}\"\ntimeout = \"1s\"\n\
         retry = {{ attempts = 2, first = \"100ms\", max = \"200ms\" }}\n\
         [[routes]]\ntype = [\"out.*\"]\nto = [\"it\"]\n",
        peer.url()
    );
    Course::with(&rest, &[])
}

/// Who waits for the answer has a failure that names it, or the success that a status told before the rest; and
/// the time-out bounds all of it. The next endpoint's messages go on meanwhile.
#[test]
fn whoever_waits_for_the_answer_is_not_held_by_it() {
    for (manner, reason) in [
        (Manner::Silent, Some("error:timeout")),
        (Manner::Late, Some("error:timeout")),
        (Manner::ClosesInHead, Some("error:")),
        (Manner::ClosesInBody, Some("error:status-500")),
        (Manner::EndlessBody, None),
        (Manner::EndlessHeaders, Some("error:")),
        (Manner::EndlessInterim, Some("error:answer")),
        (Manner::NoHttp, Some("error:")),
    ] {
        let peer = peer(manner);
        let mut course = course(&peer, "wait");
        let before = course.daemon.usage().resident;
        course.daemon.publish(r#"{"id":"out","type":"out.x","data":1}"#);
        until(LIMIT, format!("{manner:?}: it has come"), || peer.count() > 0);
        course.good();
        course.daemon.drain(LIMIT);
        let dead = course.daemon.get("/v1/dead");
        match reason {
            Some(reason) => {
                let row = &dead[0];
                println!("{manner:?}: {row}");
                assert!(
                    row["reason"].as_str().is_some_and(|told| told.starts_with(reason)),
                    "{manner:?}: {dead}"
                );
                assert_eq!((row["id"].as_str(), row["attempts"].as_u64()), (Some("out"), Some(2)), "{dead}");
                assert!(peer.count() >= 2, "{manner:?}");
            }
            None => {
                println!("{manner:?}: delivered");
                assert_eq!(dead.as_array().map(Vec::len), Some(0), "{manner:?}: {dead}");
                assert_eq!(course.daemon.endpoint("it")["delivered"], 1, "{manner:?}");
            }
        }
        let grown = course.daemon.usage().resident.saturating_sub(before);
        assert!(grown < MEMORY, "{manner:?}: {grown} bytes more are held");
        course.end(&[]);
    }
}

/// Who forgets has delivered once the peer has the request, whatever comes back, and holds no worker and no memory
/// for it.
#[test]
fn whoever_forgets_the_answer_is_not_held_by_it() {
    for manner in [Manner::Silent, Manner::ClosesInHead, Manner::EndlessBody, Manner::EndlessHeaders] {
        let peer = peer(manner);
        let mut course = course(&peer, "forget");
        let before = course.daemon.usage().resident;
        for number in 0..3 {
            course.daemon.publish(&format!(r#"{{"id":"out-{number}","type":"out.x","data":1}}"#));
            course.good();
        }
        course.daemon.drain(LIMIT);
        let mut ids: Vec<_> = peer.arrived().iter().map(|arrived| arrived.id()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids, ["out-0", "out-1", "out-2"], "{manner:?}");
        let row = course.daemon.endpoint("it");
        println!("{manner:?}: delivered {}, failed {}", row["delivered"], row["failed"]);
        assert_eq!(row["delivered"], 3, "{manner:?}: {row}");
        let grown = course.daemon.usage().resident.saturating_sub(before);
        assert!(grown < MEMORY, "{manner:?}: {grown} bytes more are held");
        course.end(&[]);
    }
}
