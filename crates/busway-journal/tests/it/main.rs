//! The journal on a disk: restarts, bounds, damage, and what it costs.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use busway_core::clock::now_ms;
use busway_core::journal::{Entry, Event, Found};
use busway_core::{Journal, Message};
use busway_journal::{FileJournal, JournalOptions};

const HOUR: Duration = Duration::from_secs(3600);

fn options(directory: &Path) -> JournalOptions {
    JournalOptions {
        directory: directory.join("journal"),
        bus: "shop".to_owned(),
        keep: HOUR,
        max_bytes: 1 << 20,
    }
}

fn message(id: &str) -> Message {
    Message::new("item.updated", "the body").id(id).account("acme")
}

fn delivered(journal: &FileJournal, id: &str) {
    let message = message(id);
    let plain = Entry::new(now_ms(), Event::Delivered, &message);
    journal.note(&Entry { destination: Some("audit"), attempt: 1, ..plain });
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(directory.join("journal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn events(found: &Found) -> Vec<Event> {
    found.events.iter().map(|noted| noted.event).collect()
}

#[tokio::test]
async fn what_was_noted_is_found_at_once_and_after_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(options(place.path())).unwrap();
    journal.note(&Entry::new(now_ms(), Event::Accepted, &message("7")));
    delivered(&journal, "7");
    delivered(&journal, "8");
    let found = journal.find("7").await.unwrap();
    assert_eq!(events(&found), [Event::Accepted, Event::Delivered]);
    assert_eq!((found.r#type.as_deref(), found.account.as_deref()), (Some("item.updated"), Some("acme")));
    journal.close().await;
    drop(journal);
    let journal = FileJournal::open(options(place.path())).unwrap();
    // One that is accepted is read again by the next process.
    let message = message("7");
    journal.note(&Entry::new(found.events[0].at, Event::Accepted, &message));
    assert_eq!(journal.find("7").await.unwrap(), found);
    assert_eq!(journal.find("9").await.unwrap().events, []);
    let text = files(place.path()).iter().flat_map(|file| std::fs::read(file).unwrap()).collect::<Vec<u8>>();
    assert!(!text.windows(8).any(|part| part == b"the body"), "a body is kept");
}

#[tokio::test]
async fn the_oldest_go_first_and_the_bytes_are_bounded() {
    let place = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(options(place.path())).unwrap();
    delivered(&journal, "first");
    let mut most = 0;
    for batch in 0..200 {
        for number in 0..500 {
            delivered(&journal, &format!("{batch}-{number}"));
        }
        // A search writes what waits.
        if batch % 10 == 0 {
            journal.find("none").await.unwrap();
            most =
                files(place.path()).iter().map(|file| file.metadata().unwrap().len()).sum::<u64>().max(most);
        }
    }
    assert!(most > 700 << 10 && most <= (1 << 20) + (256 << 10), "{most} bytes on disk");
    assert_eq!(journal.find("first").await.unwrap().events, [], "the oldest is gone");
    let found = journal.find("199-499").await.unwrap();
    assert_eq!((events(&found).len(), found.missing, found.cut_off), (1, 0, 0));
}

#[tokio::test]
async fn what_is_too_old_goes() {
    let place = tempfile::tempdir().unwrap();
    let short = JournalOptions { keep: Duration::from_millis(400), ..options(place.path()) };
    let journal = FileJournal::open(short).unwrap();
    delivered(&journal, "7");
    assert_eq!(journal.find("7").await.unwrap().events.len(), 1);
    let old = files(place.path());
    let deadline = Instant::now() + Duration::from_secs(30);
    while files(place.path()).contains(&old[0]) {
        assert!(Instant::now() < deadline, "an old file stays");
        delivered(&journal, "8");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(journal.find("7").await.unwrap().events, []);
}

#[tokio::test]
async fn a_torn_end_is_told_and_takes_nothing_else_with_it() {
    let place = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(options(place.path())).unwrap();
    delivered(&journal, "7");
    journal.find("7").await.unwrap();
    let whole = std::fs::read(&files(place.path())[0]).unwrap();
    delivered(&journal, "7");
    journal.close().await;
    drop(journal);
    let file = files(place.path())[0].clone();
    let all = std::fs::read(&file).unwrap();
    let mut damaged = all.clone();
    damaged[whole.len() + 12] ^= 1;
    for cut in [&all[..whole.len() + 11], &damaged] {
        std::fs::write(&file, cut).unwrap();
        let journal = FileJournal::open(options(place.path())).unwrap();
        let found = journal.find("7").await.unwrap();
        assert_eq!((found.events.len(), found.cut_off), (1, 1));
        delivered(&journal, "9");
        assert_eq!(journal.find("9").await.unwrap().events.len(), 1);
        journal.close().await;
        drop(journal);
        std::fs::remove_file(&files(place.path())[1]).unwrap();
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_makes_entries_missing_until_it_can() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("journal");
    std::fs::write(&directory, "in the way").unwrap();
    let journal = FileJournal::open(options(place.path())).unwrap();
    for _ in 0..5 {
        delivered(&journal, "7");
    }
    assert!(journal.find("7").await.is_err(), "there is nothing to read");
    std::fs::remove_file(&directory).unwrap();
    delivered(&journal, "8");
    let found = journal.find("9").await.unwrap();
    assert_eq!(found.missing, 5);
    assert_eq!(journal.find("8").await.unwrap().events.len(), 1);
}
