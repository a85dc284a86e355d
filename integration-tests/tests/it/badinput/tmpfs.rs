//! A disk that is really full: a small file system in memory, in a mount namespace of its own.

use std::process::Command;

use super::{CONFIG, Course, LIMIT};
use crate::harness::{Bed, Daemon, Request, program, until};

/// Runs a command as it would be run in the namespace: `unshare` makes the user its root there.
fn within(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
    command
}

const MOUNT: &str = "mkdir -p small && mount -t tmpfs -o size=8m none small";

/// Why no file system can be mounted here.
fn refused(bed: &Bed) -> Option<String> {
    match within(MOUNT).current_dir(bed.path("")).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

#[test]
fn a_full_disk_refuses_with_a_word_and_goes_on_once_messages_have_gone() {
    let bed = Bed::new(CONFIG);
    if let Some(why) = refused(&bed) {
        println!("NOT RUN: a disk that is really full (optional): no file system can be mounted here: {why}");
        return;
    }
    let script =
        format!("{MOUNT} && exec \"$0\" run -c busway.toml --set transports.local.path=small/queues");
    let mut command = within(&script);
    command.arg(program()).current_dir(bed.path(""));
    let daemon = Daemon::start_command(&bed, command);
    let mut course = Course { bed, daemon, good: Vec::new() };
    course.good();
    let pause = |what: &str| {
        let reply = course.daemon.send(&Request::new("POST", &format!("/v1/endpoints/audit/{what}")));
        assert_eq!(reply.status, 200, "{reply:?}");
    };
    pause("pause");
    let text = "x".repeat(50_000);
    let (mut stored, mut told) = (Vec::new(), None);
    for number in 0..1_000 {
        let id = format!("fill-{number}");
        let event =
            Request::post("text/plain", text.clone()).header("ce-type", "item.fill").header("ce-id", &id);
        let reply = course.daemon.send(&event);
        match reply.status {
            202 => stored.push(id),
            _ => {
                told = Some(reply);
                break;
            }
        }
    }
    let told = told.expect("the disk becomes full");
    println!(
        "{} stored, then {} retry-after {:?} {}",
        stored.len(),
        told.status,
        told.header("retry-after"),
        told.body
    );
    assert!(stored.len() > 20, "{} were stored", stored.len());
    assert_eq!((told.status, told.header("retry-after").is_some()), (429, true), "{told:?}");
    assert_eq!(course.daemon.send(&Request::get("/livez")).status, 200);
    pause("resume");
    until(LIMIT, "there is room again", || {
        course.daemon.send(&Request::lines("{\"id\":\"again\",\"type\":\"item.x\",\"data\":1}")).status == 202
    });
    let mut others: Vec<&str> = stored.iter().map(String::as_str).collect();
    others.push("again");
    course.end(&others);
}
