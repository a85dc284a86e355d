//! The embedded store under power cuts. The guarantee: what was confirmed and never begun to be acknowledged
//! is there, whole and once; what was acknowledged for good does not come back; the store opens.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use busway_core::Transport;
use busway_core::transport::Selector;
use busway_integration_tests::small_store;

use super::ledger::Ledger;
use super::library::{self, Cut, Fsync};
use crate::harness::{long, seed};

const WRITER: &str = env!("CARGO_BIN_EXE_store_writer");
const BATCHES: u64 = 60;
/// Cuts that the store must survive, and those within which a disk that syncs nothing must be found out.
const CUTS: u64 = 200;
const CUTS_LONG: u64 = 5000;
const CUTS_UNTIL_FOUND: u64 = 40;
/// Cuts of one store before a new one is begun. The next writer begins on what the cut left, so that
/// recovery is cut too.
const CUTS_A_STORE: u64 = 10;
/// Moments within which a writer has made its store, or opened the one that it found. They are few among
/// all, and most of the syncs of names are there, so every third cut is drawn from them.
const OPENING: u64 = 40;

/// What was tried and how it ended.
#[derive(Debug, Default)]
struct Course {
    cuts: u64,
    /// Kills between the cuts, which leave files that are not durable to the next writer.
    kills: u64,
    /// Rounds whose writer ended before the cut came.
    uncut: u64,
    confirmed: usize,
    acknowledged: usize,
    /// The first thing that went wrong.
    wrong: Option<String>,
}

fn cut_again_and_again(cuts: u64, fsync: Fsync) -> Course {
    let mut course = Course::default();
    let mut random = fastrand::Rng::with_seed(seed());
    // Now and then the writer ends before the cut.
    let moments = usual_moments() * 5 / 4;
    while course.cuts < cuts && course.wrong.is_none() {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("disk");
        fs::create_dir(&disk).unwrap();
        let mut ledger = Ledger::default();
        let until = cuts.min(course.cuts + CUTS_A_STORE);
        while course.cuts < until && course.wrong.is_none() {
            assert!(course.uncut < cuts, "the cut comes too late too often: {course:?}");
            let last = if random.u8(..3) == 0 { OPENING } else { moments };
            let at = Some(random.u64(1..=last));
            let cut = Cut { at, seed: random.u64(..), fsync, kill: random.u8(..4) == 0 };
            one_round(&disk, cut, &mut ledger, &mut course);
        }
        let (confirmed, acknowledged) = ledger.heard();
        course.confirmed += confirmed;
        course.acknowledged += acknowledged;
    }
    course
}

fn one_round(disk: &Path, cut: Cut, ledger: &mut Ledger, course: &mut Course) {
    let first = (course.cuts + course.kills + course.uncut + 1) * 1_000_000;
    let ended = library::run(WRITER, &arguments(disk, first, cut.seed), disk, cut);
    match ended.moments {
        None if cut.kill => course.kills += 1,
        None => course.cuts += 1,
        Some(_) => course.uncut += 1,
    }
    ledger.hear(&ended.said);
    if cut.kill && ended.moments.is_none() {
        // The next writer is the judge of what a kill leaves.
        return;
    }
    // A copy is looked at: opening the store itself would mend what the next writer has to mend.
    let copy = tempfile::tempdir().unwrap();
    copy_folder(disk, copy.path());
    if let Err(wrong) = judge(copy.path(), ledger) {
        course.wrong = Some(format!("{cut:?}: {wrong}"));
    }
}

fn arguments(disk: &Path, first: u64, seed: u64) -> [String; 4] {
    let store = disk.join("store").to_str().unwrap().to_owned();
    [store, first.to_string(), BATCHES.to_string(), seed.to_string()]
}

