//! Verbs of processes that open the store one after the other, each the holder for a moment.

use std::process::Stdio;
use std::thread;

use serde_json::Value;

use crate::bus::{Daemon, audit, json, log_of, place, until};
use crate::harness::{Place, Ran};

/// Runs the words again and again beside other loops; every run must succeed. Gives the sum of a figure.
fn again(place: &Place, words: &str, rounds: usize, figure: &str) -> u64 {
    let sum = |_| {
        let ran = place.run(words);
        assert_eq!(ran.code, Some(0), "{words}: {} {}", ran.stdout, ran.stderr);
        let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
        answer[figure].as_u64().unwrap_or_default()
    };
    (0..rounds).map(sum).sum()
}

#[test]
fn verbs_succeed_however_often_the_store_changes_hands() {
    let place = place();
    let (published, received) = thread::scope(|scope| {
        let publishers: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| again(&place, "publish --type item.a --json", 12, "published")))
            .collect();
        let runs: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| again(&place, "run --once --limit 7 --json", 8, "received")))
            .collect();
        let looks = scope.spawn(|| again(&place, "queues --json", 8, "nothing"));
        looks.join().unwrap();
        let sum = |loops: Vec<thread::ScopedJoinHandle<'_, u64>>| -> u64 {
            loops.into_iter().map(|ended| ended.join().unwrap()).sum()
        };
        (sum(publishers), sum(runs))
    });
    assert_eq!(published, 24);
    let rest = json(&place, "run --once --json")["received"].as_u64().unwrap();
    assert_eq!(received + rest, published, "{received} and then {rest}");
    assert_eq!(audit(&place).len() as u64, published);
}

#[test]
fn a_daemon_waits_for_a_verb_that_holds_the_store() {
    let place = place();
    let mut verb = place.command("publish --jsonl -");
    let mut verb = verb.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = format!("{}\n", verb.id());
    until("the verb holds the store", || {
        std::fs::read_to_string(place.path("var/shop/queues/lock")).is_ok_and(|text| text.starts_with(&pid))
    });
    let daemon = Daemon::begin(&place, "run --timeout 60s");
    until("the daemon waits", || log_of(&place).contains("waiting for the store"));
    drop(verb.stdin.take());
    assert_eq!(Ran::of(verb.wait_with_output().unwrap()).code, Some(0));
    until("the daemon is ready", || log_of(&place).contains("ready"));
    assert_eq!(place.run("publish --type item.a").code, Some(0));
    until("it is delivered", || audit(&place).len() == 1);
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0), "{}", log_of(&place));
}

#[test]
fn a_drain_that_is_cut_short_says_so_by_its_exit_code() {
    let place = place().file("slow.sh", "touch began; sleep 120");
    let daemon = Daemon::begin(
        &place,
        "run --set flow.shutdown_grace=\"500ms\" --set endpoints.script.command=[\"sh\",\"slow.sh\"] \
         --set endpoints.script.timeout=\"300s\"",
    );
    until("the daemon is ready", || log_of(&place).contains("ready"));
    assert_eq!(place.run("publish --type bad.a").code, Some(0));
    until("the delivery is under way", || place.path("began").exists());
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(1), "{}", log_of(&place));
    assert!(log_of(&place).contains("delivered again at the next start"), "{}", log_of(&place));
    let rows = json(&place, "peek priority --json");
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
}
