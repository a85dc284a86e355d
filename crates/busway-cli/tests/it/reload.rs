//! SIGHUP: what is applied, what is named, what stays.

use crate::bus::{Daemon, audit, fed, json, log_of, place, until};
use crate::harness::Place;

fn lines(place: &Place, file: &str) -> usize {
    std::fs::read_to_string(place.path(file)).unwrap_or_default().lines().count()
}

/// Replaces the file at once, as an editor does: half of one is another configuration.
fn rewrite(place: &Place, text: &str) {
    std::fs::write(place.path("new.toml"), text).unwrap();
    std::fs::rename(place.path("new.toml"), place.path("busway.toml")).unwrap();
}

const BEFORE: &str = r#"
[bus]
name = "shop"
[endpoints.audit]
kind = "file"
path = "audit.jsonl"
[endpoints.old]
kind = "file"
path = "old.jsonl"
[[routes]]
type = ["item.*"]
to = ["audit", "old"]
"#;

const AFTER: &str = r#"
[bus]
name = "other"
[flow]
shutdown_grace = "20s"
[endpoints.audit]
kind = "file"
path = "moved.jsonl"
order = "account"
[endpoints.more]
kind = "file"
path = "more.jsonl"
[[routes]]
type = ["item.*"]
to = ["audit", "more"]
"#;

#[test]
fn a_reload_applies_what_can_change_and_names_what_needs_a_restart() {
    let place = Place::new().file("busway.toml", BEFORE);
    let daemon = Daemon::start(&place);
    assert_eq!(place.run("publish --type item.a").code, Some(0));
    until("it went the old way", || lines(&place, "audit.jsonl") == 1 && lines(&place, "old.jsonl") == 1);
    rewrite(&place, AFTER);
    daemon.signal("HUP");
    let applied = "reloaded: endpoints.audit.path, endpoints.more, flow.shutdown_grace, routes\n";
    until("what holds is said", || log_of(&place).contains(applied));
    let restart = "needs a restart: bus.name, bus.state, endpoints.audit.order, endpoints.old, journal.path, \
         transports.local.path\n";
    until("what does not is said", || log_of(&place).contains(restart));
    assert_eq!(place.run("publish --type item.a --set bus.name=shop").code, Some(0));
    until("it goes the new way", || lines(&place, "moved.jsonl") == 1 && lines(&place, "more.jsonl") == 1);
    assert_eq!((lines(&place, "audit.jsonl"), lines(&place, "old.jsonl")), (1, 1));
    daemon.signal("HUP");
    until("what still waits is said again", || log_of(&place).matches("needs a restart").count() == 2);
    assert_eq!(log_of(&place).matches("reloaded: ").count(), 1);
    rewrite(&place, BEFORE);
    daemon.signal("HUP");
    until("all is as it was", || log_of(&place).matches("reloaded: ").count() == 2);
    until("what was added stays", || log_of(&place).contains("needs a restart: endpoints.more\n"));
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0), "{}", log_of(&place));
}

#[test]
fn a_reload_that_cannot_be_applied_leaves_the_old_one_in_force_as_a_whole() {
    let place = place();
    // The store is made, then only looked at.
    assert_eq!(place.run("queues").code, Some(0));
    let verified = std::fs::read_to_string(place.path("busway.toml")).unwrap()
        + "[transports.local]\nkind = \"embedded\"\ndeclare = \"verify\"\n";
    rewrite(&place, &verified);
    let daemon = Daemon::start(&place);
    let more = "[endpoints.aaa]\nkind = \"file\"\npath = \"aaa.jsonl\"\n\
                [endpoints.zzz]\nkind = \"queue\"\nqueue = \"further\"\n\
                [[routes]]\ntype = [\"item.*\"]\nto = [\"aaa\"]\n";
    rewrite(&place, &format!("{verified}{more}"));
    daemon.signal("HUP");
    until("it is refused", || log_of(&place).contains("not reloaded, the configuration stays as it is"));
    assert!(log_of(&place).contains("further"), "{}", log_of(&place));
    assert_eq!(place.run("publish --type item.a").code, Some(0));
    until("it goes the old way", || audit(&place).len() == 1);
    let rows = json(&place, "endpoints list --json");
    assert_eq!(rows.as_array().unwrap().len(), 2, "{rows}");
    assert_eq!(lines(&place, "aaa.jsonl"), 0);
}

#[test]
fn reloads_under_load_lose_nothing() {
    let place = place();
    let before = std::fs::read_to_string(place.path("busway.toml")).unwrap();
    let daemon = Daemon::start(&place);
    let input: String = (0..3000)
        .map(|n| format!("{{\"type\":\"item.n\",\"id\":\"{n}\",\"account\":\"a{}\",\"data\":{n}}}\n", n % 7))
        .collect();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let codes: Vec<_> = (0..3).map(|_| fed(&place, "publish --jsonl -", &input).code).collect();
            done.store(true, std::sync::atomic::Ordering::SeqCst);
            codes
        });
        let mut reloads = 0;
        while !done.load(std::sync::atomic::Ordering::SeqCst) || reloads < 10 {
            reloads += 1;
            let text = format!(
                "{before}[flow]\nworkers = {}\n[endpoints.further-{}]\nkind = \"file\"\npath = \"further.jsonl\"\n\
                 [[routes]]\ntype = [\"item.#\"]\nto = [\"further-{}\"]\n",
                1 + reloads % 9,
                reloads / 4,
                reloads / 4,
            )
            .replace("path = \"audit.jsonl\"", &format!("path = \"audit.jsonl\"\ntimeout = \"{}s\"", 9 + reloads % 2));
            rewrite(&place, &text);
            daemon.signal("HUP");
            until("it is reloaded", || log_of(&place).matches("reloaded: ").count() == reloads);
        }
        assert_eq!(publishing.join().unwrap(), [Some(0); 3]);
    });
    until("all is delivered", || audit(&place).len() >= 9000);
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0), "{}", log_of(&place));
    assert_eq!(audit(&place).len(), 9000);
    assert_eq!(place.run("dead list --json").stdout, "[]\n");
}
