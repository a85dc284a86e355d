//! Usage: what is refused with 2, what help shows, what a closed pipe does.

use std::process::Stdio;

use crate::harness::Place;

#[test]
fn wrong_usage_is_exit_2_with_words_on_standard_error() {
    let place = Place::new();
    for words in [
        "",
        "bridge --from a --to b",
        "doctor",
        "queues --colour",
        "peek",
        "dead replay",
        "dead delete",
        "dead delete --all --id 1",
        "publish --account a",
        "publish --type a --jsonl b",
        "publish --type a --data @no-such-file",
        "publish --jsonl no-such-file",
        "run --limit 3",
        "accounts weight acme 0",
        "queues --timeout soon",
        "config show --log nonsense=[",
    ] {
        let ran = place.run(words);
        assert_eq!(ran.code, Some(2), "{words}: {}", ran.stderr);
        assert!(!ran.stderr.is_empty() && ran.stdout.is_empty(), "{words}: {}", ran.stdout);
    }
}

#[test]
fn help_is_on_standard_output_and_names_the_verbs_that_are_there() {
    let help = Place::new().run("--help");
    assert_eq!(help.code, Some(0));
    for verb in ["demo", "run", "publish", "queues", "peek", "dead", "endpoints", "accounts", "config"] {
        assert!(help.stdout.contains(&format!("\n  {verb} ")), "{verb} is missing in {}", help.stdout);
    }
    for later in ["trace", "subscriptions", "bridge", "migrate", "doctor", "bench", "top", "completions"] {
        assert!(!help.stdout.contains(&format!("\n  {later} ")), "{later} is in {}", help.stdout);
    }
    for verb in ["publish --help", "dead list --help", "config init --help", "--version"] {
        assert_eq!(Place::new().run(verb).code, Some(0), "{verb}");
    }
}

#[test]
fn a_closed_standard_output_is_no_panic() {
    let place = Place::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = place.command("config show");
    let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
