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
        "dead",
        "dead replay",
        "dead delete",
        "completions tcsh",
        "completions bash --json",
        "demo -c no-such-file",
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
    for verb in [
        "demo",
        "run",
        "publish",
        "queues",
        "peek",
        "trace",
        "dead",
        "endpoints",
        "accounts",
        "config",
        "completions",
        "man",
    ] {
        assert!(help.stdout.contains(&format!("\n  {verb} ")), "{verb} is missing in {}", help.stdout);
    }
    for later in ["subscriptions", "bridge", "migrate", "doctor", "bench", "top"] {
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

#[test]
fn a_mistyped_word_names_the_near_one() {
    let place = Place::new();
    for (words, near) in [
        ("--hlep", "'--help'"),
        ("queus", "'queues'"),
        ("dead lst", "'list'"),
        ("peek dead --jsn", "'--json'"),
        ("completions bsh", "'bash'"),
    ] {
        let ran = place.run(words);
        assert_eq!(ran.code, Some(2), "{words}");
        assert!(ran.stderr.contains(near), "{words}: {}", ran.stderr);
    }
}

#[test]
fn the_program_alone_prints_help_and_is_exit_2() {
    let ran = Place::new().run("");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains("Usage: busway") && ran.stderr.contains("Exit codes:"), "{}", ran.stderr);
    let version = Place::new().run("--version");
    assert_eq!(version.stdout, format!("busway {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn common_options_stand_before_between_and_after_the_words_of_a_verb() {
    let place = Place::new().file("a.toml", "[endpoints.audit]\nkind = \"file\"\npath = \"a\"\n");
    let common = "-c a.toml --set bus.name=other --timeout 9s --log error --color never";
    for (first, second) in [("dead", "list"), ("endpoints", "list"), ("accounts", "list"), ("config", "show")]
    {
        for words in [
            format!("{common} {first} {second} --json"),
            format!("{first} {common} {second} --json"),
            format!("{first} {second} --json {common}"),
        ] {
            let ran = place.run(&words);
            assert_eq!(ran.code, Some(0), "{words}: {}", ran.stderr);
        }
        assert_eq!(place.run(&format!("{first} --json {second}")).code, Some(2));
        let nothing = place.run(&format!("{first} -c no-such-file {second}"));
        assert_eq!(nothing.code, Some(2), "{first}: {}", nothing.stderr);
    }
    let shown =
        place.run("--set flow.workers=1 config -c a.toml --set flow.workers=2 show --set flow.workers=3");
    assert!(shown.stdout.contains("workers = 3 "), "{}", shown.stdout);
}

#[test]
fn a_demo_reads_no_configuration_and_says_so() {
    let place = Place::new().file("broken.toml", "[nonsense]\n").env("BUSWAY_CONFIG", "no-such-file");
    let missing = place.run("demo -c no-such-file");
    assert_eq!((missing.code, missing.stdout.as_str()), (Some(2), ""));
    assert!(missing.stderr.contains("no-such-file") && missing.stderr.contains("needs no configuration"));
    let ran = place.run("demo -c broken.toml --set flow.workers=1 --json");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.starts_with("demo reads no configuration"), "{}", ran.stderr);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&report["lost"], &report["published"]), (&0.into(), &329.into()));
}