/// How many moments a writer has on a new store.
fn usual_moments() -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let whole = Cut { at: None, seed: 1, fsync: Fsync::Works, kill: false };
    let ended = library::run(WRITER, &arguments(&disk, 1, 1), &disk, whole);
    let mut ledger = Ledger::default();
    ledger.hear(&ended.said);
    judge(&disk, &ledger).expect("without a cut all is well");
    ended.moments.unwrap()
}

/// Opens the store and holds it against what was said.
fn judge(disk: &Path, ledger: &Ledger) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let there = runtime.block_on(numbers(&disk.join("store")))?;
    let (lost, returned) = (ledger.lost(&there), ledger.returned(&there));
    if !lost.is_empty() {
        return Err(format!("{} lost: {lost:?}", lost.len()));
    }
    if !returned.is_empty() {
        return Err(format!("{} came back: {returned:?}", returned.len()));
    }
    Ok(())
}

/// The numbers of all messages in the store.
async fn numbers(folder: &Path) -> Result<BTreeSet<u64>, String> {
    const PAGE: usize = 500;
    let store = small_store::open(folder).map_err(|error| format!("does not open: {error}"))?;
    let mut numbers = BTreeSet::new();
    for queue in small_store::QUEUES {
        let mut seen = 0;
        loop {
            let page = match store.peek(&queue, &Selector::All, seen, PAGE).await {
                Ok(page) => page,
                // The cut came before the queues were made.
                Err(error) if error.kind() == busway_core::ErrorKind::NotFound => break,
                Err(error) => return Err(format!("cannot be read: {error}")),
            };
            for peeked in &page {
                let id = &peeked.message.id;
                let number = small_store::number(&peeked.message).ok_or(format!("{id} is altered"))?;
                if !numbers.insert(number) {
                    return Err(format!("{id} is there twice"));
                }
            }
            seen += page.len();
            if page.len() < PAGE {
                break;
            }
        }
    }
    store.close().await.map_err(|error| format!("does not close: {error}"))?;
    Ok(numbers)
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (kind, target) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            fs::create_dir(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else if kind.is_file() {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

#[test]
fn a_store_loses_nothing_confirmed_in_two_hundred_power_cuts() {
    let course = cut_again_and_again(if long() { CUTS_LONG } else { CUTS }, Fsync::Works);
    println!("{course:?}");
    assert_eq!(course.wrong, None);
    assert!(
        course.confirmed > 1000 && course.acknowledged > 300,
        "too little was put to the test: {course:?}"
    );
}

#[test]
fn a_disk_that_syncs_nothing_is_found_out() {
    let course = cut_again_and_again(CUTS_UNTIL_FOUND, Fsync::Nothing);
    assert!(course.wrong.is_some(), "{course:?}");
}

#[test]
fn a_disk_that_syncs_no_names_is_found_out() {
    let course = cut_again_and_again(CUTS_UNTIL_FOUND, Fsync::NoNames);
    assert!(course.wrong.is_some(), "{course:?}");
}

#[test]
fn a_store_whose_maker_was_killed_at_any_moment_survives_a_cut() {
    let mut random = fastrand::Rng::with_seed(seed());
    // By the later of these moments the second writer has had something confirmed.
    let moments = OPENING..usual_moments() / 3;
    let mut course = Course::default();
    for at in (1..=OPENING).chain(1..=OPENING) {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("disk");
        fs::create_dir(&disk).unwrap();
        let mut ledger = Ledger::default();
        let kill = Cut { at: Some(at), seed: random.u64(..), fsync: Fsync::Works, kill: true };
        one_round(&disk, kill, &mut ledger, &mut course);
        let at = Some(random.u64(moments.clone()));
        let cut = Cut { at, seed: random.u64(..), fsync: Fsync::Works, kill: false };
        one_round(&disk, cut, &mut ledger, &mut course);
        course.confirmed += ledger.heard().0;
        assert_eq!(course.wrong, None, "after {kill:?}");
    }
    println!("{course:?}");
    assert!(course.kills > OPENING && course.confirmed > 500, "too little was put to the test: {course:?}");
}
