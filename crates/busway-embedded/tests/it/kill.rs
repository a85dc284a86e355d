//! Real processes that hold a store and are killed.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use busway_core::transport::Declare;
use busway_core::{ErrorKind, Outcome, Publication, Queue, Transport};
use busway_embedded::{EmbeddedConfig, EmbeddedTransport, is_held};

use crate::support::{exactly, message, now};

const STORE: &str = "BUSWAY_STORE";

fn config(path: &Path) -> EmbeddedConfig {
    let mut config = EmbeddedConfig::new("local", "shop", path);
    config.segment_bytes = 256 << 10;
    config.garbage_bytes = 256 << 10;
    config
}

/// Runs one of the ignored tests below as a process of its own.
fn spawn(test: &str, store: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", &format!("kill::{test}"), "--nocapture", "--test-threads=1"])
        .env(STORE, store)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{line}").unwrap();
    out.flush().unwrap();
}

/// Publishes and acknowledges, and says what was confirmed, until it is killed.
#[tokio::test]
#[ignore = "is run by what_a_killed_process_had_confirmed_is_there_and_what_it_had_acked_is_not"]
async fn child_works() {
    let store = std::env::var_os(STORE).unwrap();
    let transport = EmbeddedTransport::open(config(Path::new(&store))).unwrap();
    transport.declare(&[Queue::Priority], Declare::Create).await.unwrap();
    let sender = transport.sender().await.unwrap();
    let reader = transport.receiver(&Queue::Priority, Default::default()).await.unwrap();
    let mut n = 0;
    loop {
        let ids: Vec<String> = (0..20).map(|k| format!("{}-{}", std::process::id(), n + k)).collect();
        n += 20;
        ids.iter().for_each(|id| say(&format!("SENDING {id}")));
        let batch = ids.iter().map(|id| Publication::new(Queue::Priority, message(id.clone()))).collect();
        for (id, result) in ids.iter().zip(sender.publish(batch).await) {
            result.unwrap();
            say(&format!("STORED {id}"));
        }
        for leased in exactly(&reader, 10).await {
            let id = leased.message.id.clone();
            say(&format!("ACKING {id}"));
            reader.settle(vec![(leased.receipt, Outcome::Ack)]).await.remove(0).unwrap();
            say(&format!("ACKED {id}"));
        }
    }
}

#[tokio::test]
async fn what_a_killed_process_had_confirmed_is_there_and_what_it_had_acked_is_not() {
    let home = tempfile::tempdir().unwrap();
    let store = home.path().join("store");
    let (mut stored, mut sending, mut acking, mut acked) =
        (HashSet::new(), HashSet::new(), HashSet::new(), HashSet::new());
    for round in 0..8 {
        let mut child = spawn("child_works", &store);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let stop_after = 150 + 61 * round;
        let mut heard = 0;
        while let Some(Ok(line)) = lines.next() {
            let Some((verb, id)) = line.split_once(' ') else { continue };
            let set = match verb {
                "SENDING" => &mut sending,
                "STORED" => &mut stored,
                "ACKING" => &mut acking,
                "ACKED" => &mut acked,
                _ => continue,
            };
            set.insert(id.to_owned());
            heard += 1;
            if heard == stop_after {
                let holder = is_held(&store).unwrap();
                assert_eq!(holder.pid, child.id());
                let error = EmbeddedTransport::open(config(&store)).err().unwrap();
                assert_eq!(error.kind(), ErrorKind::Held);
                assert!(error.to_string().contains(&child.id().to_string()), "{error}");
                child.kill().unwrap();
            }
        }
        assert!(heard >= stop_after, "the child ended by itself after {heard} lines");
        child.wait().unwrap();
    }
    assert!(is_held(&store).is_none(), "the lock of a killed process is gone");
    let transport = EmbeddedTransport::open(config(&store)).unwrap();
    let reader = transport.receiver(&Queue::Priority, Default::default()).await.unwrap();
    let mut present = HashSet::new();
    loop {
        let got = now(&reader, 1000).await;
        if got.is_empty() {
            break;
        }
        for leased in got {
            let id = leased.message.id.clone();
            assert!(sending.contains(&id), "{id} was never sent");
            assert!(present.insert(id.clone()), "{id} came twice");
            assert!(!acked.contains(&id), "{id} was acked and is back");
            std::mem::forget(leased);
        }
    }
    for id in &stored {
        assert!(present.contains(id) || acking.contains(id), "{id} was confirmed and is lost");
    }
    assert!(stored.len() > 200 && acked.len() > 100, "{} {}", stored.len(), acked.len());
}

/// Takes a message and dies of it.
#[tokio::test]
#[ignore = "is run by a_message_that_kills_its_process_at_once_is_counted_all_the_same"]
async fn child_dies_of_a_message() {
    let store = std::env::var_os(STORE).unwrap();
    let transport = EmbeddedTransport::open(config(Path::new(&store))).unwrap();
    let reader = transport.receiver(&Queue::Priority, Default::default()).await.unwrap();
    let got = exactly(&reader, 1).await;
    say(&format!("DELIVERIES {}", got[0].deliveries.unwrap()));
    // By the shell, which has it built in where the program `kill` is absent.
    Command::new("sh").args(["-c", &format!("kill -9 {}", std::process::id())]).status().unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn a_message_that_kills_its_process_at_once_is_counted_all_the_same() {
    let home = tempfile::tempdir().unwrap();
    let store = home.path().join("store");
    let transport = EmbeddedTransport::open(config(&store)).unwrap();
    transport.declare(&[Queue::Priority], Declare::Create).await.unwrap();
    let publication = Publication::new(Queue::Priority, message("poison"));
    transport.sender().await.unwrap().publish(vec![publication]).await.remove(0).unwrap();
    transport.close().await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let child = spawn("child_dies_of_a_message", &store).wait_with_output().unwrap();
        assert_eq!(child.status.signal(), Some(9), "it did not die of the message: {}", child.status);
        let text = String::from_utf8_lossy(&child.stdout).into_owned();
        let count = text.lines().find_map(|line| line.strip_prefix("DELIVERIES ")?.parse::<u32>().ok());
        seen.push(count.unwrap());
    }
    // The first of them may die before anybody counts; from then on the store is on its guard.
    assert!(seen.last().unwrap() >= &4, "{seen:?}");
}
