//! SIGTERM.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Bed, Client, Peer, Request, until};

const MESSAGES: usize = 3_000;
const STOPS: usize = 3;

/// Publishes lines until all are stored; what is refused while there is no daemon is sent again.
fn publish(client: &mut Client, ids: &[String]) -> bool {
    let line = |id: &String| format!("{{\"id\":\"{id}\",\"type\":\"x\",\"account\":\"a\",\"data\":1}}\n");
    let lines: String = ids.iter().map(line).collect();
    client.send(&Request::lines(lines)).is_ok_and(|reply| reply.status == 202)
}

#[test]
fn a_stop_drains_and_nothing_is_delivered_twice() {
    // Slow enough that a stop always finds deliveries under way.
    let peer = Peer::answering(|_| {
        thread::sleep(Duration::from_millis(5));
        Some(200)
    });
    let bed = Bed::new(&format!(
        "[endpoints.slow]\nkind = \"http\"\nurl = \"{}\"\n[[routes]]\ntype = [\"#\"]\nto = [\"slow\"]\n",
        peer.url()
    ));
    let ids: Vec<String> = (0..MESSAGES).map(|number| number.to_string()).collect();
    let mut daemon = bed.start();
    for part in ids.chunks(MESSAGES / STOPS) {
        assert!(publish(&mut daemon.client(), part));
        let before = peer.count();
        until(Duration::from_secs(60), "deliveries are under way", || peer.count() > before + 20);
        daemon.signal(Signal::TERM);
        assert_eq!(daemon.end().code(), Some(0));
        let stopped_at = peer.count();
        assert!(stopped_at < MESSAGES, "all was delivered before the stop");
        daemon = bed.start();
    }
    daemon.drain(Duration::from_secs(120));
    assert_eq!(daemon.stop(), 0);
    let there: Vec<String> = peer.arrived().iter().map(|arrived| arrived.id()).collect();
    let distinct: HashSet<_> = there.iter().collect();
    assert_eq!((distinct.len(), there.len()), (MESSAGES, MESSAGES));
}

#[test]
fn a_grace_that_passes_is_told_and_the_rest_comes_again() {
    let peer = Peer::answering(|arrived| {
        // The first try takes longer than the grace.
        thread::sleep(Duration::from_secs(if arrived.connection == 1 { 20 } else { 0 }));
        Some(200)
    });
    let bed = Bed::new(&format!(
        "[flow]\nshutdown_grace = \"1s\"\n[endpoints.slow]\nkind = \"http\"\nurl = \"{}\"\ntimeout = \"30s\"\n\
         [[routes]]\ntype = [\"#\"]\nto = [\"slow\"]\n",
        peer.url()
    ));
    let daemon = bed.start();
    daemon.publish(r#"{"id":"1","type":"x","data":1}"#);
    until(Duration::from_secs(60), "the delivery is under way", || peer.count() == 1);
    assert_eq!(daemon.stop(), 1);
    let daemon = bed.start();
    until(Duration::from_secs(60), "it is delivered again", || peer.count() == 2);
    daemon.drain(Duration::from_secs(60));
}
