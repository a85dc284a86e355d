//! What an entry costs whoever notes it, and what a search costs: `cargo bench -p busway-journal`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::{Duration, Instant};

use busway_core::clock::now_ms;
use busway_core::journal::{Entry, Event};
use busway_core::{Journal, Message};
use busway_journal::{FileJournal, JournalOptions};

const MANY: usize = 5_000_000;
const BATCH: usize = 10_000;

#[tokio::main]
async fn main() {
    let place = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(JournalOptions {
        directory: place.path().to_owned(),
        bus: "shop".to_owned(),
        keep: Duration::from_secs(3600),
        max_bytes: 512 << 20,
    })
    .unwrap();
    let messages: Vec<Message> =
        (0..1000).map(|_| Message::new("item.updated", "").account("acme")).collect();
    let mut noting = Duration::ZERO;
    let begun = Instant::now();
    for batch in 0..MANY / BATCH {
        let started = Instant::now();
        for number in 0..BATCH {
            let message = &messages[number % 1000];
            let event = if number % 2 == 0 { Event::Accepted } else { Event::Delivered };
            journal.note(&Entry { destination: Some("inventory"), ..Entry::new(now_ms(), event, message) });
        }
        noting += started.elapsed();
        // 100,000 a second.
        let due = begun + Duration::from_millis(100) * u32::try_from(batch + 1).unwrap();
        tokio::time::sleep_until(due.into()).await;
    }
    let cpu = cpu_seconds();
    let started = Instant::now();
    let found = journal.find("none").await.unwrap();
    let searched = started.elapsed();
    let bytes: u64 =
        std::fs::read_dir(place.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    println!(
        "{MANY} entries at 100000/s: {:?} each to whoever notes it, {cpu:.2} s of CPU in all, {} missing, \
         {bytes} bytes on disk, searched in {searched:?}",
        noting / u32::try_from(MANY).unwrap(),
        found.missing,
    );
}

/// User and system time of this process so far, in seconds.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|n| n.parse().ok())
        .collect();
    fields.iter().sum::<f64>() / 100.0
}
