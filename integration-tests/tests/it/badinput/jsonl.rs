//! What `publish --jsonl` may be given.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::thread;

use serde_json::json;

use super::{CONFIG, Course};
use crate::harness::{Bed, Usage};

/// Of a line of any length so much may be held, with the program itself.
const MEMORY: u64 = 200 << 20;

fn counted(told: &serde_json::Value) -> [u64; 3] {
    ["published", "failed", "unknown"].map(|key| told[key].as_u64().unwrap())
}

fn line(id: &str) -> String {
    format!("{{\"id\":\"{id}\",\"type\":\"item.x\",\"data\":1}}\n")
}

#[test]
fn a_line_of_100_mb_is_named_and_held_by_nobody() {
    let mut course = Course::new();
    let mut text = line("before").into_bytes();
    text.extend(vec![b'x'; 100 << 20]);
    text.push(b'\n');
    text.extend(line("after").into_bytes());
    fs::write(course.bed.path("in.jsonl"), &text).unwrap();
    drop(text);
    let verb = course.bed.begin(&["publish", "--jsonl", "in.jsonl", "--json"], "");
    let id = verb.id();
    let watch = thread::spawn(move || {
        let mut most = 0;
        while let Some(usage) = Usage::if_there(id) {
            most = most.max(usage.resident);
            thread::yield_now();
        }
        most
    });
    let answer = verb.end();
    answer.fails(1, &["line 2: is longer than 16 MiB"]);
    println!("{}", answer.errors);
    assert_eq!(counted(&answer.json()), [2, 1, 0]);
    let most = watch.join().unwrap();
    println!("{most} bytes at the most");
    assert!(most < MEMORY, "{most} bytes were held");
    course.good();
    course.end(&["before", "after"]);
}

#[test]
fn a_named_pipe_is_read_as_it_is_written() {
    let course = Course::new();
    let pipe = course.bed.path("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    let verb = course.bed.begin(&["publish", "--jsonl", "pipe", "--json"], "");
    // Opens once the verb has opened its end.
    let mut writer = OpenOptions::new().write(true).open(&pipe).unwrap();
    writer.write_all(line("p1").as_bytes()).unwrap();
    let audit = course.bed.path("var/audit.jsonl");
    crate::harness::until(super::LIMIT, "the first line is delivered before the second is written", || {
        fs::read_to_string(&audit).unwrap_or_default().contains("\"p1\"")
    });
    writer.write_all(line("p2").trim_end().as_bytes()).unwrap();
    drop(writer);
    let answer = verb.end();
    assert_eq!((answer.code, counted(&answer.json())), (0, [2, 0, 0]), "{answer:?}");
    course.end(&["p1", "p2"]);
}

#[test]
fn bytes_that_are_no_text_are_named_by_their_line_held_or_not() {
    for held in [true, false] {
        let bed = Bed::new(CONFIG);
        let daemon = held.then(|| bed.start());
        let mut text = line("n1").into_bytes();
        text.extend(b"\0\n\xff\xfe\n\xef\xbb\xbf{\"type\":\"item.x\"}\n\x1b[2J\n\n");
        text.extend(b"{\"type\":\"item.x\",\"Bad\x1b[2J\":1}\n");
        text.extend(line("n8").replace('\n', "\r\n").into_bytes());
        fs::write(bed.path("in.jsonl"), &text).unwrap();
        let answer = bed.verb(&["publish", "--jsonl", "in.jsonl", "--json"]);
        println!("{}", answer.errors);
        answer.fails(
            1,
            &["line 2: not JSON", "line 3: not JSON", "line 4: not JSON", "line 5: not JSON", "line 7: "],
        );
        assert!(!answer.errors.contains('\u{1b}'), "the terminal is told what to do: {answer:?}");
        assert_eq!(counted(&answer.json()), [2, 5, 0]);
        match &daemon {
            Some(daemon) => daemon.drain(super::LIMIT),
            None => assert_eq!(bed.ask(&["run", "--once"])["delivered"], 2),
        }
        assert_eq!(crate::harness::ids(&bed.path("var/audit.jsonl")), ["n1", "n8"]);
    }
}

#[test]
fn an_input_that_cannot_be_read_is_told_and_nothing_is_published() {
    let course = Course::new();
    course.bed.verb(&["publish", "--jsonl", "none.jsonl"]).fails(2, &["none.jsonl", "No such file"]);
    let answer = course.bed.verb(&["publish", "--jsonl", "var", "--json"]);
    println!("{}", answer.errors);
    answer.fails(1, &["cannot be read", "directory"]);
    assert_eq!(answer.json()["published"], json!(0));
    course
        .bed
        .verb(&["publish", "--type", "item.x", "--data", "@/dev/zero"])
        .fails(1, &["/dev/zero", "over"]);
    course.bed.verb(&["publish", "--type", "", "--data", "1"]).fails(2, &["type"]);
    course.end(&[]);
}
