//! How `run` stops: by which signal, how often, and in the middle of what.

use std::collections::HashSet;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::bus::{Daemon, audit, fed, json, log_of, place, until};
use crate::harness::Place;

/// Takes connections in and never answers.
struct Silent {
    listener: TcpListener,
}

impl Silent {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener }
    }

    /// Waits for a connection, and keeps it.
    fn called(&self) -> std::net::TcpStream {
        let mut called = None;
        until("the endpoint is called", || {
            called = self.listener.accept().ok();
            called.is_some()
        });
        called.unwrap().0
    }

    fn config(&self) -> String {
        format!(
            "[endpoints.audit]\nkind = \"http\"\nurl = \"http://{}/\"\ntimeout = \"1h\"\n\
             [[routes]]\ntype = [\"#\"]\nto = [\"audit\"]\n",
            self.listener.local_addr().unwrap()
        )
    }
}

/// The messages that were delivered to the file.
fn ids(place: &Place) -> HashSet<String> {
    let id = |line: &String| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["id"].as_str().unwrap().to_owned()
    };
    audit(place).iter().map(id).collect()
}

const DELIVERED: &str = "[endpoints.audit]\nkind = \"file\"\npath = \"audit.jsonl\"\n\
                         [[routes]]\ntype = [\"#\"]\nto = [\"audit\"]\n";

#[test]
fn a_second_signal_stops_at_once_and_what_was_in_hand_is_delivered_later() {
    let silent = Silent::new();
    let place = Place::new().file("busway.toml", &silent.config());
    for (first, second, code) in [("TERM", "TERM", 1), ("TERM", "INT", 130), ("INT", "TERM", 130)] {
        let daemon = Daemon::start(&place);
        let line = |n| format!("{{\"type\":\"x\",\"id\":\"{first}-{second}-{n}\"}}\n");
        assert_eq!(fed(&place, "publish --jsonl -", &(0..100).map(line).collect::<String>()).code, Some(0));
        let _kept = silent.called();
        daemon.signal(first);
        until("it drains", || log_of(&place).contains(&format!("SIG{first}: draining")));
        daemon.signal(second);
        assert_eq!(daemon.ended(), Some(code), "{first} {second}: {}", log_of(&place));
        let said = format!("SIG{second} while draining: stopped at once");
        assert!(log_of(&place).contains(&said), "{}", log_of(&place));
    }
    std::fs::write(place.path("busway.toml"), DELIVERED).unwrap();
    let daemon = Daemon::start(&place);
    until("all is delivered", || ids(&place).len() == 300);
    assert_eq!(json(&place, "dead list --json").as_array().unwrap().len(), 0);
    daemon.signal("INT");
    assert_eq!(daemon.ended(), Some(130), "it drained: {}", log_of(&place));
}

#[test]
fn a_grace_that_passes_is_said_and_the_rest_is_not_dead() {
    let silent = Silent::new();
    let text = format!("[flow]\nshutdown_grace = \"500ms\"\n{}", silent.config());
    let place = Place::new().file("busway.toml", &text);
    for (signal, code) in [("TERM", 1), ("INT", 130)] {
        let daemon = Daemon::start(&place);
        assert_eq!(place.run("publish --type x").code, Some(0));
        let _kept = silent.called();
        daemon.signal(signal);
        assert_eq!(daemon.ended(), Some(code), "{}", log_of(&place));
        assert!(log_of(&place).contains("not all that was in hand was finished"), "{}", log_of(&place));
    }
    std::fs::write(place.path("busway.toml"), DELIVERED).unwrap();
    assert_eq!(json(&place, "run --once --json")["delivered"], 2);
}

#[test]
fn a_stop_during_the_start_is_a_stop() {
    let place = place();
    let holder = Daemon::start(&place);
    for (signal, code) in [("TERM", 0), ("INT", 130)] {
        let second = Daemon::begin(&place, "run --timeout 10m");
        until("it waits for the store", || log_of(&place).contains("waiting for the store"));
        second.signal(signal);
        assert_eq!(second.ended(), Some(code), "{}", log_of(&place));
    }
    holder.signal("TERM");
    assert_eq!(holder.ended(), Some(0));
}

#[test]
fn a_stop_during_a_reload_is_a_stop() {
    let place = place();
    let daemon = Daemon::start(&place);
    let fifo = place.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).stderr(Stdio::null()).status().unwrap().success());
    let text = std::fs::read_to_string(place.path("busway.toml")).unwrap();
    let late = format!("{text}[http]\ntoken = {{ file = \"fifo\" }}\n");
    std::fs::write(place.path("busway.toml"), late).unwrap();
    daemon.signal("HUP");
    // Opening it for writing, without waiting, succeeds once the reload waits at its other end.
    let opened = || {
        use std::os::unix::fs::OpenOptionsExt;
        std::fs::OpenOptions::new().write(true).custom_flags(0o4000).open(&fifo).ok()
    };
    let mut kept = None;
    until("the reload reads the secret", || {
        kept = opened();
        kept.is_some()
    });
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0), "{}", log_of(&place));
}
