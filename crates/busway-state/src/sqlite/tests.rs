#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Instant;

use sqlx::{ConnectOptions as _, Connection as _};

use super::*;

/// The state of a file whose write lock somebody else holds.
async fn locked_out(
    call: Duration,
    lock: Duration,
) -> (tempfile::TempDir, SqliteState, sqlx::SqliteConnection) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let mut state = SqliteState::open_with(&path, Limits { lock, ..LIMITS }).await.unwrap();
    state.limits.call = call;
    let mut other = file::options(&path, LIMITS).connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    (directory, state, other)
}

async fn unlock(mut other: sqlx::SqliteConnection) {
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
}

#[tokio::test]
async fn a_lock_that_another_process_keeps_is_told_and_reads_go_on() {
    let (_directory, state, other) = locked_out(Duration::from_secs(60), Duration::from_millis(50)).await;
    let error = state.swap("a", None, Some("1".into())).await.unwrap_err();
    assert_eq!((error.kind(), error.class()), (ErrorKind::Held, ErrorClass::Retry), "{error}");
    assert_eq!(state.get("a").await.unwrap(), None);
    let error = SqliteState::open_with(&state.path, state.limits).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Held, "{error}");
    unlock(other).await;
    assert!(matches!(state.swap("a", None, Some("1".into())).await.unwrap(), Swap::Done(_)));
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_and_the_store_goes_on_after_it() {
    let (_directory, mut state, other) =
        locked_out(Duration::from_millis(100), Duration::from_secs(60)).await;
    let began = Instant::now();
    let error = state.swap("a", None, Some("1".into())).await.unwrap_err();
    assert_eq!((error.kind(), error.class()), (ErrorKind::Timeout, ErrorClass::Unknown), "{error}");
    assert!(began.elapsed() < Duration::from_secs(30), "waited for the lock, not for the deadline");
    unlock(other).await;
    state.limits.call = Duration::from_secs(60);
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match busway_core::state::put(&state, "a", Some("2".into())).await {
            Ok(()) => break,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
    assert_eq!(state.get("a").await.unwrap().unwrap().value, "2");
}

#[tokio::test]
async fn calls_whose_callers_have_gone_are_not_begun() {
    let (_directory, state, other) = locked_out(Duration::from_secs(60), Duration::from_secs(60)).await;
    let first = state.swap("first", None, Some("1".into()));
    let mut first = Box::pin(first);
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut first).await.is_err());
    let second = state.swap("second", None, Some("1".into()));
    assert!(tokio::time::timeout(Duration::from_millis(50), second).await.is_err());
    unlock(other).await;
    assert!(matches!(first.await.unwrap(), Swap::Done(_)));
    assert!(matches!(state.swap("third", None, Some("1".into())).await.unwrap(), Swap::Done(_)));
    assert_eq!(state.get("second").await.unwrap(), None);
}

#[tokio::test]
async fn a_connection_that_failed_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let state = SqliteState::open(&path).await.unwrap();
    let mut other = file::options(&path, LIMITS).connect().await.unwrap();
    sqlx::raw_sql(
        "CREATE TRIGGER refuse BEFORE INSERT ON entry WHEN new.key = 'bad'
         BEGIN SELECT raise(ROLLBACK, 'refused'); END",
    )
    .execute(&mut other)
    .await
    .unwrap();
    for _ in 0..3 {
        let error = state.swap("bad", None, Some("1".into())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
        busway_core::state::put(&state, "good", Some("1".into())).await.unwrap();
    }
}

#[tokio::test]
async fn a_list_of_too_many_bytes_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { list_bytes: 10, ..LIMITS };
    let state = SqliteState::open_with(&directory.path().join("state.db"), limits).await.unwrap();
    for key in ["a", "b"] {
        busway_core::state::put(&state, key, Some("123456".into())).await.unwrap();
    }
    assert_eq!(state.list("").await.unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(state.list("a").await.unwrap().len(), 1);
}

#[tokio::test]
async fn opening_waits_for_another_process_that_makes_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    file::prepare(&path).unwrap();
    let mut other = file::options(&path, LIMITS).connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let opening = SqliteState::open_with(&path, LIMITS);
    let mut opening = Box::pin(opening);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut opening).await.is_err(), "it did not wait");
    unlock(other).await;
    opening.await.unwrap();
}
