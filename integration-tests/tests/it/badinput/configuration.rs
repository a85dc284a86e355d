//! Files that are no configuration.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use super::{CONFIG, Course, LIMIT};
use crate::harness::{Bed, until};

/// How long a verb may take that has nothing to do but to refuse.
const QUICKLY: Duration = Duration::from_secs(20);

/// What is refused, and the words that say so; each is made in the bed under its name.
fn bad_files(bed: &Bed) -> Vec<(&'static str, Vec<&'static str>)> {
    let write = |name: &str, bytes: &[u8]| fs::write(bed.path(name), bytes).unwrap();
    fs::create_dir(bed.path("directory")).unwrap();
    write("latin", b"[bus]\nname = \"caf\xe9\"\n");
    write("nul", b"[bus]\0\n");
    write("large", &b"# nothing\n".repeat(10 << 20));
    write("unknown", b"[flow]\nwrokers = 1\n");
    write("type", b"[flow]\nworkers = \"many\"\n");
    write("secret", b"[http]\ntoken = { env = \"NOWHERE_SET\" }\n");
    write("secret-file", b"[http]\ntoken = { file = \"no-such-file\" }\n");
    write("secret-large", b"[http]\ntoken = { file = \"/dev/zero\" }\n");
    write("route", b"[[routes]]\ntype = [\"a\"]\nto = [\"nobody\"]\n");
    let deep = format!("{}a = 1\n", "a.".repeat(100_000));
    write("deep", deep.as_bytes());
    vec![
        ("missing", vec!["missing", "cannot be read", "No such file"]),
        ("directory", vec!["directory", "cannot be read", "Is a directory"]),
        ("latin", vec!["latin", "not UTF-8", "byte 17"]),
        ("nul", vec!["nul:1:"]),
        ("large", vec!["large", "larger than 4MiB"]),
        ("unknown", vec!["unknown:2:1", "wrokers", "did you mean `workers`?"]),
        ("type", vec!["type:2:1", "flow.workers", "a whole number"]),
        ("secret", vec!["secret:2:1", "http.token", "NOWHERE_SET is not set"]),
        ("secret-file", vec!["secret-file:2:1", "http.token", "no-such-file cannot be read"]),
        ("secret-large", vec!["secret-large:2:1", "http.token", "larger than 64KiB"]),
        ("route", vec!["route:3:7", "routes[0].to[0]", "\"nobody\""]),
        ("deep", vec!["deep:1:"]),
    ]
}

#[test]
fn each_is_exit_2_with_its_place_for_every_verb_and_touches_nothing() {
    let bed = Bed::new(CONFIG);
    for (file, words) in bad_files(&bed) {
        for verb in [&["config", "check"][..], &["run"], &["run", "--once"], &["publish", "--type", "item.x"]]
        {
            let answer = bed.verb(&[verb, &["-c", file]].concat());
            answer.fails(2, &words);
            assert!(!answer.errors.contains("panicked") && answer.took < QUICKLY, "{answer:?}");
            assert!(answer.errors.len() < 4_096, "{} bytes are said", answer.errors.len());
        }
        println!("{}", bed.verb(&["config", "check", "-c", file]).errors.lines().next().unwrap_or_default());
    }
    assert!(!bed.path("var").exists(), "something was opened");
}

/// A file that never ends, and one that nobody writes to for a while.
#[test]
fn a_file_that_is_none_is_bounded() {
    let bed = Bed::new(CONFIG);
    bed.verb(&["config", "check", "-c", "/dev/zero"]).fails(2, &["/dev/zero", "larger than 4MiB"]);
    let deep = format!("{}a=1", "a.".repeat(50_000));
    bed.verb(&["config", "check", "--set", &deep]).fails(2, &["names no setting"]);
}

