//! The checkers: each class of the total-queue ledger, and order by key.

use std::sync::Arc;

use busway_conformance::{Ledger, OrderChecker};

fn complete(ledger: &Ledger, id: &str) {
    ledger.attempted(id);
    ledger.acknowledged(id);
    ledger.delivered(id);
}

#[test]
fn a_run_in_which_all_arrives_is_valid() {
    let ledger = Ledger::new();
    (0..100).for_each(|index| complete(&ledger, &format!("m{index}")));
    let verdict = ledger.verdict();
    verdict.assert_valid();
    assert_eq!((verdict.attempted, verdict.acked, verdict.delivered, verdict.repeats), (100, 100, 100, 0));
    assert_eq!(ledger.outstanding(), 0);
}

#[test]
fn acknowledged_and_never_delivered_is_lost() {
    let ledger = Ledger::new();
    complete(&ledger, "kept");
    ledger.attempted("gone");
    ledger.acknowledged("gone");
    assert_eq!(ledger.outstanding(), 1);
    let verdict = ledger.verdict();
    assert_eq!(verdict.lost, ["gone"]);
    assert!(!verdict.is_valid());
    ledger.delivered("gone");
    assert_eq!(ledger.outstanding(), 0);
    ledger.verdict().assert_valid();
}

#[test]
fn delivered_and_never_attempted_is_unexpected() {
    let ledger = Ledger::new();
    ledger.delivered("ghost");
    let verdict = ledger.verdict();
    assert_eq!(verdict.unexpected, ["ghost"]);
    assert!(!verdict.is_valid() && verdict.recovered.is_empty());
}

#[test]
fn delivered_more_than_once_is_duplicated_and_still_valid() {
    let ledger = Ledger::new();
    complete(&ledger, "twice");
    ledger.delivered("twice");
    ledger.delivered("twice");
    let verdict = ledger.verdict();
    assert_eq!((verdict.duplicated.as_slice(), verdict.repeats), (["twice".to_owned()].as_slice(), 2));
    verdict.assert_valid();
}

#[test]
fn delivered_without_a_confirm_is_recovered_and_an_unknown_that_never_came_is_no_loss() {
    let ledger = Ledger::new();
    for id in ["arrived", "vanished"] {
        ledger.attempted(id);
        ledger.unknown(id);
    }
    ledger.delivered("arrived");
    let verdict = ledger.verdict();
    assert_eq!(verdict.recovered, ["arrived"]);
    assert_eq!((verdict.unknown, verdict.acked), (2, 0));
    verdict.assert_valid();
}

#[test]
fn an_unknown_confirmed_by_its_retry_counts_as_acknowledged() {
    let ledger = Ledger::new();
    ledger.attempted("a");
    ledger.unknown("a");
    complete(&ledger, "a");
    let verdict = ledger.verdict();
    assert_eq!((verdict.unknown, verdict.acked, verdict.recovered.len()), (0, 1, 0));
}

#[test]
fn the_text_names_the_first_ids_of_each_class() {
    let ledger = Ledger::new();
    (0..7).for_each(|index| ledger.acknowledged(&format!("m{index}")));
    let text = ledger.verdict().to_string();
    assert!(text.contains("lost 7 (m0, m1, m2, m3, m4, …)"), "{text}");
    assert!(text.contains("unexpected 0, duplicated 0, recovered 0"), "{text}");
}

#[test]
fn records_from_many_threads_add_up() {
    let ledger = Arc::new(Ledger::new());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let ledger = Arc::clone(&ledger);
            scope.spawn(move || (0..1_000).for_each(|index| complete(&ledger, &format!("{thread}-{index}"))));
        }
    });
    let verdict = ledger.verdict();
    assert_eq!((verdict.acked, verdict.delivered), (4_000, 4_000));
    verdict.assert_valid();
}

#[test]
fn order_is_judged_by_the_first_delivery_of_each() {
    let order = OrderChecker::new();
    for sequence in [1, 2, 2, 1, 5, 5] {
        order.delivered("a", sequence);
    }
    order.delivered("b", 9);
    let verdict = order.verdict();
    assert!(verdict.is_valid() && !verdict.is_strict(), "{verdict}");
    assert_eq!((verdict.keys, verdict.deliveries, verdict.repeats), (2, 7, 3));
}

#[test]
fn a_message_that_comes_after_a_later_one_of_its_key_is_an_inversion() {
    let order = OrderChecker::new();
    for (key, sequence) in [("a", 1), ("b", 1), ("a", 3), ("b", 2), ("a", 2)] {
        order.delivered(key, sequence);
    }
    let verdict = order.verdict();
    assert!(!verdict.is_valid());
    assert!(verdict.to_string().contains("a: 2 after 3"), "{verdict}");
}
