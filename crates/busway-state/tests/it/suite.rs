//! What every store must do, run on each of them.

use std::collections::HashSet;
use std::sync::Arc;

use busway_core::state::{Swap, Versioned, put};
use busway_core::{ErrorKind, State};
use bytes::Bytes;

/// The version a change gave.
pub(crate) fn done(swap: Swap) -> u64 {
    match swap {
        Swap::Done(version) => version,
        Swap::Conflict(current) => panic!("a conflict with {current:?}"),
    }
}

fn conflict(swap: Swap) -> Option<Versioned> {
    match swap {
        Swap::Done(version) => panic!("done as {version}"),
        Swap::Conflict(current) => current,
    }
}

async fn a_key_changes_only_from_the_version_expected(state: Arc<dyn State>) {
    assert_eq!(state.get("k").await.unwrap(), None);
    assert_eq!(conflict(state.swap("k", Some(1), Some("x".into())).await.unwrap()), None);
    let first = done(state.swap("k", None, Some("1".into())).await.unwrap());
    let standing = Versioned { value: "1".into(), version: first };
    assert_eq!(state.get("k").await.unwrap().as_ref(), Some(&standing));
    assert_eq!(conflict(state.swap("k", None, Some("2".into())).await.unwrap()).as_ref(), Some(&standing));
    assert_eq!(conflict(state.swap("k", None, None).await.unwrap()).as_ref(), Some(&standing));
    assert_eq!(conflict(state.swap("k", Some(first + 1), None).await.unwrap()).as_ref(), Some(&standing));
    assert_eq!(conflict(state.swap("k", Some(u64::MAX), None).await.unwrap()), Some(standing));
    let second = done(state.swap("k", Some(first), Some("2".into())).await.unwrap());
    assert!(second > first);
    assert_eq!(state.get("k").await.unwrap(), Some(Versioned { value: "2".into(), version: second }));
    done(state.swap("k", Some(second), None).await.unwrap());
    assert_eq!(state.get("k").await.unwrap(), None);
    assert_eq!(conflict(state.swap("k", Some(second), Some("3".into())).await.unwrap()), None);
}

async fn a_version_never_comes_twice(state: Arc<dyn State>) {
    let mut seen = HashSet::new();
    let mut last = 0;
    for round in 0..5 {
        for key in ["a", "b"] {
            let made = done(state.swap(key, None, Some("1".into())).await.unwrap());
            let changed = done(state.swap(key, Some(made), Some("1".into())).await.unwrap());
            let removed = done(state.swap(key, Some(changed), None).await.unwrap());
            for version in [made, changed, removed] {
                assert!(version > last && seen.insert(version), "round {round}: {version} after {last}");
                last = version;
            }
        }
    }
}

async fn values_are_any_bytes(state: Arc<dyn State>) {
    for (key, value) in [
        ("empty", Bytes::new()),
        ("bytes", Bytes::from_static(b"\x00\xff\n")),
        ("longest", Bytes::from(vec![7; 1 << 20])),
        (&"k".repeat(512), Bytes::from_static(b"1")),
        ("schlüssel/😀 '%_", Bytes::from_static(b"1")),
    ] {
        let version = done(state.swap(key, None, Some(value.clone())).await.unwrap());
        assert_eq!(state.get(key).await.unwrap(), Some(Versioned { value, version }), "{key}");
    }
}