#[test]
fn a_reload_of_each_leaves_the_bus_as_it_was() {
    let mut course = Course::new();
    let whole = fs::read(course.bed.path("busway.toml")).unwrap();
    let mut told = 0;
    for (file, words) in bad_files(&course.bed) {
        let place = course.bed.path("busway.toml");
        let removed = if place.is_dir() { fs::remove_dir(&place) } else { fs::remove_file(&place) };
        removed.unwrap();
        match file {
            "missing" => {}
            "directory" => fs::create_dir(&place).unwrap(),
            file => drop(fs::copy(course.bed.path(file), &place).unwrap()),
        }
        course.daemon.signal(Signal::HUP);
        let refused = |log: &str| log.matches("not reloaded").count();
        until(LIMIT, format!("{file}: it is refused"), || refused(&course.daemon.log()) > told);
        told = refused(&course.daemon.log());
        let last = words.last().unwrap().replace(&format!("{file}:"), "busway.toml:");
        assert!(course.daemon.log().contains(&last), "{last}: {}", course.daemon.log());
        course.good();
        if file == "missing" {
            fs::write(&place, &whole).unwrap();
        }
    }
    fs::write(course.bed.path("busway.toml"), &whole).unwrap();
    course.end(&[]);
}

/// The host's name is looked up at each delivery: until there is an address the message waits.
#[test]
fn a_url_that_does_not_resolve_keeps_its_messages_and_no_other() {
    let rest = "[endpoints.it]\nkind = \"http\"\nurl = \"http://no-such-host.invalid/in\"\n\
                retry = { attempts = 3, first = \"100ms\", max = \"200ms\" }\n\
                [[routes]]\ntype = [\"out.*\"]\nto = [\"it\"]\n";
    let mut course = Course::with(rest, &[]);
    course.daemon.publish(r#"{"id":"out","type":"out.x","data":1}"#);
    course.good();
    until(LIMIT, "its tries are spent", || course.daemon.get("/v1/dead").as_array().unwrap().len() == 1);
    let row = course.daemon.get("/v1/dead")[0].clone();
    println!("{row}");
    assert_eq!((&row["reason"], &row["attempts"]), (&"error:dns".into(), &3.into()), "{row}");
    let tested = course.bed.verb(&["endpoints", "test", "it"]);
    println!("{}", tested.errors);
    tested.fails(3, &["no-such-host.invalid", "was not resolved"]);
    // What is no URL at all is no configuration.
    for url in ["no url", "ftp://x/", "http://", "http://u:p@h/"] {
        let set = format!("endpoints.it.url={url:?}");
        let answer = course.bed.verb(&["config", "check", "--set", &set]);
        answer.fails(2, &["endpoints.it.url"]);
        assert!(!answer.errors.contains("u:p"), "{answer:?}");
    }
    course.end(&[]);
}

#[test]
fn a_state_store_that_cannot_be_opened_is_told_by_its_path() {
    let bed = Bed::new(CONFIG);
    for (state, words) in [
        ("sqlite:/proc/none/state.db", &["/proc/none"][..]),
        ("sqlite:", &["bus.state", "sqlite:PATH"]),
        ("redis://h", &["bus.state", "sqlite:PATH"]),
        ("plain", &["bus.state", "sqlite:PATH"]),
    ] {
        let answer = bed.verb(&["run", "--set", &format!("bus.state={state:?}")]);
        assert!(matches!(answer.code, 1..=3), "{answer:?}");
        for word in words {
            assert!(answer.errors.contains(word), "{word:?} is not said: {answer:?}");
        }
        assert!(!answer.errors.contains("panicked"), "{answer:?}");
        println!("{} {}", answer.code, answer.errors.trim_end());
    }
    fs::create_dir_all(bed.path("var")).unwrap();
    fs::write(bed.path("var/state.db"), b"this is no database, and long enough to be looked at as one")
        .unwrap();
    let answer = bed.verb(&["run"]);
    println!("{} {}", answer.code, answer.errors.trim_end());
    answer.fails(1, &["state.db"]);
}
