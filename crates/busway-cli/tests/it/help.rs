//! Help, manual pages and completions; the examples of docs/cli.md as they stand there.

use std::process::Command;

use crate::bus::{fed, json, place, until};
use crate::harness::{Place, Ran};

const DOCUMENT: &str = include_str!("../../../../docs/cli.md");

/// The command lines of the document, but for those that run until they are told to stop and the demo,
/// which has a test of its own.
fn examples() -> Vec<&'static str> {
    let blocks = DOCUMENT.split("```sh\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap().lines());
    let lines = lines.map(|line| line.rsplit_once("  # ").unwrap().0);
    let endless = |line: &str| {
        line.contains("--watch")
            || line.starts_with("busway demo")
            || (line.contains(" run") && !line.contains("--once"))
    };
    lines.filter(|line| !endless(line)).collect()
}

/// A bus as the examples speak of it: two endpoints, a file of messages, one dead letter.
fn shop() -> Place {
    let config = "[bus]\nname = \"shop\"\n[endpoints.audit]\nkind = \"file\"\npath = \"audit.jsonl\"\n\
                  [endpoints.inventory]\nkind = \"exec\"\ncommand = [\"true\"]\n\
                  [[routes]]\ntype = [\"item.#\"]\nto = [\"audit\"]\n";
    let place = place()
        .file("busway.toml", config)
        .file("note.txt", "a note")
        .file("messages.jsonl", "{\"type\":\"item.a\"}\n{\"type\":\"item.b\"}\n");
    assert_eq!(fed(&place, "publish --jsonl -", "{\"type\":\"nowhere\",\"id\":\"0190-77\"}\n").code, Some(0));
    until("it is dead", || {
        json(&place, "run --once --json");
        json(&place, "dead list --json").as_array().unwrap().len() == 1
    });
    place
}

fn in_shell(place: &Place, line: &str) -> Ran {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_busway")).parent().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(place.path(".")).env_clear();
    command.env("PATH", format!("{}:/usr/bin:/bin", program.display()));
    Ran::of(command.output().unwrap())
}

#[test]
fn the_examples_of_the_document_work() {
    let place = shop();
    let examples = examples();
    assert!(examples.len() > 40, "{}", examples.len());
    for line in examples {
        let ran = in_shell(&place, line);
        assert_eq!(ran.code, Some(0), "{line}: {}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn a_page_is_written_for_each_verb_and_the_main_page_printed() {
    let place = Place::new();
    let ran = place.run("man pages/man1");
    let names: Vec<String> = std::fs::read_dir(place.path("pages/man1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(ran.stdout, format!("wrote {} pages to pages/man1\n", names.len()), "{}", ran.stderr);
    for name in ["busway.1", "busway-publish.1", "busway-dead.1", "busway-dead-list.1"] {
        assert!(names.iter().any(|there| there == name), "{name} is not in {names:?}");
    }
    let main = place.run("man").stdout;
    assert_eq!(main, std::fs::read_to_string(place.path("pages/man1/busway.1")).unwrap());
    for part in [".TH busway 1", "EXIT STATUS", "BUSWAY_CONFIG", "busway\\-dead(1)"] {
        assert!(main.contains(part), "{part} is not in {main}");
    }
    let refused = Place::new().file("man1", "").run("man man1");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("man1"), "{}", refused.stderr);
}

#[test]
fn completions_name_the_verbs_and_a_shell_takes_them() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = place.run(&format!("completions {shell}"));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{shell}");
        assert!(ran.stdout.contains("publish") && ran.stdout.contains("jsonl"), "{shell}");
    }
    assert_eq!(place.run("completions tcsh").code, Some(2));
    let script = "eval \"$(busway completions bash)\"; COMP_WORDS=(busway dead re); COMP_CWORD=2; \
                  _busway busway re dead; echo \"${COMPREPLY[@]}\"";
    let completed = in_shell(&place, &format!("bash -c '{script}'"));
    assert_eq!(completed.stdout, "replay\n", "{}", completed.stderr);
}

#[test]
fn help_of_a_verb_says_what_it_prints_its_exit_codes_and_examples() {
    let place = Place::new();
    for verb in ["publish", "dead replay", "config init", "man"] {
        let long = place.run(&format!("{verb} --help")).stdout;
        for part in ["Output:", "Exit codes:", "Examples:", &format!("  busway {verb}")] {
            assert!(long.contains(part), "{verb}: {part} is not in {long}");
        }
    }
}
