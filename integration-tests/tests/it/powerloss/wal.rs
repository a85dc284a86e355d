//! The library's own test: a careful log loses nothing, and each carelessness is found out.

use std::collections::BTreeSet;
use std::path::Path;

use busway_integration_tests::wal;

use super::ledger::Ledger;
use super::library::{self, Cut, Fsync};

const WRITER: &str = env!("CARGO_BIN_EXE_wal_writer");
const BATCHES: u64 = 60;
/// Cuts of one log before a new one is begun.
const CUTS_A_LOG: u64 = 5;

/// What one round came to.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Whole,
    Lost(Vec<u64>),
    Returned(Vec<u64>),
    Unreadable(String),
}

/// Cuts the power `rounds` times; the first verdict that is not whole ends it.
fn cut_again_and_again(rounds: u64, careless: &str, fsync: Fsync) -> Verdict {
    let mut heard = (0, 0);
    for log in 0..rounds.div_ceil(CUTS_A_LOG) {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("disk");
        std::fs::create_dir(&disk).unwrap();
        let mut ledger = Ledger::default();
        for round in log * CUTS_A_LOG..rounds.min((log + 1) * CUTS_A_LOG) {
            let verdict = one_round(&disk, round, careless, fsync, &mut ledger);
            if verdict != Verdict::Whole {
                return verdict;
            }
        }
        heard = (heard.0 + ledger.heard().0, heard.1 + ledger.heard().1);
    }
    println!("{careless}: {} confirmed, {} removed", heard.0, heard.1);
    assert!(heard.0 > 0 && heard.1 > 0, "nothing was put to the test");
    Verdict::Whole
}

fn one_round(disk: &Path, round: u64, careless: &str, fsync: Fsync, ledger: &mut Ledger) -> Verdict {
    let first = (round + 1) * 1_000_000;
    let arguments = [disk.to_str().unwrap(), &first.to_string(), &BATCHES.to_string(), careless];
    // About five moments a batch; a cut behind the end lets the program end by itself.
    let at = Some(1 + fastrand::Rng::with_seed(round).u64(..BATCHES * 6));
    let ended = library::run(WRITER, &arguments, disk, Cut { at, seed: round, fsync, kill: round % 3 == 1 });
    ledger.hear(&ended.said);
    judge(disk, ledger)
}

fn judge(disk: &Path, ledger: &Ledger) -> Verdict {
    let there: BTreeSet<u64> = match wal::read(disk) {
        Ok(there) => there,
        Err(error) => return Verdict::Unreadable(error.to_string()),
    };
    let (lost, returned) = (ledger.lost(&there), ledger.returned(&there));
    match (lost.is_empty(), returned.is_empty()) {
        (true, true) => Verdict::Whole,
        (false, _) => Verdict::Lost(lost),
        (true, false) => Verdict::Returned(returned),
    }
}

#[test]
fn a_careful_log_loses_nothing() {
    assert_eq!(cut_again_and_again(100, "no", Fsync::Works), Verdict::Whole);
}

#[test]
fn fsync_that_does_nothing_is_found_out() {
    let verdict = cut_again_and_again(40, "no", Fsync::Nothing);
    assert_ne!(verdict, Verdict::Whole);
}

#[test]
fn records_that_are_not_synced_are_lost() {
    let verdict = cut_again_and_again(40, "data", Fsync::Works);
    assert!(matches!(verdict, Verdict::Lost(_)), "{verdict:?}");
}

#[test]
fn a_segment_whose_folder_is_not_synced_is_lost() {
    let verdict = cut_again_and_again(40, "folder", Fsync::Works);
    assert!(matches!(verdict, Verdict::Lost(_)), "{verdict:?}");
}

#[test]
fn a_segment_that_is_renamed_too_early_is_unreadable() {
    let verdict = cut_again_and_again(100, "rename", Fsync::Works);
    assert!(matches!(verdict, Verdict::Unreadable(_)), "{verdict:?}");
}

#[test]
fn a_removal_whose_folder_is_not_synced_comes_back() {
    let verdict = cut_again_and_again(100, "removal", Fsync::Works);
    assert!(matches!(verdict, Verdict::Returned(_)), "{verdict:?}");
}

#[test]
fn what_a_killed_process_left_unsynced_is_lost() {
    let verdict = cut_again_and_again(100, "reopen", Fsync::Works);
    assert!(matches!(verdict, Verdict::Lost(_)), "{verdict:?}");
}

#[test]
fn without_a_cut_everything_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let arguments = [disk.to_str().unwrap(), "1", "60", "no"];
    let ended = library::run(
        WRITER,
        &arguments,
        &disk,
        Cut { at: None, seed: 0, fsync: Fsync::Nothing, kill: false },
    );
    let mut ledger = Ledger::default();
    ledger.hear(&ended.said);
    assert_eq!(judge(&disk, &ledger), Verdict::Whole);
    assert!(ended.moments.is_some_and(|moments| moments > 200), "{:?}", ended.moments);
}
