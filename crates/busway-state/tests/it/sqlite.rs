//! What only a file can do, or suffer.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use busway_core::state::put;
use busway_core::{Error, ErrorClass, ErrorKind, State};
use busway_state::{SqliteState, open_url};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::suite::{done, no_change_is_lost_between};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Runs SQL as another program would.
async fn foreign_sql(path: &Path, sql: &'static str) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn refused(path: &Path) -> Error {
    SqliteState::open(path).await.expect_err("it was opened")
}

#[tokio::test]
async fn what_was_done_stands_after_it_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let state = SqliteState::open(&path).await.unwrap();
    let first = done(state.swap("a", None, Some("1".into())).await.unwrap());
    let removed = done(state.swap("b", None, Some("1".into())).await.unwrap());
    let removed = done(state.swap("b", Some(removed), None).await.unwrap());
    state.close().await.unwrap();
    let state = SqliteState::open(&path).await.unwrap();
    let found = state.get("a").await.unwrap().unwrap();
    assert_eq!((found.value, found.version), ("1".into(), first));
    assert!(done(state.swap("b", None, Some("2".into())).await.unwrap()) > removed);
}

#[tokio::test]
async fn what_was_done_stands_without_a_close() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    for round in 0..3_u8 {
        let state = SqliteState::open(&path).await.unwrap();
        let before = state.get("round").await.unwrap().map(|at| at.value.to_vec());
        assert_eq!(before, round.checked_sub(1).map(|last| vec![last]));
        put(&state, "round", Some(vec![round].into())).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_of_one_file_see_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let (first, second) = tokio::join!(SqliteState::open(&path), SqliteState::open(&path));
    let (first, second): (Arc<dyn State>, Arc<dyn State>) =
        (Arc::new(first.unwrap()), Arc::new(second.unwrap()));
    let version = done(first.swap("k", None, Some("1".into())).await.unwrap());
    assert_eq!(second.get("k").await.unwrap().unwrap().version, version);
    no_change_is_lost_between(&[first, second]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_can_make_the_same_new_file_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let opening: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move { SqliteState::open(path).await.map(drop) })
        })
        .collect();
    for open in opening {
        open.await.unwrap().unwrap();
    }
}

#[test]
fn it_outlives_the_runtime_that_opened_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let state = runtime().block_on(SqliteState::open(path)).unwrap();
    let version = runtime().block_on(state.swap("k", None, Some("1".into()))).unwrap();
    let multi = tokio::runtime::Runtime::new().unwrap();
    assert_eq!(multi.block_on(state.get("k")).unwrap().unwrap().version, done(version));
}

#[tokio::test]
async fn files_and_directories_are_for_their_user_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("var/shop/state.db");
    let state = SqliteState::open(&path).await.unwrap();
    put(&state, "k", Some("1".into())).await.unwrap();
    assert_eq!(mode(&directory.path().join("var")), 0o700);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(mode(Path::new(&format!("{}{suffix}", path.display()))), 0o600, "{suffix}");
    }
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    SqliteState::open(&path).await.unwrap().close().await.unwrap();
    foreign_sql(&path, "PRAGMA user_version = 99").await;
    let error = refused(&path).await;
    assert_eq!(error.kind(), ErrorKind::Version);
    assert!(error.to_string().contains("of a newer version, 99"), "{error}");
    assert!(error.to_string().contains("upgrade this program"), "{error}");
}

#[tokio::test]
async fn another_programs_database_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    for (name, sql) in [
        ("tables.db", "CREATE TABLE theirs (id INTEGER)"),
        ("version.db", "PRAGMA user_version = 1"),
        ("application.db", "PRAGMA application_id = 7"),
    ] {
        let path = directory.path().join(name);
        foreign_sql(&path, sql).await;
        let error = refused(&path).await;
        assert_eq!((error.kind(), error.class()), (ErrorKind::Conflict, ErrorClass::Fatal), "{error}");
    }
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let state = SqliteState::open(&path).await.unwrap();
    for index in 0..200 {
        put(&state, &format!("key/{index}"), Some(vec![7; 100].into())).await.unwrap();
    }
    state.close().await.unwrap();
    let whole = std::fs::read(&path).unwrap();
    let mut zeroed = whole.clone();
    zeroed[4096..8192].fill(0);
    for (what, bytes) in [
        ("text", b"this is no database, only some text".repeat(200)),
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("zeroed", zeroed),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = refused(&path).await;
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
        assert!(error.to_string().contains("restore the file from a backup"), "{error}");
    }
    std::fs::write(&path, whole).unwrap();
    assert_eq!(SqliteState::open(&path).await.unwrap().list("").await.unwrap().len(), 200);
}

#[tokio::test]
async fn damage_met_in_use_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let state = SqliteState::open(&path).await.unwrap();
    foreign_sql(&path, "DELETE FROM counter").await;
    let error = state.swap("k", None, Some("1".into())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_told_with_advice() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "").unwrap();
    for path in [
        Path::new("/sys/busway/state.db").to_owned(),
        Path::new("/sys/state.db").to_owned(),
        directory.path().join("file/state.db"),
        directory.path().to_owned(),
    ] {
        let error = refused(&path).await;
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert_eq!(error.place(), Some(path.display().to_string().as_str()));
        assert!(error.to_string().contains("; "), "no advice: {error}");
    }
}

#[tokio::test]
async fn a_list_of_a_file_is_never_cut_short() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let state = SqliteState::open(&path).await.unwrap();
    foreign_sql(
        &path,
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)
         INSERT INTO entry SELECT printf('k%06d', i), i, x'31' FROM n",
    )
    .await;
    assert_eq!(state.list("k").await.unwrap().len(), 100_000);
    foreign_sql(&path, "INSERT INTO entry VALUES ('k', 0, x'31')").await;
    assert_eq!(state.list("k").await.unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(state.list("k0").await.unwrap().len(), 100_000);
}

#[tokio::test]
async fn the_setting_names_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    for url in [format!("sqlite:{}", path.display()), format!("sqlite://{}", path.display())] {
        let state = open_url(&url).await.unwrap();
        put(&*state, "k", Some("1".into())).await.unwrap();
        state.close().await.unwrap();
    }
    assert!(path.is_file());
    for (url, kind, words) in [
        ("postgres://user:secret@db/shop", ErrorKind::Unsupported, "PostgreSQL is not supported"),
        ("mysql://user:secret@db/shop", ErrorKind::Configuration, "\"mysql\" is no kind of state store"),
        ("state.db", ErrorKind::Configuration, "no scheme"),
        ("sqlite:", ErrorKind::Configuration, "names no file"),
        ("sqlite::memory:", ErrorKind::Configuration, "names no file"),
        ("sqlite:state.db?mode=ro", ErrorKind::Configuration, "parameters"),
    ] {
        let Err(error) = open_url(url).await else { panic!("{url} was opened") };
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{text}");
        assert!(text.contains(words) && text.contains("sqlite:var/shop/state.db"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