async fn what_is_over_the_bounds_is_refused(state: Arc<dyn State>) {
    let long = "k".repeat(513);
    for (key, kind) in
        [("", ErrorKind::Malformed), ("a\0b", ErrorKind::Malformed), (&long, ErrorKind::TooLarge)]
    {
        assert_eq!(state.get(key).await.unwrap_err().kind(), kind);
        assert_eq!(state.swap(key, None, None).await.unwrap_err().kind(), kind);
        if !key.is_empty() {
            assert_eq!(state.list(key).await.unwrap_err().kind(), kind);
        }
    }
    let large = Bytes::from(vec![0; (1 << 20) + 1]);
    assert_eq!(state.swap("k", None, Some(large)).await.unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(state.get("k").await.unwrap(), None);
}

async fn a_list_has_the_keys_of_a_prefix_in_order(state: Arc<dyn State>) {
    let keys = ["pause/a", "pause/b", "pause/\u{10ffff}", "pause", "pause0", "pausf", "Pause/x", "p%", "p_"];
    for key in keys {
        put(&*state, key, Some(Bytes::copy_from_slice(key.as_bytes()))).await.unwrap();
    }
    let list = async |prefix: &str| -> Vec<String> {
        let list = state.list(prefix).await.unwrap();
        for (key, at) in &list {
            assert_eq!(&at.value, key.as_bytes());
        }
        list.into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(list("pause/").await, ["pause/a", "pause/b", "pause/\u{10ffff}"]);
    assert_eq!(list("pause/\u{10ffff}").await, ["pause/\u{10ffff}"]);
    assert_eq!(list("p%").await, ["p%"]);
    assert_eq!(list("zebra").await, [""; 0]);
    let mut all = keys.map(str::to_owned).to_vec();
    all.sort();
    assert_eq!(list("").await, all);
    let list = state.list("pause/a").await.unwrap();
    assert_eq!(list[0].1, state.get("pause/a").await.unwrap().unwrap());
}

/// Adds one to a counter until it has done so `times` times.
async fn count(state: Arc<dyn State>, times: usize) {
    for _ in 0..times {
        loop {
            let current = state.get("counter").await.unwrap();
            let value =
                current.as_ref().map_or(0, |at| std::str::from_utf8(&at.value).unwrap().parse().unwrap());
            let next: u32 = value + 1;
            let expected = current.map(|at| at.version);
            if let Swap::Done(_) =
                state.swap("counter", expected, Some(next.to_string().into())).await.unwrap()
            {
                break;
            }
        }
    }
}

/// Eight tasks count to fifty each, in turn over these handles of one store.
pub(crate) async fn no_change_is_lost_between(handles: &[Arc<dyn State>]) {
    let tasks: Vec<_> =
        handles.iter().cycle().take(8).map(|state| tokio::spawn(count(Arc::clone(state), 50))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    for state in handles {
        assert_eq!(state.get("counter").await.unwrap().unwrap().value, "400");
    }
}

async fn concurrent_changes_are_not_lost(state: Arc<dyn State>) {
    no_change_is_lost_between(&[state]).await;
}

async fn a_closed_store_says_so(state: Arc<dyn State>) {
    put(&*state, "k", Some("1".into())).await.unwrap();
    state.close().await.unwrap();
    state.close().await.unwrap();
    assert_eq!(state.get("k").await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(state.list("").await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(state.swap("k", None, None).await.unwrap_err().kind(), ErrorKind::Closed);
}

macro_rules! on_every_store {
    ($($case:ident)*) => {
        mod memory {
            use std::sync::Arc;

            use busway_state::MemoryState;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(Arc::new(MemoryState::new())).await;
            })*
        }

        mod sqlite {
            use std::sync::Arc;

            use busway_state::SqliteState;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let directory = tempfile::tempdir().unwrap();
                let state = SqliteState::open(directory.path().join("state.db")).await.unwrap();
                super::$case(Arc::new(state)).await;
            })*
        }
    };
}

on_every_store! {
    a_key_changes_only_from_the_version_expected
    a_version_never_comes_twice
    values_are_any_bytes
    what_is_over_the_bounds_is_refused
    a_list_has_the_keys_of_a_prefix_in_order
    concurrent_changes_are_not_lost
    a_closed_store_says_so
}

#[tokio::test]
async fn a_list_in_memory_is_never_cut_short() {
    let state = busway_state::MemoryState::new();
    for index in 0..100_000 {
        done(state.swap(&format!("k{index:06}"), None, Some("1".into())).await.unwrap());
    }
    assert_eq!(state.list("k").await.unwrap().len(), 100_000);
    done(state.swap("k", None, Some("1".into())).await.unwrap());
    assert_eq!(state.list("k").await.unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(state.list("k0").await.unwrap().len(), 100_000);
}
