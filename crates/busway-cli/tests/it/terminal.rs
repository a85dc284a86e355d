//! Colours, bars and drawing in place: on a terminal, and nowhere else.

use std::process::{Command, Stdio};

use crate::bus::{Daemon, json, place, until};
use crate::harness::{Place, Ran};
use crate::pty::{COLUMNS, Pty, start};

/// Messages enough for a bar, the first of which dies of being unroutable.
fn filled() -> Place {
    let lines =
        "{\"type\":\"nowhere\",\"id\":\"lost-1\",\"account\":\"acme\"}\n{\"type\":\"item.a\"}\n".repeat(20);
    place().file("messages.jsonl", &lines).env("TERM", "xterm")
}

/// Runs it with standard output and standard error on a terminal.
fn on_terminal(place: &Place, words: &str, change: impl FnOnce(&mut Command)) -> String {
    let pty = Pty::new();
    let mut command = place.command(words);
    command.stdout(pty.stream()).stderr(pty.stream());
    change(&mut command);
    let mut child = start(command);
    assert_eq!(child.wait().unwrap().code(), Some(0), "{words}: {}", pty.seen());
    pty.closed()
}

#[test]
fn a_bar_is_on_a_terminal_and_gone_in_the_end() {
    let place = filled();
    let seen = on_terminal(&place, "publish --jsonl messages.jsonl", |_| ());
    assert!(seen.contains("publishing [") && seen.contains("100%"), "{seen:?}");
    let (before, after) = seen.rsplit_once("published 40, failed 0, unknown 0").expect("no summary");
    assert!(before.ends_with("\x1b[2K") || before.ends_with('\r'), "the bar is still there: {seen:?}");
    assert!(!after.contains('\x1b'), "{seen:?}");
}

#[test]
fn a_bar_is_on_standard_error_alone_and_json_is_clean_beside_it() {
    let place = filled();
    let pty = Pty::new();
    let mut command = place.command("publish --jsonl messages.jsonl --json");
    let ran = Ran::of(command.stderr(pty.stream()).stdout(Stdio::piped()).output().unwrap());
    drop(command);
    assert!(pty.closed().contains("publishing ["));
    assert!(ran.stdout.starts_with("{\"published\":40,") && ran.stdout.ends_with("}\n"), "{}", ran.stdout);
}

#[test]
fn a_bar_is_not_on_a_dumb_terminal_nor_for_standard_input() {
    let place = filled();
    let seen = on_terminal(&place, "publish --jsonl messages.jsonl", |command| {
        command.env("TERM", "dumb");
    });
    assert!(seen.starts_with("published 40") && !seen.contains('\x1b'), "{seen:?}");
    let seen = on_terminal(&place, "publish --jsonl -", |command| {
        command.stdin(std::fs::File::open(place.path("messages.jsonl")).unwrap());
    });
    assert!(!seen.contains("publishing"), "{seen:?}");
}

#[test]
fn a_replay_shows_that_it_is_under_way() {
    let place = filled();
    assert_eq!(place.run("publish --type nowhere").code, Some(0));
    json(&place, "run --once --json");
    let seen = on_terminal(&place, "dead replay --all", |_| ());
    assert!(seen.contains("replaying") && seen.contains("replayed 1"), "{seen:?}");
}

#[test]
fn a_demo_shows_a_bar_and_leaves_nothing_behind_when_interrupted() {
    let place = Place::new().env("TERM", "xterm");
    std::fs::create_dir(place.path("tmp")).unwrap();
    let pty = Pty::new();
    let mut command = place.command("demo");
    command.env("TMPDIR", place.path("tmp")).stdout(pty.stream()).stderr(pty.stream());
    let demo = Daemon::of(start(command));
    until("messages are published", || pty.seen().contains("/329"));
    demo.signal("INT");
    assert_eq!(demo.ended(), Some(130));
    assert!(pty.closed().contains("publishing ["));
    assert_eq!(std::fs::read_dir(place.path("tmp")).unwrap().count(), 0);
}

#[test]
fn colours_are_on_a_terminal_unless_something_says_no() {
    let place = filled();
    let bold = "\x1b[1mQUEUE";
    assert!(on_terminal(&place, "queues", |_| ()).contains(bold));
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let seen = on_terminal(&place, "queues", |command| {
            command.env(name, value);
        });
        assert!(seen.contains("QUEUE") && !seen.contains('\x1b'), "{name}: {seen:?}");
    }
    let seen = on_terminal(&place, "queues --color never", |_| ());
    assert!(seen.contains("QUEUE") && !seen.contains('\x1b'), "{seen:?}");
    assert!(on_terminal(&place, "--help", |_| ()).contains('\x1b'));
    assert!(!on_terminal(&place, "--color never --help", |_| ()).contains('\x1b'));
    assert!(
        on_terminal(&place, "queues --color always", |command| {
            command.env("NO_COLOR", "1");
        })
        .contains(bold)
    );
}

