//! What a service manager is told, as systemd hears it.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::bus::{Daemon, log_of, place, until};
use crate::harness::Place;

/// A service manager's end of the socket, with all that it was told.
struct Manager {
    socket: UnixDatagram,
    told: Vec<String>,
}

impl Manager {
    fn of(place: Place) -> (Self, Place) {
        let path = place.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let place = place.env("NOTIFY_SOCKET", &path.display().to_string());
        (Self { socket, told: Vec::new() }, place)
    }

    fn listen(&mut self) {
        let mut text = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut text) {
            self.told.push(String::from_utf8(text[..length].to_vec()).unwrap());
        }
    }

    /// How many of the messages have a line that begins so.
    fn count(&mut self, line: &str) -> usize {
        self.listen();
        self.told.iter().filter(|told| told.lines().any(|told| told.starts_with(line))).count()
    }

    /// Waits until it was told so, so many times.
    #[track_caller]
    fn told(&mut self, line: &str, times: usize) {
        until(line, || self.count(line) >= times);
    }
}

#[test]
fn a_service_is_ready_alive_reloaded_and_stopping() {
    let (mut manager, place) = Manager::of(place().env("WATCHDOG_USEC", "200000"));
    let daemon = Daemon::begin(&place, "run");
    manager.told("READY=1", 1);
    manager.told("WATCHDOG=1", 3);
    daemon.signal("HUP");
    manager.told("READY=1", 2);
    let reloading: Vec<_> = manager.told.iter().filter(|told| told.contains("RELOADING=1\n")).collect();
    assert_eq!(reloading.len(), 1);
    let at = reloading[0].lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
    assert!(at.parse::<u64>().unwrap() > 0);
    assert_eq!(manager.count("STATUS=delivering"), 2);
    let so_far = manager.count("WATCHDOG=1");
    manager.told("WATCHDOG=1", so_far + 2);
    daemon.signal("TERM");
    manager.told("STOPPING=1", 1);
    manager.told("EXTEND_TIMEOUT_USEC=", 1);
    assert_eq!(daemon.ended(), Some(0), "{}", log_of(&place));
}

#[test]
fn a_watchdog_meant_for_another_process_gets_no_ping() {
    let place = place().env("WATCHDOG_USEC", "20000").env("WATCHDOG_PID", "1");
    let (mut manager, place) = Manager::of(place);
    let daemon = Daemon::begin(&place, "run");
    manager.told("READY=1", 1);
    // Many times the watchdog's time.
    for reload in 2..12 {
        daemon.signal("HUP");
        manager.told("READY=1", reload);
    }
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0), "{}", log_of(&place));
    assert_eq!(manager.count("WATCHDOG=1"), 0);
}