#[test]
fn nothing_of_a_terminal_goes_through_a_pipe_unless_asked_for() {
    let place = filled();
    for words in
        ["publish --jsonl messages.jsonl", "queues", "run --once", "dead list", "dead replay --all", "--help"]
    {
        let ran = place.run(words);
        assert_eq!(ran.code, Some(0), "{words}: {}", ran.stderr);
        assert!(!(ran.stdout + &ran.stderr).contains(['\x1b', '\r']), "{words}");
    }
    assert!(place.run("queues --color always").stdout.contains("\x1b[1mQUEUE"));
}

#[test]
fn a_watch_is_drawn_in_place_on_a_terminal_and_appended_through_a_pipe() {
    let place = filled();
    let pty = Pty::new();
    let mut command = place.command("queues --watch");
    command.stdout(pty.stream()).stderr(pty.stream());
    let watch = Daemon::of(start(command));
    until("it is drawn again", || pty.seen().matches("QUEUE").count() >= 3);
    watch.signal("INT");
    assert_eq!(watch.ended(), Some(130));
    let seen = pty.closed();
    let drawn: Vec<&str> = seen.split("\x1b[J").collect();
    let lines = drawn[0].matches('\n').count();
    assert!(drawn[1].starts_with(&format!("\x1b[{lines}F")), "{:?}", drawn[1]);

    let mut command = place.command("queues --watch");
    let out = place.path("watched");
    command.stdout(std::fs::File::create(&out).unwrap());
    let watch = Daemon::of(start(command));
    until("it is shown again", || std::fs::read_to_string(&out).unwrap().matches("QUEUE").count() >= 2);
    watch.signal("INT");
    assert_eq!(watch.ended(), Some(130));
    assert!(!std::fs::read_to_string(&out).unwrap().contains('\x1b'));
}

#[test]
fn tables_are_cut_on_a_terminal_alone() {
    let place = place().env("TERM", "dumb");
    let id = "i".repeat(100);
    assert_eq!(place.run(&format!("publish --type item.a --id {id}")).code, Some(0));
    let seen = on_terminal(&place, "peek priority", |_| ());
    for line in seen.lines() {
        assert!(line.chars().count() <= COLUMNS.into(), "{line}");
    }
    assert!(seen.contains("ii…") && !seen.contains(&id), "{seen}");
    assert!(place.run("peek priority").stdout.contains(&id));
}

#[test]
fn what_messages_hold_cannot_steer_the_terminal() {
    let hostile = r"\u001b]0;owned\u0007\u001b[2Jx\u009b31m\u007f\u202e";
    let raw: String = serde_json::from_str(&format!("\"{hostile}\"")).unwrap();
    let line = format!(
        "{{\"id\":\"7{hostile}\",\"type\":\"bad.a\",\"account\":\"a{hostile}\",\"subject\":\"s{hostile}\",\
         \"data\":{{\"k\":\"\u{9b}2J\u{7f}\"}}}}\n"
    );
    let script = format!("printf '{}' >&2; exit 3", r"\033[2Jreason\007");
    let place = place()
        .file("lines", &line)
        .file("reason.sh", &script)
        .env("TERM", "dumb")
        .env("BUSWAY__ENDPOINTS__SCRIPT__COMMAND", "[\"sh\", \"reason.sh\"]");
    let published = place.run("publish --jsonl lines");
    assert_eq!(published.code, Some(0), "{}", published.stderr);
    let controls = |text: &str| -> Vec<char> {
        text.chars().filter(|c| (c.is_control() && !matches!(c, '\n' | '\r')) || *c == '\u{202e}').collect()
    };
    let look = |words: &str| {
        let ran = place.run(words);
        let (out, error) = (controls(&ran.stdout), controls(&ran.stderr));
        assert_eq!((out, error), (vec![], vec![]), "{words}: {:?} {:?}", ran.stdout, ran.stderr);
        let seen = on_terminal(&place, words, |_| ());
        assert_eq!(controls(&seen), vec![], "{words}: {seen:?}");
        ran.stdout
    };
    assert!(look("peek priority").contains(r"7\u{1b}]0;owned\u{7}\u{1b}[2Jx\u{9b}31m\u{7f}\u{202e}"));
    look("peek priority --json");
    look("queues");
    json(&place, "run --once --json");
    assert!(look("dead list").contains(r"\u{1b}"));
    look("accounts list");
    look("endpoints list");
    let rows: serde_json::Value = serde_json::from_str(&look("dead list --json")).unwrap();
    assert_eq!(rows[0]["id"], format!("7{raw}"));
    let mut show = place.command("dead show");
    let shown = Ran::of(show.arg(format!("7{raw}")).output().unwrap());
    assert_eq!((shown.code, controls(&shown.stdout)), (Some(0), vec![]), "{:?}", shown.stdout);
    assert!(shown.stdout.contains(r#""k":"\u009b2J\u007f""#), "{}", shown.stdout);
    let mut show = place.command("dead show --json");
    let shown = Ran::of(show.arg(format!("8{raw}")).output().unwrap());
    assert_eq!((shown.code, controls(&shown.stderr)), (Some(1), vec![]), "{:?}", shown.stderr);
}
